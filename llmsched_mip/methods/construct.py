"""First plans by construction, for the methods that improve them."""

from __future__ import annotations

from collections.abc import Callable

from llmsched_mip.algorithms.unit_round.local_search import anneal
from llmsched_mip.algorithms.unit_round.shortest_first import shortest_first
from llmsched_mip.methods.lists import list_schedules
from llmsched_mip.methods.mmbpp import mmbpp
from llmsched_mip.methods.search import Search
from llmsched_mip.policies.protocol import Policy, Problem
from llmsched_mip.policies.smallest_volume_first import smallest_volume_first
from llmsched_mip.policies.sorted_f import sorted_f
from llmsched_mip.policies.sorted_lp import lp_swap
from llmsched_mip.unit_rounds import UnitRounds

MOST_SECONDS, SHARE = 3.0, 0.1
LONG_LIMIT_S = 3.0
MOST_REQUESTS, MOST_SWAPPED, MOST_ANNEALED = 20_000, 1_000, 2_000


def construct(search: Search) -> None:
    """Offer constructed plans; nothing where there is a plan already.

    Makespan: list schedules and the MMBPP plan.  Total completion: list schedules, the KV-aware policies, and starts
    annealed as if rounds were equal.
    """
    if search.plan is not None:
        return
    unit_rounds = UnitRounds.of(search.instance)
    if unit_rounds is not None:
        search.offer(unit_rounds.plan(search.instance, "mc-sf", shortest_first(unit_rounds)))
    if unit_rounds is None or search.instance.objective == "makespan":
        list_schedules(search)
    if search.instance.objective == "makespan":
        if not search.budget.spent():
            mmbpp(search)
        return
    if unit_rounds is None:
        kv_policies(search)
    annealed_starts(search)


def kv_policies(search: Search) -> None:
    """Policies for total completion that look at the KV cache, with known lengths."""
    instance = search.instance
    if instance.n > MOST_REQUESTS or all(worker.kv_capacity is None for worker in instance.workers):
        return
    problem = Problem.of(instance, "known")
    quick: list[tuple[str, Callable[[Problem], Policy]]] = [("sorted-f", sorted_f), ("svf", smallest_volume_first)]
    if instance.n <= MOST_SWAPPED and search.budget.remaining >= LONG_LIMIT_S + 0.04 * instance.n:
        quick.append(("lp-swap", lp_swap))
    for name, policy in quick:
        if search.budget.spent():
            return
        search.run_policy(name, policy(problem))


def annealed_starts(search: Search) -> None:
    """Starts annealed in the unit-round model of the only worker, offered as they are.

    Where slots or a prefill cap could be passed there, nothing is offered: the unit-round model does not see them.
    """
    instance = search.instance
    worker, r = instance.workers[0], instance.requests
    applies = (
        instance.n <= MOST_ANNEALED
        and len(instance.workers) == 1
        and not r.arrival_s.any()
        and worker.max_prefill_tokens is None
        and worker.most_slots(instance.n) == instance.n
    )
    if not applies or worker.kv_capacity is None or search.budget.spent():
        return
    unit_rounds = UnitRounds(r.prefill_tokens, r.decode_tokens, r.weight, worker.kv_capacity, 1.0)
    if not unit_rounds.within_memory:
        search.note("annealed starts left out: too many rounds")
        return
    budget = search.budget.slice(MOST_SECONDS, SHARE)
    found = anneal(unit_rounds, shortest_first(unit_rounds), budget, search.seed)
    search.offer(unit_rounds.plan(instance, "annealed starts", found))
