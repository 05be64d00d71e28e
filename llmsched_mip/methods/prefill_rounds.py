"""Prefill rounds and who starts at each of them, annealed together where slots bind, KV cache or not.

For the makespan of a backlog on one worker.  The conserved-work identity (docs/problem.md, section 2) leaves
``a R + base P`` to decide.  Long requests in step hold more than the KV cache at their ends, so their starts have to be
spread over the longest length: the search begins with evenly spread rounds, which repeat with that length, and some
random ones; it is then repeated from the best that it has found, less hot.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from llmsched_mip.algorithms.prefill_rounds.anneal import Backlog, Cooling, Points, anneal, recount
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.methods.search import Search
from llmsched_mip.models.start_rounds import Start, plan_of
from llmsched_mip.plan import Plan

MOST_REQUESTS = 20_000
PHASES, EXTRA_POINTS, FREE_POINTS = 4, 12, 4
MOST_POINTS = 400
HORIZON = 1.005
FIRST_MOVES = 5_000_000
EXCESS = (2.2, 200.0)
NEEDS = "it takes the makespan of a backlog on one worker with slots, an affine prefill time and no prefill cap"


def applies(instance: Instance) -> bool:
    """Whether the method applies: one worker, makespan, a backlog, slots for fewer than all, no prefill cap."""
    worker, r = instance.workers[0], instance.requests
    return (
        len(instance.workers) == 1
        and instance.objective == "makespan"
        and not r.arrival_s.any()
        and worker.slots is not None
        and worker.slots < instance.n <= MOST_REQUESTS
        and worker.decode_time.base_s > 0
        and worker.prefill_time.affine
        and worker.max_prefill_tokens is None
        and instance.requests.decode_tokens.sum() <= MOST_POINTS // PHASES * worker.slots * r.decode_tokens.max()
    )


def prefill_rounds(search: Search) -> str | None:
    """Offer plans until the budget is spent; why it does not apply, or None."""
    if not applies(search.instance):
        return NEEDS
    for plan in prefill_round_plans(search.instance, search.budget, search.seed):
        search.offer(plan)
    return None


def prefill_round_plans(
    instance: Instance, budget: Budget, seed: int, most_runs: int = 1 << 60, moves: int = FIRST_MOVES
) -> Iterator[Plan]:
    """Plans, each better than the one before by the conserved-work identity.

    Parameters
    ----------
    instance : Instance
        One to which the method `applies`.
    budget : Budget
    seed : int
    most_runs : int
        Most annealing runs.
    moves : int
        Random changes of the first run; a little more in every further one.
    """
    backlog, random = _backlog(instance), np.random.default_rng(seed)
    best, current, least = math.inf, _first(instance, backlog, random), math.inf
    for run in range(most_runs):
        if budget.spent():
            return
        hot, spread = (60.0, 12.0) if run == 0 else (10.0, 2.0) if run % 2 else (20.0, 4.0)
        begin = current if run == 0 else current.with_free(FREE_POINTS, random)
        # As long as nothing fits, what does not fit costs more from the beginning.
        excess = EXCESS[0] if best < math.inf else min(EXCESS[0] * 2.0 ** min(run, 10), EXCESS[1])
        cooling = Cooling(hot, 1.0, spread, (excess, EXCESS[1]), moves)
        found = anneal(backlog, begin, cooling, budget, random)
        penalty, value = recount(backlog, found), _slot_rounds(backlog, found)
        if value + 3 * penalty <= least:
            current, least = found, value + 3 * penalty
        if penalty == 0 and value < best:
            best = value
            starts = enumerate(found.start_round.tolist())
            yield plan_of(instance, [Start(0, start + 1, 0, i) for i, start in starts], "prefill-rounds")
        moves += moves // 8


def _backlog(instance: Instance) -> Backlog:
    worker, r = instance.workers[0], instance.requests
    slots = worker.most_slots(instance.n)
    everything = int((r.prefill_tokens + r.decode_tokens).sum())
    price = slots * worker.prefill_time.fixed_seconds / worker.decode_time.base_s
    return Backlog(r.prefill_tokens, r.decode_tokens, float(slots), float(worker.most_kv(everything)), max(price, 1e-9))


def _first(instance: Instance, b: Backlog, random: np.random.Generator) -> Points:
    """Evenly spread rounds, some random ones, and random starts."""
    longest = int(b.length.max())
    work = max(b.length.sum() / b.slots, instance.kv_volume.sum() / b.kv_capacity, longest)
    horizon = max(2, math.ceil(HORIZON * work))
    step = max(1.0, longest / PHASES)
    even = np.unique(np.floor(np.arange(0, horizon, step)).astype(np.int64))
    points = Points.of(np.append(even[even < horizon], horizon), np.zeros(instance.n, dtype=np.int64))
    points = Points.of(points.time, random.integers(0, len(points.used), instance.n))
    points = _all_points(points, EXTRA_POINTS, random)
    last = np.maximum(np.searchsorted(points.time, horizon - b.length, side="right"), 1)
    return Points.of(points.time, np.minimum((random.random(instance.n) * last).astype(np.int64), len(points.used) - 1))


def _all_points(points: Points, extra: int, random: np.random.Generator) -> Points:
    """With `extra` random points more, at least one."""
    free = np.setdiff1d(np.arange(1, points.time[-1]), points.time)
    more = random.choice(free, min(extra, len(free)), replace=False)
    return Points.of(np.sort(np.append(points.time, more)), points.start)


def _slot_rounds(b: Backlog, points: Points) -> float:
    """J R + ρ J P."""
    rounds = int((points.start_round + b.length).max())
    return b.slots * rounds + b.prefill * points.prefills
