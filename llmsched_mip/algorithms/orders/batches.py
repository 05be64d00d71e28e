"""A plan as a sequence of batches, each with the most requests that may still run when it starts (compiled).

A batch is one prefill iteration.  It starts at the first round, after the batch before it, at which no more than
`limit` requests are active and all of it fits: slots, and KV in the last round of all that runs.  Between two
completions waiting pays only where KV binds (`algorithms.stages.branch` has the proof), so every plan that is worth
having is such a sequence; and a sequence stays a plan whatever is changed in it.

Every change is noted in a journal, so that a trial is undone in the reverse order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.algorithms.orders.single_worker import SingleWorker, Starts
from llmsched_mip.compiled import kernel, routine
from llmsched_mip.timing import IntArray

BATCHES, FREE, NOTES = 0, 1, 2
MOVED, OPENED, CLOSED, CARRIED, LIMITED = 0, 1, 2, 3, 4


class Batches(NamedTuple):
    """Batches by number; their requests are chained, longest first.

    Attributes
    ----------
    sequence, place : int arrays, shape (n + 1,)
        Batch at each place of the sequence, and the place of each batch.
    first : int array, shape (n + 1,)
        First request of a batch, -1 for none.
    after, batch : int arrays, shape (n,)
        Next request of the same batch, -1 for none; batch of each request.
    size, tokens, limit : int arrays, shape (n + 1,)
        Requests and prompt tokens of a batch; most active requests when it starts.
    free : int array, shape (n + 1,)
        Numbers that no batch has.
    journal : int array, shape (2 n + 8, 4)
        What was done: kind, what, where, with which limit before.
    counts : int array, shape (3,)
        Batches, free numbers, notes in the journal.
    """

    sequence: IntArray
    place: IntArray
    first: IntArray
    after: IntArray
    batch: IntArray
    size: IntArray
    tokens: IntArray
    limit: IntArray
    free: IntArray
    journal: IntArray
    counts: IntArray

    @classmethod
    def of(cls, problem: SingleWorker, starts: Starts) -> Batches:
        """The sequence of given starts, with as many active before each batch as there are in them."""
        n, count = len(problem.p), int(starts.iteration.max()) + 1
        sizes = np.bincount(starts.iteration, minlength=count)
        begin = np.zeros(count, dtype=np.int64)
        begin[starts.iteration] = starts.rounds
        ended = np.searchsorted(np.sort(starts.rounds + problem.d), begin, side="right")
        zeros = np.zeros((5, n + 1), dtype=np.int64)
        batches = cls(
            sequence=zeros[0].copy(),
            place=zeros[1].copy(),
            first=np.full(n + 1, -1),
            after=np.full(n, -1),
            batch=np.zeros(n, dtype=np.int64),
            size=zeros[2].copy(),
            tokens=zeros[3].copy(),
            limit=zeros[4].copy(),
            free=np.arange(n, -1, -1),
            journal=np.zeros((2 * n + 8, 4), dtype=np.int64),
            counts=np.array([0, n + 1, 0]),
        )
        order = np.lexsort((problem.d, starts.iteration))
        _fill(problem, batches, starts.iteration, order, np.cumsum(sizes) - sizes - ended)
        return batches

    def copy(self) -> Batches:
        """A copy."""
        return Batches(*(column.copy() for column in self))


@njit(cache=True)
def _fill(problem, batches, iteration, order, limits):  # type: ignore[no-untyped-def]
    for at in range(len(limits)):
        open_batch(batches, at, limits[at])
    for i in order:
        _put(problem, batches, batches.sequence[iteration[i]], i)
    batches.counts[NOTES] = 0


@kernel
def _note(batches, kind, what, where, limit):  # type: ignore[no-untyped-def]
    row = batches.journal[batches.counts[NOTES]]
    row[0], row[1], row[2], row[3] = kind, what, where, limit
    batches.counts[NOTES] += 1


@kernel
def _put(problem, batches, b, i):  # type: ignore[no-untyped-def]
    before, behind = -1, batches.first[b]
    while behind >= 0 and problem.d[behind] > problem.d[i]:
        before, behind = behind, batches.after[behind]
    batches.after[i] = behind
    if before < 0:
        batches.first[b] = i
    else:
        batches.after[before] = i
    batches.batch[i] = b
    batches.size[b] += 1
    batches.tokens[b] += problem.p[i]


@kernel
def _take(problem, batches, i):  # type: ignore[no-untyped-def]
    b = batches.batch[i]
    if batches.first[b] == i:
        batches.first[b] = batches.after[i]
    else:
        before = batches.first[b]
        while batches.after[before] != i:
            before = batches.after[before]
        batches.after[before] = batches.after[i]
    batches.size[b] -= 1
    batches.tokens[b] -= problem.p[i]


@kernel
def _insert(batches, b, at):  # type: ignore[no-untyped-def]
    for k in range(batches.counts[BATCHES], at, -1):
        batches.sequence[k] = batches.sequence[k - 1]
        batches.place[batches.sequence[k]] = k
    batches.sequence[at], batches.place[b] = b, at
    batches.counts[BATCHES] += 1


@kernel
def _remove(batches, at):  # type: ignore[no-untyped-def]
    batches.counts[BATCHES] -= 1
    for k in range(at, batches.counts[BATCHES]):
        batches.sequence[k] = batches.sequence[k + 1]
        batches.place[batches.sequence[k]] = k


@routine
def move_request(problem, batches, i, b):  # type: ignore[no-untyped-def]
    """Move a request into batch b."""
    _note(batches, MOVED, i, batches.batch[i], 0)
    _take(problem, batches, i)
    _put(problem, batches, b, i)


@routine
def open_batch(batches, at, limit):  # type: ignore[no-untyped-def]
    """An empty batch at a place of the sequence; its number."""
    batches.counts[FREE] -= 1
    b = batches.free[batches.counts[FREE]]
    batches.first[b], batches.size[b], batches.tokens[b], batches.limit[b] = -1, 0, 0, limit
    _insert(batches, b, at)
    _note(batches, OPENED, b, at, 0)
    return b


@routine
def close_batch(batches, b):  # type: ignore[no-untyped-def]
    """Take an empty batch out of the sequence."""
    _note(batches, CLOSED, b, batches.place[b], batches.limit[b])
    _remove(batches, batches.place[b])
    batches.free[batches.counts[FREE]] = b
    batches.counts[FREE] += 1


@routine
def carry_batch(batches, b, at):  # type: ignore[no-untyped-def]
    """Move a batch to another place of the sequence."""
    _note(batches, CARRIED, b, batches.place[b], 0)
    _remove(batches, batches.place[b])
    _insert(batches, b, at)


@kernel
def limit_batch(batches, b, limit):  # type: ignore[no-untyped-def]
    """Give a batch another limit."""
    _note(batches, LIMITED, b, 0, batches.limit[b])
    batches.limit[b] = limit


@routine
def undo(problem, batches):  # type: ignore[no-untyped-def]
    """Undo all that stands in the journal."""
    while batches.counts[NOTES] > 0:
        batches.counts[NOTES] -= 1
        kind, what, where, limit = batches.journal[batches.counts[NOTES]]
        if kind == MOVED:
            _take(problem, batches, what)
            _put(problem, batches, where, what)
        elif kind == OPENED:
            _remove(batches, where)
            batches.counts[FREE] += 1
        elif kind == CLOSED:
            batches.counts[FREE] -= 1
            batches.limit[what] = limit
            _insert(batches, what, where)
        elif kind == CARRIED:
            _remove(batches, batches.place[what])
            _insert(batches, what, where)
        else:
            batches.limit[what] = limit
