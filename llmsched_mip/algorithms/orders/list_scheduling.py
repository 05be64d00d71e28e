"""List scheduling on one worker (compiled): prefill in the order of a list what fits, when enough of it fits.

Where KV binds, the number of idle slots says nothing: a rule can wait for requests that *fit*.  Where the list puts
like decode lengths together, those that were prefilled together complete together, within a few rounds: a rule that
holds back while a completion is that near refills all of their KV with one prefill iteration.

Requests that start together grow together: the KV cache is empty at first and full at their ends.  A rule with a pace
starts them one after the other, as fast as the KV cache can take their token-rounds, so that those that are active are
of all ages and it is full all the time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.algorithms.orders.active import (
    COUNT,
    HELD,
    NOW,
    ROUNDS,
    Active,
    admits,
    refresh,
    run,
    start,
    stop,
    to_next_completion,
    value,
)
from llmsched_mip.algorithms.orders.single_worker import (
    SingleWorker,
    Starts,
    kv_volume,
    prefill_seconds,
    rounds_to_pass,
)
from llmsched_mip.compiled import kernel
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.timing import FloatArray, IntArray

NEVER = np.inf
ROUNDING = 1e-9


class Rule(NamedTuple):
    """When to prefill, and what; with nothing active whatever fits is prefilled.

    Parameters
    ----------
    idle : int
        Least idle slots.
    fits : int
        Least requests that fit, or all that wait.
    misses : int
        So many that do not fit are looked at; 1 stops at the first.
    hold : int
        No prefill while the next completion is at most so many rounds away.
    most : int
        Most requests in a prefill iteration.
    pace : float
        With something active, a request starts when the rounds run could hold so many times the KV token-rounds of all
        that started before it; 0: as soon as it fits.
    step : int
        Rounds: those that the pace would start within a step are started together, at its end.
    """

    idle: int = 1
    fits: int = 1
    misses: int = 1
    hold: int = 0
    most: int = MOST_LIMIT
    pace: float = 0.0
    step: int = 1


class Waiting(NamedTuple):
    """Positions of the list that wait, chained: ``after[k]`` is the next one behind k, ``after[n]`` the first."""

    after: IntArray
    batch: IntArray

    @classmethod
    def of(cls, problem: SingleWorker, order: IntArray, starts: Starts) -> Waiting:
        """What has not started yet."""
        n, places = len(order), np.flatnonzero(starts.iteration[order] < 0)
        after = np.full(n + 1, n)
        after[np.concatenate(([n], places[:-1]))[: len(places)]] = places
        return cls(after, np.zeros(problem.most_active, dtype=np.int64))


class Progress(NamedTuple):
    """How far a schedule has come: what is active, and the starts, with the iteration -1 for what waits."""

    active: Active
    starts: Starts

    @classmethod
    def nothing(cls, problem: SingleWorker) -> Progress:
        """Before the first prefill iteration."""
        starts = Starts.empty(len(problem.p))
        starts.iteration[:] = -1
        return cls(Active.nothing(problem.most_active), starts)

    def copy(self) -> Progress:
        """A copy."""
        return Progress(self.active.copy(), self.starts.copy())


class Stretch(NamedTuple):
    """How far to go: until requests of so many seconds of work have started; infinite: until all are complete.

    Parameters
    ----------
    work_s : float array, shape (n,)
    until_s : float
    """

    work_s: FloatArray
    until_s: float


class ListSchedule(NamedTuple):
    """Value of the objective, and the starts."""

    value: float
    starts: Starts


def list_schedule(problem: SingleWorker, order: IntArray, rule: Rule) -> ListSchedule:
    """Execute a rule on a list that holds each request once, order[0] first: the plan of `policies.IdleThreshold`."""
    progress = Progress.nothing(problem)
    value_s = advance(problem, order, rule, progress, Stretch(np.zeros(len(order)), np.inf), sorted_arrivals(problem))
    return ListSchedule(value_s, progress.starts)


def sorted_arrivals(problem: SingleWorker) -> FloatArray:
    """Arrivals in order of time, and one that never comes, shape (n + 1,)."""
    return np.append(np.sort(problem.arrival_s), NEVER)


def advance(
    problem: SingleWorker, order: IntArray, rule: Rule, progress: Progress, stretch: Stretch, arrival_s: FloatArray
) -> float:
    """Go on by a rule on a list to the end of a stretch; the objective of what is complete by then."""
    return float(
        _execute(problem, order, rule, arrival_s, progress, Waiting.of(problem, order, progress.starts), stretch)
    )


@njit(cache=True)
def _execute(problem, order, rule, arrival_s, progress, waiting, stretch):  # type: ignore[no-untyped-def]
    """Fill the starts; the value."""
    active, starts = progress
    n, least = len(order), problem.p.min()
    left, arrived, iteration, started_s, volume = n, 0, 0, 0.0, 0.0
    for i in range(n):
        if starts.iteration[i] >= 0:
            left, iteration, started_s = (
                left - 1,
                max(iteration, starts.iteration[i] + 1),
                started_s + stretch.work_s[i],
            )
            volume += kv_volume(problem.d[i], 1, problem.p[i])
    while left > 0 or active.counts[COUNT] > 0:
        if stretch.until_s < np.inf and (left == 0 or started_s >= stretch.until_s):
            break
        while arrival_s[arrived] <= active.seconds[NOW]:
            arrived += 1
        count = active.counts[COUNT]
        taken = 0
        if left > 0 and _may_prefill(problem, active, rule, least):
            taken, tokens = _choose(problem, order, rule, active, waiting, volume)
            if taken > 0 and count > 0 and taken < min(rule.fits, left - (n - arrived)):
                stop(problem, active, starts.iteration)
                taken = 0
        if taken > 0:
            for k in range(taken):
                i = order[waiting.batch[k]]
                started_s += stretch.work_s[i]
                volume += kv_volume(problem.d[i], 1, problem.p[i])
            _take(order, waiting, taken, iteration, active.counts[ROUNDS], starts)
            active.seconds[NOW] += prefill_seconds(problem, tokens)
            left, iteration = left - taken, iteration + 1
        elif count == 0:
            active.seconds[NOW] = arrival_s[arrived]
        else:
            _decode(problem, active, arrival_s[arrived], _to_pace(problem, active, rule, volume) if left > 0 else 0)
    return value(problem, active)


@kernel
def _may_prefill(problem, active, rule, least):  # type: ignore[no-untyped-def]
    """Whether to look for what fits; `least` prompt tokens has the shortest prompt."""
    count = active.counts[COUNT]
    if count == 0:
        return True
    room = problem.capacity - active.counts[HELD] - count - 1
    return problem.slots - count >= rule.idle and least <= room and to_next_completion(active) > rule.hold


@kernel
def _to_pace(problem, active, rule, volume):  # type: ignore[no-untyped-def]
    """Rounds until the pace starts the next, after so many KV token-rounds; 0: now."""
    if rule.pace <= 0.0:
        return 0
    rounds = math.ceil(rule.pace * volume / problem.capacity / rule.step - ROUNDING) * rule.step
    return max(0, rounds - active.counts[ROUNDS])


@kernel
def _choose(problem, order, rule, active, waiting, volume):  # type: ignore[no-untyped-def]
    """Start what fits of those that have arrived; their number and prompt tokens, their positions in `batch`."""
    n, now = len(order), active.seconds[NOW]
    taken = tokens = missed = 0
    refresh(problem, active)
    at = waiting.after[n]
    while at < n and active.counts[COUNT] < problem.slots and taken < rule.most:
        i = order[at]
        if problem.arrival_s[i] > now:
            at = waiting.after[at]
            continue
        if active.counts[COUNT] > 0 and _to_pace(problem, active, rule, volume) > 0:
            break
        if tokens + problem.p[i] <= problem.cap and admits(problem, active, i):
            start(problem, active, i)
            refresh(problem, active)
            volume += kv_volume(problem.d[i], 1, problem.p[i])
            waiting.batch[taken] = at
            taken, tokens = taken + 1, tokens + problem.p[i]
        else:
            missed += 1
            if missed >= rule.misses:
                break
        at = waiting.after[at]
    return taken, tokens


@kernel
def _take(order, waiting, taken, iteration, rounds, starts):  # type: ignore[no-untyped-def]
    """Take the batch out of the list and note its starts."""
    before, k = len(order), 0
    while k < taken:
        at = waiting.after[before]
        if at == waiting.batch[k]:
            waiting.after[before] = waiting.after[at]
            starts.rounds[order[at]], starts.iteration[order[at]] = rounds, iteration
            k += 1
        else:
            before = at


@kernel
def _decode(problem, active, arrival_s, to_pace):  # type: ignore[no-untyped-def]
    """Run to the next completion, or to the pace, or, with a slot idle, to the first boundary after an arrival."""
    rounds, not_before = to_next_completion(active), active.seconds[NOW]
    if to_pace > 0:
        rounds = min(rounds, to_pace)
    if arrival_s < NEVER and active.counts[COUNT] < problem.slots:
        wait_s = arrival_s - active.seconds[NOW]
        until = rounds_to_pass(problem, wait_s, active.counts[COUNT], active.counts[HELD], rounds)
        if until < rounds:
            rounds, not_before = until, arrival_s
    run(problem, active, rounds, not_before)
