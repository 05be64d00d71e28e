"""Prefill rounds and who starts at each of them, annealed together where slots bind, KV cache or not.

For the makespan of a backlog on one worker.  The conserved-work identity (docs/problem.md, section 2) leaves
``a R + base P`` to decide.  Long requests in step hold more than the KV cache at their ends, so their starts have to be
spread over the longest length: the search begins with evenly spread rounds, which repeat with that length; it is then
repeated from the best that it has found, less hot, and now and then from the beginning.  In between the rounds of the
best are moved with an LP (`open_rounds`), solved in integers, and annealed until they keep the KV cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from llmsched_mip.algorithms.prefill_rounds.anneal import Cooling, anneal
from llmsched_mip.algorithms.prefill_rounds.state import HORIZON, OVER, Backlog, Chains, chains_from, chains_of, recount
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.methods.open_rounds import OpenRounds
from llmsched_mip.methods.search import Search
from llmsched_mip.models.start_rounds import Start, plan_of, starts_of
from llmsched_mip.plan import Plan

MOST_REQUESTS = 20_000
PHASES = (4, 6, 5)
"""Open rounds in the longest length, of the runs that begin anew in turn."""
MOST_LENGTHS = 100
LONGER = 1.008
"""The horizon of the first chains, in shares of what the slots take."""
FIRST_MOVES = 5_000_000
CYCLE, MOVED = 4, (2, 3)
"""The first of so many runs begins anew; in these ones of them rounds are moved by an LP."""
GOOD = 1.03
"""Slot-rounds of a plan, in shares of what the requests take, with which the first cycle begins in place of anew."""
MOVED_SHARE, MOST_MOVED_S, TRIALS_SHARE, TRIALS = 0.5, 60.0, 0.6, 1000
OPEN_SHARE = 0.02
FIRST = Cooling(15.0, 0.5, 4.0, (1.3, 100.0), (10.0, 200.0), FIRST_MOVES, OPEN_SHARE)
LATER = Cooling(4.0, 0.5, 2.0, (1.1, 100.0), (10.0, 200.0), FIRST_MOVES, OPEN_SHARE)
MENDED = Cooling(2.0, 0.3, 0.3, (20.0, 200.0), (100.0, 400.0), FIRST_MOVES // 4, OPEN_SHARE)
"""What was solved in integers, where little is over."""
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
        and instance.requests.decode_tokens.sum() <= MOST_LENGTHS * worker.slots * r.decode_tokens.max()
    )


def prefill_rounds(search: Search) -> str | None:
    """Offer plans until the budget is spent; why it does not apply, or None."""
    if not applies(search.instance):
        return NEEDS
    for plan in prefill_round_plans(search.instance, search.budget, search.seed, known=lambda: search.plan):
        search.offer(plan)
    return None


def prefill_round_plans(
    instance: Instance,
    budget: Budget,
    seed: int,
    most_runs: int = 1 << 60,
    moves: int = FIRST_MOVES,
    known: Callable[[], Plan | None] = lambda: None,
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
        Random changes of every run.
    known : callable
        The best plan that anybody knows: a run begins there where it is better than all before.
    """
    backlog, random = _backlog(instance), np.random.default_rng(seed)
    best, current, least, begun = math.inf, None, math.inf, 0
    given = _known(instance, backlog, known())
    begins = 1 if given is not None and _slot_rounds(backlog, given) < GOOD * float(backlog.length.sum()) else 0
    for run in range(begins, begins + most_runs):
        if budget.spent():
            return
        other = _known(instance, backlog, known())
        if other is not None and _slot_rounds(backlog, other) < least:
            current, least = other, _slot_rounds(backlog, other)
        if current is None or run % CYCLE == 0:
            begin, cooling = chains_of(backlog, LONGER, PHASES[(begun + seed) % len(PHASES)], random), FIRST
            begun += 1
        elif run % CYCLE in MOVED:
            moved = _moved(backlog, current, budget, random)
            if moved is None:
                continue
            begin, cooling = moved, MENDED
        else:
            begin, cooling = current, LATER
        found = anneal(backlog, begin, cooling._replace(moves=int(moves * cooling.moves / FIRST_MOVES)), budget, random)
        value = _slot_rounds(backlog, found)
        if value <= least:
            current, least = found, value
        if found.fits and value < best:
            best = value
            starts = enumerate(found.start_round.tolist())
            yield plan_of(instance, [Start(0, start + 1, 0, i) for i, start in starts], "prefill-rounds")


def _moved(b: Backlog, chains: Chains, budget: Budget, random: np.random.Generator) -> Chains | None:
    """Chains of the best open rounds near these ones, by the LP; their KV cache may be over."""
    rounds, whole = OpenRounds(b, random), budget.slice(MOST_MOVED_S, MOVED_SHARE)
    found = rounds.improve(chains.start_round, whole.slice(share=TRIALS_SHARE), TRIALS)
    start_round = rounds.placed(found, whole) if math.isfinite(found.value) else None
    if start_round is None:
        return None
    moved = chains_from(b, start_round)
    moved.totals[HORIZON] = found.horizon
    recount(b, moved)
    return moved


def _known(instance: Instance, b: Backlog, plan: Plan | None) -> Chains | None:
    """The chains of a plan."""
    if plan is None:
        return None
    start_round = np.zeros(instance.n, dtype=np.int64)
    for start in starts_of(plan):
        start_round[start.request] = start.round - 1
    return chains_from(b, start_round)


def _backlog(instance: Instance) -> Backlog:
    worker, r = instance.workers[0], instance.requests
    slots = worker.most_slots(instance.n)
    everything = int((r.prefill_tokens + r.decode_tokens).sum())
    price = slots * worker.prefill_time.fixed_seconds / worker.decode_time.base_s
    return Backlog(r.prefill_tokens, r.decode_tokens, slots, worker.most_kv(everything), price)


def _slot_rounds(b: Backlog, found: Chains) -> float:
    """J R + ρ J P, and what is over in slot-rounds."""
    over = found.totals[OVER] * b.slots / b.kv_capacity
    return float(b.slots * found.rounds + b.prefill * found.prefills + over)
