"""The forward KV check: will the KV cache hold at every future completion if a request starts now?"""

from __future__ import annotations

from typing import Literal

import numpy as np

from llmsched_mip.timing import IntArray, request_kv_peak

SLACK = 256
NEVER = 2**62
Entry = tuple[int, int, int]


class KVProfile:
    """KV use of one worker's active requests over its coming decode rounds.

    In absolute rounds a request that started at round s with prompt p holds ``p - s + t`` tokens in round t, up to
    its finish f.  The total grows between finishes, so it is enough to check it in the last round of every active
    request and of the candidate.  Slots are refilled later by requests that are checked in their turn.

    As long as the peaks of all active requests fit together there is nothing to check, and changes are only noted.
    Else they are applied to a table (`_Table`).

    Parameters
    ----------
    capacity : int
        KV tokens of the worker.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self._entries: dict[int, Entry] = {}
        self._peaks = 0
        self._table = _Table(capacity)
        self._added: dict[int, Entry] = {}
        self._gone: list[int] = []
        self._latest: set[int] = set()
        self._before: IntArray | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, request: int, start: int, prompt: int, length: int) -> None:
        """Add an active request: started after `start` rounds, expected to run `length` rounds."""
        self._entries[request] = self._added[request] = start, prompt, length
        self._peaks += request_kv_peak(prompt, length)

    def remove(self, request: int) -> None:
        """Forget a request that has completed or was evicted; one that is not here is no error."""
        entry = self._entries.pop(request, None)
        if entry is None:
            return
        self._peaks -= request_kv_peak(entry[1], entry[2])
        if self._added.pop(request, None) is None:
            self._gone.append(request)

    def overdue(self, rounds: int) -> list[int]:
        """Requests that were expected to finish by now and have not."""
        return self._synced().until(rounds)

    def admits(self, start: int, prompt: int, length: int, margin: int = 0) -> bool:
        """Whether the KV cache holds at every future finish when this request starts after `start` rounds, with
        `margin` tokens to spare."""
        if self._peaks + request_kv_peak(prompt, length) + margin <= self.capacity:
            return True
        return self._synced().admits(start, prompt + margin, length)

    def rounds_to_wait(self, start: int, prompt: int, length: int, margin: int = 0) -> int | None:
        """Fewest rounds, at least 1, after which the request is admitted while all that is active still runs.

        None where that is not before the next finish: what has finished by then may change the answer.
        """
        table = self._synced()
        next_finish, begin = table.next_finish(start), start + 1
        while next_finish is not None and begin < next_finish:
            free = table.free_from(begin, prompt + margin, length)
            if free == begin:
                return begin - start
            begin = free
        return None

    def rounds_to_finish(self, rounds: int) -> int | None:
        """Rounds until the next expected finish; None where none is ahead."""
        after = self._synced().next_finish(rounds)
        return None if after is None else after - rounds

    def _synced(self) -> _Table:
        """The table with all changes applied."""
        table = self._table
        if len(self._gone) + len(self._added) > max(8, len(self._entries) // 4):
            table.fill(self._entries)
            self._latest.clear()
        else:
            if self._gone:
                self._apply_gone(table)
            if self._added:
                self._apply_added(table)
        self._gone.clear()
        self._added.clear()
        return table

    def _apply_gone(self, table: _Table) -> None:
        """A batch that was added last and is retracted as a whole is undone by going back to the copy."""
        gone = set(self._gone)
        if self._latest and self._latest <= gone and self._before is not None:
            table.restore(self._before)
            gone -= self._latest
        self._latest.clear()
        if gone:
            table.remove(gone)

    def _apply_added(self, table: _Table) -> None:
        if not self._latest:
            self._before = table.copy()
        self._latest.update(self._added)
        for request, entry in self._added.items():
            table.add(request, *entry)


class _Table:
    """Requests by ascending finish, with the room that the last round of each leaves.

    The rows are the finish f, the request, its offset p - s, and ``room - finish``, where the room is the capacity
    less the KV held in round f: what a candidate with offset o that is active then needs is room - f ≥ o.  A change
    is made in place.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self._begin = self._end = 0
        self._use(np.zeros((4, SLACK), dtype=np.int64))

    def _use(self, rows: IntArray) -> None:
        self._rows = rows
        self._finish, self._request, self._offset, self._spare = rows

    def _place(self, finish: int, side: Literal["left", "right"]) -> int:
        live = self._finish[self._begin : self._end]
        return self._begin + int(live.searchsorted(finish, side))

    def fill(self, entries: dict[int, Entry]) -> None:
        """Start anew with these requests."""
        count = len(entries)
        if count > self._rows.shape[1]:
            self._use(np.zeros((4, 2 * count), dtype=np.int64))
        start, prompt, length = np.array(list(entries.values()), dtype=np.int64).reshape(count, 3).T
        request, finish = np.fromiter(entries, dtype=np.int64, count=count), start + length
        order = np.argsort(finish, kind="stable")
        finish, offset = finish[order], (prompt - start)[order]
        first = np.searchsorted(finish, finish, side="left")
        held = offset[::-1].cumsum()[::-1][first] + (count - first) * finish
        self._begin, self._end = 0, count
        self._rows[:, :count] = finish, request[order], offset, self.capacity - held - finish

    def add(self, request: int, start: int, prompt: int, length: int) -> None:
        """Add a request."""
        finish, offset = start + length, prompt - start
        if self._end == self._rows.shape[1]:
            self._make_room()
        begin, end, rows = self._begin, self._end, self._rows
        place = self._place(finish, "right")
        spare = self.capacity - finish * (end - place + 2) - int(self._offset[place:end].sum()) - offset
        rows[:, place + 1 : end + 1] = rows[:, place:end]
        self._spare[begin:place] -= self._finish[begin:place] + offset
        if place > begin and self._finish[place - 1] == finish:
            # Equal finishes hold their KV together: each of them sees the whole.
            spare = self._spare[place - 1]
        rows[:, place] = finish, request, offset, spare
        self._end += 1

    def _make_room(self) -> None:
        live = self._rows[:, self._begin : self._end]
        rows = np.zeros((4, 2 * live.shape[1] + SLACK), dtype=np.int64)
        rows[:, : live.shape[1]] = live
        self._begin, self._end = 0, live.shape[1]
        self._use(rows)

    def copy(self) -> IntArray:
        """A copy of the rows, for `restore`."""
        return self._rows[:, self._begin : self._end].copy()

    def restore(self, rows: IntArray) -> None:
        """Go back to the rows of a `copy`."""
        self._begin, self._end = 0, rows.shape[1]
        self._rows[:, : self._end] = rows

    def remove(self, gone: set[int]) -> None:
        """Remove requests that are in the table."""
        begin = self._begin
        while gone and int(self._request[begin]) in gone and self._finish_is_alone(begin):
            gone.remove(int(self._request[begin]))
            begin += 1
        self._begin = begin
        for request in gone:
            self._remove_inside(request)

    def _finish_is_alone(self, place: int) -> bool:
        return place + 1 >= self._end or bool(self._finish[place + 1] != self._finish[place])

    def _remove_inside(self, request: int) -> None:
        begin, end, rows = self._begin, self._end, self._rows
        place = begin + int(self._request[begin:end].tolist().index(request))
        finish, offset = int(self._finish[place]), int(self._offset[place])
        last = self._place(finish, "right")
        self._spare[begin:last] += self._finish[begin:last] + offset
        rows[:, begin + 1 : place + 1] = rows[:, begin:place]
        self._begin += 1

    def until(self, rounds: int) -> list[int]:
        """Requests with a finish of at most `rounds`."""
        overdue: list[int] = self._request[self._begin : self._place(rounds, "right")].tolist()
        return overdue

    def admits(self, start: int, prompt: int, length: int) -> bool:
        """The check against every finish up to the candidate's own."""
        finish, offset = start + length, prompt - start
        begin, end = self._begin, self._end
        last = self._place(finish, "right")
        if last > begin and self._spare[begin:last].min() < offset:
            return False
        if last > begin and self._finish[last - 1] == finish:
            return True
        return finish * (end - last + 1) + int(self._offset[last:end].sum()) + offset <= self.capacity

    def next_finish(self, rounds: int) -> int | None:
        """The first finish after `rounds`."""
        after = self._place(rounds, "right")
        return None if after == self._end else int(self._finish[after])

    def free_from(self, start: int, prompt: int, length: int) -> int:
        """`start` where the candidate is admitted then, else a later start before which it is not."""
        finish, end = start + length, self._end
        begin, last = self._place(start, "right"), self._place(finish, "right")
        if last > begin:
            # At a finish f it holds prompt + f - start: each round of waiting saves a token there.
            needed = prompt - int(self._spare[begin:last].min())
            if needed > start:
                return needed
        first = self._place(finish, "left")
        at_finish = int(self._offset[first:end].sum()) + (end - first) * finish
        if at_finish + request_kv_peak(prompt, length) <= self.capacity:
            return start
        return int(self._finish[first]) - length + 1 if first < end else NEVER
