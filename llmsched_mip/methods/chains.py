"""Chains: a packing of requests into slots whose starts coincide, so that few prefill iterations serve few rounds.

For the makespan of a backlog where slots bind and KV does not.  The conserved-work identity leaves ``a R + base P`` to
decide (docs/problem.md, section 2).  The packing relaxation gives R; chains are annealed for several R from there on,
and the run that ended best is repeated with more moves, since more moves find fewer prefill iterations in fewer rounds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmsched_mip.algorithms.chains.anneal import Chains, anneal
from llmsched_mip.algorithms.packing import pack
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.methods.search import Search
from llmsched_mip.models.start_rounds import Start, plan_of
from llmsched_mip.plan import Plan
from llmsched_mip.timing import request_kv_peak

MOST_REQUESTS = 20_000
EXTRA_ROUNDS = (0, 1, 2, 4, 8, 16, 32)
FIRST_MOVES, GROWTH = 2_000_000, 4
PACKING_SHARE, PACKING_SECONDS = 0.1, 5.0
NEEDS = "it takes the makespan of a backlog on one worker whose slots bind and whose KV cache and prefill cap do not"


def applies(instance: Instance) -> bool:
    """Whether the method applies: one worker, a backlog, slots that bind, KV and prefill cap that cannot."""
    worker, r = instance.workers[0], instance.requests
    if len(instance.workers) > 1 or instance.objective != "makespan" or r.arrival_s.any():
        return False
    if worker.slots is None or worker.slots >= instance.n or instance.n > MOST_REQUESTS:
        return False
    peaks = np.sort(request_kv_peak(r.prefill_tokens, r.decode_tokens))[::-1][: worker.slots]
    return (
        worker.decode_time.base_s > 0
        and worker.prefill_time.affine
        and worker.max_prefill_tokens is None
        and worker.most_kv(int(peaks.sum())) >= int(peaks.sum())
    )


def chains(search: Search) -> str | None:
    """Offer plans from chains until the budget is spent; why it does not apply, or None."""
    if not applies(search.instance):
        return NEEDS
    for plan in chain_plans(search.instance, search.budget, search.seed):
        search.offer(plan)
    return None


def chain_plans(instance: Instance, budget: Budget, seed: int, most_moves: int = 1 << 60) -> Iterator[Plan]:
    """Plans, each better than the one before by the conserved-work identity.

    Parameters
    ----------
    instance : Instance
        One to which the method `applies`.
    budget : Budget
    seed : int
    most_moves : int
        Most random changes of one run.
    """
    worker, length = instance.workers[0], instance.requests.decode_tokens
    slots = worker.most_slots(instance.n)
    packing = pack(length, slots, budget=budget.slice(PACKING_SECONDS, PACKING_SHARE))
    packed = Chains.of(length, packing.assignment, slots)
    random = np.random.default_rng(seed)
    round_s, prefill_s = worker.decode_time.base_s, worker.prefill_time.fixed_seconds

    def seconds(found: Chains) -> float:
        return round_s * found.rounds + prefill_s * found.prefills

    best = seconds(packed)
    yield _plan(instance, packed)
    # More rounds never pay beyond what all prefill iterations cost.
    worth = best - round_s * packed.rounds
    extras = [extra for extra in EXTRA_ROUNDS if extra * round_s < worth]
    moves = FIRST_MOVES
    while extras and not budget.spent():
        values = []
        for extra in extras:
            found = anneal(packed, length, packed.rounds + extra, min(moves, most_moves), budget, random)
            values.append(seconds(found))
            if values[-1] < best:
                best = values[-1]
                yield _plan(instance, found)
            if budget.spent():
                return
        if moves >= most_moves:
            return
        likeliest = extras[int(np.argmin(values))]
        extras, moves = sorted({max(0, likeliest - 1), likeliest}), moves * GROWTH


def _plan(instance: Instance, found: Chains) -> Plan:
    starts = found.start_of(instance.requests.decode_tokens).tolist()
    return plan_of(instance, [Start(0, start + 1, 0, i) for i, start in enumerate(starts)], "chains")
