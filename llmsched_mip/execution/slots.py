"""The slots of one worker."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


class SlotPool:
    """Which slots are free; memory grows with the slots in use, not with their number.

    Parameters
    ----------
    count : int
        Number of slots.

    Attributes
    ----------
    open : int
        How many of them may be held; the lowest are taken first.
    """

    def __init__(self, count: int):
        self.count = self.open = count
        self._holder: dict[int, int] = {}
        self._held: set[int] = set()
        self._returned: list[int] = []
        self._untouched = 0

    @property
    def free(self) -> int:
        """Number of slots that may be taken: none while as many are held as `open` says."""
        return max(0, self.open - len(self._held))

    def take(self, requests: Sequence[int], slots: Sequence[int] | None) -> list[int] | None:
        """Give `slots`, or the lowest free ones, to `requests`; None when one of them is not free.

        There have to be enough free slots.
        """
        if slots is None:
            chosen = [self._lowest() for _ in requests]
        else:
            chosen = list(slots)
            apart = len(set(chosen)) == len(requests) == len(chosen)
            if not apart or not all(0 <= s < self.count and s not in self._held for s in chosen):
                return None
            self._held.update(chosen)
        self._holder.update(zip(requests, chosen, strict=True))
        return chosen

    def _lowest(self) -> int:
        held, returned = self._held, self._returned
        while True:
            if returned and returned[0] <= self._untouched:
                slot = heapq.heappop(returned)
            else:
                slot = self._untouched
                self._untouched += 1
            if slot not in held:
                held.add(slot)
                return slot

    def release(self, request: int) -> None:
        """Free the slot of a request."""
        slot = self._holder.pop(request)
        self._held.remove(slot)
        heapq.heappush(self._returned, slot)
