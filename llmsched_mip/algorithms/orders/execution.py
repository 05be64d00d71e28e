"""What a sequence of batches does, executed anew only where it has changed (compiled).

After each batch the state of the worker is kept.  A trial begins at the state before the first batch that has changed,
and ends where behind the last one the same is active with the same left to do as before: from there on all is as it
was, only later or earlier by the same time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.algorithms.orders.active import (
    COST,
    COUNT,
    DONE,
    HELD,
    NOW,
    ROUNDS,
    Active,
    clear,
    run,
    to_next_completion,
    value,
)
from llmsched_mip.algorithms.orders.batches import BATCHES, Batches
from llmsched_mip.algorithms.orders.single_worker import (
    SingleWorker,
    Starts,
    prefill_seconds,
    rounds_to_pass,
    run_seconds,
)
from llmsched_mip.compiled import kernel, routine
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.timing import FloatArray, IntArray

MOST_CELLS = 8_000_000
TOTAL, WEIGHT, LAST_ARRIVAL = 0, 1, 2


class States(NamedTuple):
    """The worker just after the start of each batch, by batch number.

    Attributes
    ----------
    left, held, request : int arrays, shape (rows, K)
        Rounds left and KV tokens held of each active request; rows for the batches of the lowest numbers.
    counts : int array, shape (n + 1, 2)
        Active requests, -1 where nothing is known, and KV tokens held.
    seconds : float array, shape (n + 1, 3)
        Time, Σ weight · completion of what is complete, and its weight.
    totals : float array, shape (3,)
        Value of the whole sequence, weight of all requests, latest arrival.
    """

    left: IntArray
    held: IntArray
    request: IntArray
    counts: IntArray
    seconds: FloatArray
    totals: FloatArray


class Execution(NamedTuple):
    """The worker, a second table for what it would be with one more batch, and the states of the sequence."""

    active: Active
    merged: Active
    states: States

    @classmethod
    def of(cls, problem: SingleWorker) -> Execution:
        """With nothing known."""
        n, most = len(problem.p), problem.most_active
        rows = max(1, min(n + 1, MOST_CELLS // most))
        totals = np.array([np.inf, problem.weight.sum(), problem.arrival_s.max()])
        states = States(
            np.zeros((rows, most), dtype=np.int64),
            np.zeros((rows, most), dtype=np.int64),
            np.zeros((rows, most), dtype=np.int64),
            np.full((n + 1, 2), -1),
            np.zeros((n + 1, 3)),
            totals,
        )
        return cls(Active.nothing(most), Active.nothing(most), states)


@routine
def _rounds_to_fit(problem, active, merged, first, after):  # type: ignore[no-untyped-def]
    """Merge the batch of request `first` into the active; 0, or the rounds to wait at least until it fits.

    A round of waiting saves, at the finish of one that runs, a token of each new request that is active then.
    """
    t, count = active.counts[ROUNDS], active.counts[COUNT]
    i, j, k, total, new, wait, of_active = first, 0, 0, 0, 0, 0, False
    while j < count or i >= 0:
        if i >= 0 and (j >= count or t + problem.d[i] >= active.finish[j]):
            finish, offset, request, joins = t + problem.d[i], problem.p[i] - t, i, True
            i = after[i]
        else:
            finish, offset, request, joins = active.finish[j], active.offset[j], active.request[j], False
            j += 1
        if k > 0 and finish != merged.finish[k - 1]:
            wait = max(wait, _rounds_too_many(total + k * merged.finish[k - 1] - problem.capacity, of_active, new))
            of_active = False
        merged.finish[k], merged.offset[k], merged.request[k] = finish, offset, request
        total += offset
        k += 1
        new += joins
        of_active = of_active or not joins
    return max(wait, _rounds_too_many(total + k * merged.finish[k - 1] - problem.capacity, of_active, new))


@kernel
def _rounds_too_many(excess, of_active, new):  # type: ignore[no-untyped-def]
    """Rounds to wait at least for an excess of KV tokens at a finish, where `new` requests of the batch are active."""
    if excess <= 0:
        return 0
    return (excess + new - 1) // new if of_active and new > 0 else 1


@routine
def _ready(problem, batches, active, b):  # type: ignore[no-untyped-def]
    """Run until all requests of a batch have arrived."""
    ready_s, i = 0.0, batches.first[b]
    while i >= 0:
        ready_s = max(ready_s, problem.arrival_s[i])
        i = batches.after[i]
    while active.seconds[NOW] < ready_s:
        if active.counts[COUNT] == 0:
            active.seconds[NOW] = ready_s
        else:
            rounds = to_next_completion(active)
            wait_s = ready_s - active.seconds[NOW]
            if run_seconds(problem, rounds, active.counts[COUNT], active.counts[HELD]) < wait_s:
                run(problem, active, rounds, 0.0)
            else:
                rounds = rounds_to_pass(problem, wait_s, active.counts[COUNT], active.counts[HELD], rounds)
                run(problem, active, rounds, ready_s)


@njit(cache=True)
def _start(problem, batches, execution, b):  # type: ignore[no-untyped-def]
    """Run until batch b starts, and start it; False where it never can."""
    active, merged, size = execution.active, execution.merged, batches.size[b]
    while active.counts[COUNT] > min(batches.limit[b], problem.slots - size):
        if active.counts[COUNT] == 0:
            return False
        run(problem, active, to_next_completion(active), 0.0)
    if execution.states.totals[LAST_ARRIVAL] > 0:
        _ready(problem, batches, active, b)
    while True:
        count, wait = active.counts[COUNT], MOST_LIMIT
        if active.counts[HELD] + count + batches.tokens[b] + size <= problem.capacity:
            wait = _rounds_to_fit(problem, active, merged, batches.first[b], batches.after)
        if wait == 0:
            break
        if count == 0:
            return False
        run(problem, active, min(wait, to_next_completion(active)), 0.0)
    count += size
    for k in range(count):
        active.finish[k], active.offset[k] = merged.finish[k], merged.offset[k]
        active.request[k] = merged.request[k]
    active.counts[COUNT] = count
    active.counts[HELD] += batches.tokens[b]
    active.seconds[NOW] += prefill_seconds(problem, batches.tokens[b])
    return True


@routine
def _load(active, states, b):  # type: ignore[no-untyped-def]
    """Put the worker into the state after batch b, with 0 rounds run."""
    active.counts[ROUNDS], active.counts[COUNT], active.counts[HELD] = 0, states.counts[b, 0], states.counts[b, 1]
    for k in range(states.counts[b, 0]):
        active.finish[k], active.request[k] = states.left[b, k], states.request[b, k]
        active.offset[k] = states.held[b, k]
    for k in range(3):
        active.seconds[k] = states.seconds[b, k]


@routine
def _save(active, states, b):  # type: ignore[no-untyped-def]
    """Keep the state after batch b."""
    t, count = active.counts[ROUNDS], active.counts[COUNT]
    states.counts[b, 0], states.counts[b, 1] = count, active.counts[HELD]
    if b < len(states.left):
        for k in range(count):
            states.left[b, k], states.request[b, k] = active.finish[k] - t, active.request[k]
            states.held[b, k] = active.offset[k] + t
    for k in range(3):
        states.seconds[b, k] = active.seconds[k]


@routine
def _as_before(problem, active, states, b):  # type: ignore[no-untyped-def]
    """Whether the state after batch b is the one that was kept, but for the time."""
    t, count = active.counts[ROUNDS], active.counts[COUNT]
    if b >= len(states.left) or states.counts[b, 0] != count or states.counts[b, 1] != active.counts[HELD]:
        return False
    now, before = active.seconds[NOW], states.seconds[b, NOW]
    if now != before and min(now, before) < states.totals[LAST_ARRIVAL]:
        return False
    for k in range(count):
        if states.left[b, k] != active.finish[k] - t or states.held[b, k] != active.offset[k] + t:
            return False
        if problem.weight[states.request[b, k]] != problem.weight[active.request[k]]:
            return False
    return True


@routine
def _shift(batches, states, at, later_s, dearer):  # type: ignore[no-untyped-def]
    """Let the states from a place on be later, and what is complete there dearer."""
    done = states.seconds[batches.sequence[at], DONE]
    for k in range(at, batches.counts[BATCHES]):
        b = batches.sequence[k]
        states.seconds[b, COST] += dearer + later_s * (states.seconds[b, DONE] - done)
        states.seconds[b, NOW] += later_s


@njit(cache=True)
def execute(problem, batches, execution, first, last, keep):  # type: ignore[no-untyped-def]
    """Value of the sequence, of which the batches at the places `first` to `last` have changed; infinite: no plan.

    With `keep` its states become the known ones.
    """
    active, states = execution.active, execution.states
    while first > 0 and batches.sequence[first - 1] >= len(states.left):
        first -= 1
    clear(active)
    if first > 0:
        _load(active, states, batches.sequence[first - 1])
    for at in range(first, batches.counts[BATCHES]):
        b = batches.sequence[at]
        if not _start(problem, batches, execution, b):
            return np.inf
        if at >= last and _as_before(problem, active, states, b):
            later_s = active.seconds[NOW] - states.seconds[b, NOW]
            dearer, left = active.seconds[COST] - states.seconds[b, COST], states.totals[WEIGHT] - active.seconds[DONE]
            total = states.totals[TOTAL] + (later_s if problem.makespan else dearer + later_s * left)
            if keep:
                _shift(batches, states, at, later_s, dearer)
                states.totals[TOTAL] = total
            return total
        if keep:
            _save(active, states, b)
    while active.counts[COUNT] > 0:
        run(problem, active, to_next_completion(active), 0.0)
    if keep:
        states.totals[TOTAL] = value(problem, active)
    return value(problem, active)


@njit(cache=True)
def _fill_starts(problem, batches, execution, starts):  # type: ignore[no-untyped-def]
    active = execution.active
    clear(active)
    for at in range(batches.counts[BATCHES]):
        _start(problem, batches, execution, batches.sequence[at])
        i = batches.first[batches.sequence[at]]
        while i >= 0:
            starts.rounds[i], starts.iteration[i] = active.counts[ROUNDS], at
            i = batches.after[i]


def starts_of(problem: SingleWorker, batches: Batches, execution: Execution) -> Starts:
    """The starts of a sequence that is a plan."""
    starts = Starts.empty(len(problem.p))
    _fill_starts(problem, batches, execution, starts)
    return starts
