"""What runs on the worker (compiled): the active requests by finish, with the KV that each holds, and the clock.

Requests stand by descending round of their last token, so that completions leave at the end.  One that started after
s rounds with prompt p holds its *offset* p - s and t tokens in round t.  KV use grows between finishes, so a set fits
exactly when it fits in the last round of each of its members.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llmsched_mip.algorithms.orders.single_worker import run_seconds
from llmsched_mip.compiled import kernel, routine
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.timing import FloatArray, IntArray

ROUNDS, COUNT, HELD = 0, 1, 2
NOW, COST, DONE = 0, 1, 2


class Active(NamedTuple):
    """Active requests, and where the clock stands.

    Attributes
    ----------
    finish, offset, request : int arrays, shape (K,)
    up_to, room : int arrays, shape (K,)
        Offsets summed up to each; the least room that a finish leaves, from each to the next completion.
    counts : int array, shape (3,)
        Rounds run, active requests, KV tokens held.
    seconds : float array, shape (3,)
        Time, Σ weight · completion of what is complete, and its weight.
    """

    finish: IntArray
    offset: IntArray
    request: IntArray
    up_to: IntArray
    room: IntArray
    counts: IntArray
    seconds: FloatArray

    @classmethod
    def nothing(cls, most: int) -> Active:
        """An empty worker at time 0, with arrays for `most` requests."""
        columns = np.zeros((5, most), dtype=np.int64)
        finish, offset, request, up_to, room = (columns[k].copy() for k in range(5))
        return cls(finish, offset, request, up_to, room, np.zeros(3, dtype=np.int64), np.zeros(3))

    def copy(self) -> Active:
        """A copy."""
        finish, offset, request, up_to, room, counts, seconds = self
        rows = finish.copy(), offset.copy(), request.copy(), up_to.copy(), room.copy()
        return Active(*rows, counts.copy(), seconds.copy())


@kernel
def clear(active):  # type: ignore[no-untyped-def]
    """Empty the worker and set its clock to 0."""
    for k in range(3):
        active.counts[k] = 0
        active.seconds[k] = 0.0


@routine
def run(problem, active, rounds, not_before):  # type: ignore[no-untyped-def]
    """Run rounds, at most up to the next completion; the time after them is `not_before` at the earliest."""
    count, held = active.counts[COUNT], active.counts[HELD]
    now = max(not_before, active.seconds[NOW] + run_seconds(problem, rounds, count, held))
    t = active.counts[ROUNDS] + rounds
    held += rounds * count
    while count > 0 and active.finish[count - 1] == t:
        count -= 1
        i = active.request[count]
        held -= problem.p[i] + problem.d[i]
        active.seconds[DONE] += problem.weight[i]
        active.seconds[COST] += problem.weight[i] * now
    active.counts[ROUNDS], active.counts[COUNT], active.counts[HELD] = t, count, held
    active.seconds[NOW] = now


@kernel
def to_next_completion(active):  # type: ignore[no-untyped-def]
    """Rounds until the next completion; something must be active."""
    return active.finish[active.counts[COUNT] - 1] - active.counts[ROUNDS]


@kernel
def value(problem, active):  # type: ignore[no-untyped-def]
    """The objective, once all is complete."""
    return active.seconds[NOW] if problem.makespan else active.seconds[COST]


@routine
def refresh(problem, active):  # type: ignore[no-untyped-def]
    """Fill `up_to` and `room`."""
    count, total, least, held = active.counts[COUNT], 0, MOST_LIMIT, 0
    for j in range(count):
        total += active.offset[j]
        active.up_to[j] = total
    for j in range(count - 1, -1, -1):
        if j == count - 1 or active.finish[j] != active.finish[j + 1]:
            held = active.up_to[j] + (j + 1) * active.finish[j]
        least = min(least, problem.capacity - held - active.finish[j])
        active.room[j] = least


@kernel
def place(active, finish):  # type: ignore[no-untyped-def]
    """First position with a finish of at most this."""
    low, high = 0, active.counts[COUNT]
    while low < high:
        middle = (low + high) // 2
        if active.finish[middle] <= finish:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def admits(problem, active, i):  # type: ignore[no-untyped-def]
    """Whether request i fits if it is prefilled now, until all that runs has ended; `refresh` must be up to date."""
    if active.counts[HELD] + active.counts[COUNT] + problem.p[i] + 1 > problem.capacity:
        return False
    offset, finish = problem.p[i] - active.counts[ROUNDS], active.counts[ROUNDS] + problem.d[i]
    at = place(active, finish)
    if at < active.counts[COUNT]:
        if active.room[at] < offset:
            return False
        if active.finish[at] == finish:
            return True
    before = active.up_to[at - 1] if at > 0 else 0
    return before + offset + finish * (at + 1) <= problem.capacity


@routine
def start(problem, active, i):  # type: ignore[no-untyped-def]
    """Make request i active."""
    offset, finish = problem.p[i] - active.counts[ROUNDS], active.counts[ROUNDS] + problem.d[i]
    at, count = place(active, finish), active.counts[COUNT]
    for j in range(count, at, -1):
        active.finish[j], active.offset[j] = active.finish[j - 1], active.offset[j - 1]
        active.request[j] = active.request[j - 1]
    active.finish[at], active.offset[at], active.request[at] = finish, offset, i
    active.counts[COUNT] += 1
    active.counts[HELD] += problem.p[i]


@kernel
def stop(problem, active, iteration):  # type: ignore[no-untyped-def]
    """Take out again what has started and has no prefill iteration, -1."""
    kept = 0
    for j in range(active.counts[COUNT]):
        i = active.request[j]
        if iteration[i] < 0:
            active.counts[HELD] -= problem.p[i]
            continue
        active.finish[kept], active.offset[kept], active.request[kept] = active.finish[j], active.offset[j], i
        kept += 1
    active.counts[COUNT] = kept
