"""The forward KV check: will the KV cache hold at every future completion if a request starts now?"""

from __future__ import annotations

import numpy as np

SLACK = 256
NEVER = 2**62


class KVProfile:
    """KV use of one worker's active requests over its coming decode rounds.

    In absolute rounds a request that started at round s with prompt p holds ``p - s + t`` tokens in round t, up to
    its finish f.  The total grows between finishes, so it is enough to check it in the last round of every active
    request and of the candidate.  Slots are refilled later by requests that are checked in their turn.

    The requests stand in arrays by ascending finish, with the KV room that is left in the last round of each; a
    start or an end changes them in place, so that a check costs two passes over a slice.

    Parameters
    ----------
    capacity : int
        KV tokens of the worker.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self._begin = self._end = 0
        self._table = np.zeros((4, SLACK), dtype=np.int64)
        self._name_rows()

    def _name_rows(self) -> None:
        self._finish, self._request, self._offset, self._room = self._table

    def __len__(self) -> int:
        return self._end - self._begin

    def _place(self, finish: int, side: str) -> int:
        live = self._finish[self._begin : self._end]
        return self._begin + int(live.searchsorted(finish, side=side))  # type: ignore[call-overload]

    def add(self, request: int, start: int, prompt: int, length: int) -> None:
        """Add an active request: started after `start` rounds, expected to run `length` rounds."""
        finish, offset = start + length, prompt - start
        if self._end == self._table.shape[1]:
            self._make_room()
        begin, end, table = self._begin, self._end, self._table
        place = self._place(finish, "right")
        room = self.capacity - finish * (end - place + 1) - int(self._offset[place:end].sum()) - offset
        table[:, place + 1 : end + 1] = table[:, place:end]
        self._room[begin:place] -= self._finish[begin:place] + offset
        table[:, place] = finish, request, offset, room
        self._end += 1
        if place > begin and self._finish[place - 1] == finish:
            # Equal finishes hold their KV together: each of them sees the whole.
            first = self._place(finish, "left")
            self._room[place] = self._room[first]

    def _make_room(self) -> None:
        live = self._table[:, self._begin : self._end]
        table = np.zeros((4, 2 * live.shape[1] + SLACK), dtype=np.int64)
        table[:, : live.shape[1]] = live
        self._begin, self._end, self._table = 0, live.shape[1], table
        self._name_rows()

    def remove(self, request: int) -> None:
        """Forget a request that has completed or was evicted; one that is not here is no error."""
        begin, end = self._begin, self._end
        found = np.flatnonzero(self._request[begin:end] == request)
        if not len(found):
            return
        place = begin + int(found[0])
        finish, offset = int(self._finish[place]), int(self._offset[place])
        last = self._place(finish, "right")
        self._room[begin:last] += self._finish[begin:last] + offset
        self._table[:, begin + 1 : place + 1] = self._table[:, begin:place]
        self._begin += 1

    def overdue(self, rounds: int) -> list[int]:
        """Requests that were expected to finish by now and have not."""
        return self._request[self._begin : self._place(rounds, "right")].tolist()

    def admits(self, start: int, prompt: int, length: int, margin: int = 0) -> bool:
        """Whether the KV cache holds at every future finish when this request starts after `start` rounds, with
        `margin` tokens to spare."""
        finish, offset = start + length, prompt - start + margin
        begin, end = self._begin, self._end
        last = self._place(finish, "right")
        if last > begin and (self._room[begin:last] - self._finish[begin:last]).min() < offset:
            return False
        first = self._place(finish, "left")
        at_finish = int(self._offset[first:end].sum()) + (end - first) * finish
        return at_finish + offset + finish <= self.capacity

    def rounds_to_wait(self, start: int, prompt: int, length: int, margin: int = 0) -> int | None:
        """Fewest rounds, at least 1, after which the request is admitted while all that is active still runs.

        None where that is not before the next finish: what has finished by then may change the answer.
        """
        after = self._place(start, "right")
        if after == self._end:
            return None
        next_finish, begin = int(self._finish[after]), start + 1
        while begin < next_finish:
            free = self._free_from(begin, prompt, length, margin)
            if free == begin:
                return begin - start
            begin = free
        return None

    def rounds_to_finish(self, rounds: int) -> int | None:
        """Rounds until the next expected finish; None where none is ahead."""
        after = self._place(rounds, "right")
        return None if after == self._end else int(self._finish[after]) - rounds

    def _free_from(self, start: int, prompt: int, length: int, margin: int) -> int:
        """`start` where the request is admitted then, else a later start before which it is not."""
        finish, end = start + length, self._end
        begin, last = self._place(start, "right"), self._place(finish, "right")
        if last > begin:
            # At a finish f it holds prompt + f - start: each round of waiting saves a token there.
            needed = prompt + margin - int((self._room[begin:last] - self._finish[begin:last]).min())
            if needed > start:
                return needed
        first = self._place(finish, "left")
        at_finish = int(self._offset[first:end].sum()) + (end - first) * finish
        if at_finish + prompt + length + margin <= self.capacity:
            return start
        return int(self._finish[first]) - length + 1 if first < end else NEVER
