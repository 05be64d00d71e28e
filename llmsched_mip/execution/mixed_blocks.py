"""The KV blocks of a worker under mixed execution: how many are free, and which of them the prefix cache still knows.

A block is known by the id of the prompt block that it holds, or, where a request has no id for it (a generated token,
a prompt without ids), as that request's alone: then only the request itself finds it, after an eviction.  Blocks are
not told apart beyond that, so a worker without ids in its requests counts, and does no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

UNLIMITED = 2**62


class _Left:
    """The full blocks of an evicted request that wait to be found again: the first `count` of them are still there."""

    __slots__ = ("count",)

    def __init__(self, count: int):
        self.count = count


class KVBlocks:
    """Blocks of one worker; freed ones are taken oldest first, of one request the last first.

    Parameters
    ----------
    blocks : int or None
        How many there are; None: no limit.
    tokens : int
        Tokens of a block.
    caches : bool
        Whether blocks are found again.

    Attributes
    ----------
    free : int
        Blocks that nobody holds; the prefix cache may know some of them.
    peak : int
        Most blocks held in an iteration.
    """

    def __init__(self, blocks: int | None, tokens: int, caches: bool):
        self.all = self.free = UNLIMITED if blocks is None else blocks
        self.tokens, self.caches = tokens, caches
        self.peak = 0
        self._fresh = self.free
        self._holders: dict[int, int] = {}
        self._freed_at: dict[int, int] = {}
        self._left: dict[int, _Left] = {}
        self._queue: deque[tuple[int, int | _Left]] = deque()
        self._front = 0
        self._clock = 0

    @property
    def held(self) -> int:
        """Blocks that are held."""
        return self.all - self.free

    def note_peak(self) -> None:
        """Count what is held now, in an iteration that runs."""
        self.peak = max(self.peak, self.held)

    def of(self, tokens: int) -> int:
        """Blocks that so many tokens need."""
        return -(-tokens // self.tokens)

    def take(self, count: int) -> None:
        """Take free blocks, the oldest first: what the prefix cache knew of them is gone."""
        self.free -= count
        if self._fresh >= count:
            self._fresh -= count
            return
        count -= self._fresh
        self._fresh = 0
        while count:
            count -= self._take_oldest(count)

    def _take_oldest(self, most: int) -> int:
        """Take of what stands first in the queue; how many blocks, at most `most`."""
        queue = self._queue
        if self._front:
            taken = min(self._front, most)
            self._front -= taken
            return taken
        name, what = queue[0]
        if isinstance(what, _Left):
            taken = min(what.count, most)
            what.count -= taken
            if not what.count:
                queue.popleft()
            return taken
        queue.popleft()
        if name < 0:
            self._front = what
            return 0
        if self._freed_at.get(name) != what:
            return 0
        del self._freed_at[name], self._holders[name]
        return 1

    def may_know(self, request: int, ids: Sequence[int]) -> bool:
        """Whether the prefix cache can hold anything of a request."""
        return self.caches and (bool(ids) or request in self._left)

    def find(self, request: int, ids: Sequence[int], most: int) -> tuple[int, int, int]:
        """What the prefix cache holds of a request, at most `most` blocks: known by id, by the request, and how many
        of both nobody holds."""
        if not self.may_know(request, ids):
            return 0, 0, 0
        holders, known, idle = self._holders, 0, 0
        for name in ids[:most]:
            count = holders.get(name)
            if count is None:
                break
            known += 1
            idle += not count
        left = self._left.get(request)
        if left is None or known < len(ids):
            return known, 0, idle
        again = min(left.count, most - known)
        return known, again, idle + again

    def hold_found(self, request: int, ids: Sequence[int], known: int, again: int) -> None:
        """Hold what `find` found; the rest of the request's blocks is forgotten."""
        holders = self._holders
        for name in ids[:known]:
            if not holders[name]:
                del self._freed_at[name]
                self.free -= 1
            holders[name] += 1
        left = self._left.pop(request, None)
        if left is not None:
            self.free -= again
            left.count -= again

    def name(self, ids: Sequence[int], first: int, last: int) -> int:
        """Let the cache know the held blocks `first` to `last` of a prompt by their ids; the blocks of it now known.

        One whose id is known already, of another block, stays without.
        """
        holders = self._holders
        for k in range(first, last):
            if ids[k] in holders:
                return k
            holders[ids[k]] = 1
        return max(first, last)

    def release(self, request: int, ids: Sequence[int], known: int, held: int, full: int = 0) -> None:
        """Free the `held` blocks of a request, of which the first `known` have their `ids`.

        `full` blocks hold tokens to the end, where the request will come back for them.
        """
        self.free += held
        queue, again = self._queue, 0
        if self.caches and full > len(ids) and known >= len(ids) - 1:
            again = full - len(ids)
            left = self._left[request] = _Left(again)
            if held > full:
                queue.append((-1, held - full))
            queue.append((request, left))
            if len(ids) > known:
                queue.append((-1, len(ids) - known))
        elif held > known:
            queue.append((-1, held - known))
        holders, freed_at = self._holders, self._freed_at
        for k in range(known - 1, -1, -1):
            name = ids[k]
            count = holders[name] - 1
            holders[name] = count
            if count:
                self.free -= 1
            else:
                self._clock += 1
                freed_at[name] = self._clock
                queue.append((name, self._clock))
