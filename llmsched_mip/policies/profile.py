"""The forward KV check: will the KV cache hold at every future completion if a request starts now?"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np


class KVProfile:
    """KV use of one worker's active requests over its coming decode rounds.

    In absolute rounds a request that started at round s with prompt p holds ``p - s + t`` tokens in round t, up to
    its finish f.  The total grows between finishes, so it is enough to check it in the last round of every active
    request and of the candidate.  Slots are refilled later by requests that are checked in their turn.

    Parameters
    ----------
    capacity : int
        KV tokens of the worker.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.entries: list[tuple[int, int, int]] = []
        self._stale = True
        self._finish: list[int] = []
        self._room: list[int] = []
        self._offset_after: list[int] = []

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, request: int, start: int, prompt: int, length: int) -> None:
        """Add an active request: started after `start` rounds, expected to run `length` rounds."""
        entry = (start + length, request, prompt - start)
        self.entries.insert(bisect_left(self.entries, entry), entry)
        self._stale = True

    def remove(self, request: int) -> None:
        """Forget a request that has completed or was evicted."""
        for k, entry in enumerate(self.entries):
            if entry[1] == request:
                del self.entries[k]
                break
        self._stale = True

    def overdue(self, rounds: int) -> list[int]:
        """Requests that were expected to finish by now and have not."""
        return [entry[1] for entry in self.entries[: bisect_left(self.entries, (rounds + 1, -1, 0))]]

    def finishes(self) -> list[int]:
        """Expected finish of every active request in absolute rounds, ascending."""
        return [entry[0] for entry in self.entries]

    def _refresh(self) -> None:
        count = len(self.entries)
        table = np.array(self.entries, dtype=np.int64).reshape(count, 3)
        finish = table[:, 0]
        offset_after = np.concatenate((np.cumsum(table[::-1, 2])[::-1], [0]))
        use = offset_after[:-1] + np.arange(count, 0, -1) * finish
        room = self.capacity - use - finish
        if count:
            first = np.searchsorted(finish, finish, side="left")
            room = np.minimum.accumulate(room[first])
        self._finish, self._room = finish.tolist(), room.tolist()
        self._offset_after = offset_after.tolist()
        self._stale = False

    def admits(self, start: int, prompt: int, length: int) -> bool:
        """Whether the KV cache holds at every future finish when this request starts after `start` rounds."""
        if self._stale:
            self._refresh()
        finish, offset = start + length, prompt - start
        first = bisect_left(self._finish, finish)
        last = first
        while last < len(self._finish) and self._finish[last] == finish:
            last += 1
        if last and self._room[last - 1] < offset:
            return False
        at_finish = self._offset_after[first] + (len(self._finish) - first) * finish
        return at_finish + offset + finish <= self.capacity
