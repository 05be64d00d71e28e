"""`auto`: a first plan, quick bounds, and then makers of plans and provers of bounds side by side.

Each process has a program, a list of parts with the share of the time left that each may take.  Process 0 makes plans;
process 1 proves bounds and then makes plans with other random numbers, as all further ones do.  One process alone does
both in turn.  What a part finds the others have within a twentieth of a second (`board`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from llmsched_mip import bounds, clock
from llmsched_mip.bounds.round_patterns import improve as improve_patterns
from llmsched_mip.bounds.split_longest import improve as improve_split
from llmsched_mip.bounds.work_clock import improve as improve_clock
from llmsched_mip.bounds.worker_time import improve as improve_worker_time
from llmsched_mip.methods.branch_and_bound import branch_and_bound_again, branch_and_bound_if_small
from llmsched_mip.methods.chains import applies as chains_apply
from llmsched_mip.methods.chains import chains
from llmsched_mip.methods.fleet import applies as fleet_applies
from llmsched_mip.methods.fleet import first_fleet, fleet, fleet_from_plan
from llmsched_mip.methods.fleet_orders import fleet_orders, fleet_orders_from_plan
from llmsched_mip.methods.fleet_parts import improve_in_turn
from llmsched_mip.methods.full import full_if_small
from llmsched_mip.methods.helpers import Helpers
from llmsched_mip.methods.large_neighbourhood import large_neighbourhood
from llmsched_mip.methods.lists import list_schedules, orders
from llmsched_mip.methods.mmbpp import mmbpp
from llmsched_mip.methods.orders import list_orders, order_search
from llmsched_mip.methods.parallel_parts import parallel_parts
from llmsched_mip.methods.pattern import pattern
from llmsched_mip.methods.prefill_rounds import applies as prefill_rounds_apply
from llmsched_mip.methods.prefill_rounds import prefill_rounds
from llmsched_mip.methods.race import Maker, race
from llmsched_mip.methods.rule_beam import rule_beam
from llmsched_mip.methods.rules import Rules
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.serial import serial
from llmsched_mip.methods.unit_round import applies as unit_round_applies
from llmsched_mip.methods.unit_round import unit_round
from llmsched_mip.plan import Plan
from llmsched_mip.policies.lagrangian import Lagrangian
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.policies.threshold import IdleThreshold
from llmsched_mip.processes import cores
from llmsched_mip.relaxations.fluid.duals import capacity_duals
from llmsched_mip.unit_rounds import times_are_rounds

SLOW_BOUNDS = (
    "split_longest",
    "deadline",
    "mmbpp",
    "start_prices",
    "round_patterns",
    "worker_time",
    "work_clock",
    "kv_dual",
    "start_lp",
)
QUICK_BOUNDS = tuple(name for name in bounds.BOUNDS if name not in (*SLOW_BOUNDS, *bounds.MIXED))
IMPROVED: dict[str, Callable[..., None]] = {
    "split_longest": improve_split,
    "round_patterns": improve_patterns,
    "work_clock": improve_clock,
    "worker_time": improve_worker_time,
}
"""Slow bounds that get better as long as they run, and report it."""
SLOW_SHARE = 0.5
UNIT_SHARES = {
    "deadline": 0.4,
    "start_prices": 0.2,
    "round_patterns": 0.9,
    "worker_time": 0.05,
    "work_clock": 0.05,
    "kv_dual": 0.8,
}
PACKING_SHARE = 0.6
SHARES = {"split_longest": 0.6, "deadline": 0.4, "mmbpp": 0.9, "work_clock": 0.8}
FLEET_SHARES = {**SHARES, "worker_time": 0.15}
LATE_FLEET_SHARES = {**SHARES, "worker_time": 0.6, "work_clock": 0.1}
"""With arrivals, which `work_clock` does not see."""
LATE_SHARE = 0.2
"""Of what is left, for each slow bound in turn: the strong ones get most, the others a look."""
ORDER_SHARE = 0.9
"""Of the time that is left, for one long cooling."""
LEAST_FOR_BEAM, BEAM_SHARE = 2_000, 0.5
"""Requests from which on the time is too short for a local search that begins at a list schedule."""
FIRST_SHARE, OPEN_ROUNDS_SHARE = 0.6, 0.8
"""Where slots bind: chains and the linear programs of patterns need some time before they give anything, those of open
rounds more."""
PLACED_UNIT_SHARE = 0.3
"""Of unit rounds on several workers, before each has beams and proofs of its own."""
SERIAL_SHARE = 0.25
"""Of unit rounds, before beams and proofs."""
LISTS_SHARE = 0.3
"""Of unit rounds, whose own list schedules pass over nothing."""
FLEET_LISTS_SHARE = 0.1
"""Of several workers, whose list schedules are executed one event after the other."""
QUICK_SHARE = 0.6
"""Of what is left, for the rules that are expected to be quick, where one process does everything."""
BEFORE_RULES, BEFORE_SLOW_RULES = 0.5, 0.75
"""Of what is left, where one process has rules to execute that take longer than a glance; where the quick ones of them
have been executed before."""
PLACED_SHARE = 0.1
"""For the first plan that a cluster goes on from."""
CLUSTER_SHARE = 0.95
PART_BOUNDS = ("alone", "area", "kv_volume")
FEW_TURNS = 40_000
"""Requests times workers up to which the online rules are executed before anything else is tried."""
LEAST_FOR_HELPERS_S = 2.0
"""Time left below which no process is started: it takes about a second to import what it needs."""


class Part(NamedTuple):
    """A part of a program and the share that it may take of the time left."""

    run: Callable[[Search], object]
    share: float = 1.0

    @property
    def name(self) -> str:
        """That of what it runs."""
        run = self.run.func if isinstance(self.run, partial) else self.run
        return getattr(run, "__name__", "part")


def auto(search: Search) -> None:
    """A first plan, quick bounds, then the programs of as many processes as there are threads."""
    search.attempt("first plan", partial(first_plan, search))
    quick_bounds(search)
    processes = number_of_processes(search)
    if processes > 1:
        search.threads = 1
    with Helpers(search, program, processes) as helpers:
        program(search, 0, processes)
        helpers.wait()


def number_of_processes(search: Search) -> int:
    """As many as there are threads; one where too little is left, or where the clock counts readings."""
    if search.budget.remaining < LEAST_FOR_HELPERS_S or search.budget.spent() or not clock.is_real():
        return 1
    return search.threads or cores()


def program(search: Search, process: int, processes: int) -> None:
    """What one of these processes does, as long as a gap is open."""
    for part in parts(search, process, processes):
        if search.budget.spent():
            return
        with search.part(part.share):
            search.attempt(part.name, partial(part.run, search))


def parts(search: Search, process: int, processes: int) -> list[Part]:
    """The program of a process: what it runs, in this order."""
    provers = provers_of(search)
    every = Rules(search)
    few = search.instance.n * len(search.instance.workers) <= FEW_TURNS
    glance = [Part(every.glance)] if few else []
    duals = [Part(unlike_duals)] if fleet_applies(search.instance) else []
    proofs = [Part(part.run, SLOW_SHARE * part.share) for part in provers] if processes == 1 else []
    if search.pool is not None:
        return [*glance, *placements(search), *proofs, Part(on_cluster, CLUSTER_SHARE), *duals, Part(long_makers)]
    if processes == 1:
        return [
            *glance,
            *([Part(every.quick, QUICK_SHARE)] if few else []),
            *quick_makers(search),
            *proofs,
            Part(partial(before_rules, every, BEFORE_SLOW_RULES if few else BEFORE_RULES)),
            Part(every.rules),
            Part(long_makers),
        ]
    if process == 0:
        return [*glance, *quick_makers(search), Part(long_makers)]
    if one_makespan(search):
        return [Part(every.rules), *provers, Part(long_makers)]
    return [Part(every.rules), *provers, Part(long_makers), *provers]


def before_rules(every: Rules, share: float, search: Search) -> None:
    """Long makers, for part of the time where rules are left to execute."""
    with search.part(share if every.left else 0.9):
        long_makers(search)


def quick_makers(search: Search) -> list[Part]:
    """Makers that end by themselves."""
    instance = search.instance
    if unit_round_applies(search):
        return [Part(list_schedules, LISTS_SHARE)]
    small = [Part(branch_and_bound_if_small), Part(full_if_small)]
    if len(instance.workers) == 1:
        return [Part(list_orders), *small]
    if fleet_applies(instance):
        return [Part(fleet, 0.4), Part(unlike_duals), Part(list_schedules, 0.5), *small]
    return [Part(list_schedules, FLEET_LISTS_SHARE), *small]


def placements(search: Search) -> list[Part]:
    """Makers of the plan of several workers that the cluster begins with."""
    if fleet_applies(search.instance):
        return [Part(place_fleet, 0.4)]
    return [Part(fleet_orders, PLACED_SHARE)]


def place_fleet(search: Search) -> None:
    """The placements of `fleet`, without its exchanges."""
    fleet(search, 0)


def on_cluster(search: Search) -> None:
    """Rounds of tasks on the cluster; if it is lost, the plan so far stays, and the failure stands in the log."""
    if search.pool is not None:
        parallel_parts(search, search.pool, improve_part)


def improve_part(search: Search, memory: list[Any]) -> tuple[Plan, list[Any]]:
    """What a task does with its workers: `fleet`, `fleet_orders`, or for one alone what `auto` would go on with."""
    if search.plan is None:
        raise ValueError("a part without a plan")
    raise_bounds(search, PART_BOUNDS)
    instance = search.instance
    alone = len(instance.workers) == 1
    if fleet_applies(instance) and not (alone and (slots_bind(search) or unit_round_applies(search))):
        return fleet_from_plan(search, memory)
    if alone:
        long_makers(search)
    else:
        fleet_orders_from_plan(search)
    return search.plan, memory


def long_makers(search: Search) -> None:
    """Makers that go on as long as there is time."""
    instance = search.instance
    backlog = not instance.requests.arrival_s.any()
    if unit_round_applies(search):
        if instance.objective == "makespan":
            with search.part(SERIAL_SHARE):
                search.attempt("serial", partial(serial, search))
        search.attempt("unit_round", partial(unit_round, search))
    elif instance.objective == "total_completion" and len(instance.workers) == 1:
        if instance.n >= LEAST_FOR_BEAM and backlog:
            with search.part(BEAM_SHARE):
                search.attempt("rule_beam", partial(rule_beam, search))
        with search.part(ORDER_SHARE):
            search.attempt("order_search", partial(order_search, search))
        race(search, [large_neighbourhood, order_search])
    elif instance.objective == "total_completion" and backlog and times_are_rounds(instance):
        with search.part(PLACED_UNIT_SHARE):
            search.attempt("fleet_orders", partial(fleet_orders, search))
        race(search, [apart, fleet_orders, large_neighbourhood])
    elif instance.objective == "total_completion" or not backlog:
        last = order_search if len(instance.workers) == 1 else fleet_orders
        with search.part(ORDER_SHARE):
            search.attempt(last.__name__, partial(last, search))
        race(search, [large_neighbourhood, last])
    elif len(instance.workers) > 1:
        race(search, [fleet, serial, mmbpp, pattern, large_neighbourhood])
    else:
        first = first_maker(search)
        if first is not None:
            with search.part(OPEN_ROUNDS_SHARE if first is prefill_rounds else FIRST_SHARE):
                search.attempt(first.__name__, partial(first, search))
        makers: list[Maker] = [mmbpp, chains, serial, fleet, prefill_rounds, order_search, pattern, online]
        race(search, [*makers, branch_and_bound_again, large_neighbourhood])


def apart(search: Search) -> None:
    """The part of each worker alone, by the makers for one."""
    improve_in_turn(search, improve_part)


def first_maker(search: Search) -> Maker | None:
    """Where slots bind, what needs some time before it gives anything; not the same in two processes."""
    if not slots_bind(search):
        return None
    alone, first = search.board is None, search.board is None or search.board.process == 0
    if chains_apply(search.instance):
        return chains if first else None
    return prefill_rounds if prefill_rounds_apply(search.instance) and (alone or not first) else pattern


def slots_bind(search: Search) -> bool:
    """Whether slots say more of the makespan than the KV cache does."""
    return search.bounds.get("area", 0.0) > search.bounds.get("kv_volume", 0.0)


def provers_of(search: Search) -> list[Part]:
    """The slow bounds that there are for this instance, and their shares; of one makespan the packing alone."""
    return [Part(slow_bounds, PACKING_SHARE if one_makespan(search) else 0.8)]


def one_makespan(search: Search) -> bool:
    """Whether the makespan of one worker counts: most of its bounds are quick."""
    return search.instance.objective == "makespan" and len(search.instance.workers) == 1


def first_plan(search: Search) -> None:
    """One plan, as quickly as there is one."""
    if search.plan is None and len(search.instance.workers) > 1 and fleet_applies(search.instance):
        first_fleet(search)
    elif search.plan is None and len(search.instance.workers) == 1:
        list_orders(search, 0)
    elif search.plan is None:
        name, order = next(orders(search.instance))
        search.run_policy(name, IdleThreshold(Problem.of(search.instance, "known"), order))


def unlike_duals(search: Search) -> None:
    """The duals of workers that differ, which take an LP; those of like workers take nothing."""
    search.duals = capacity_duals(search.form.original, search.budget)


def online(search: Search) -> None:
    """Execute the best plan so far with the online rule, which may merge or advance prefill iterations."""
    if search.plan is not None:
        problem = Problem.of(search.instance, "known", search.plan)
        search.run_policy(f"{search.plan.method}, lagrangian", Lagrangian(problem), search.budget)


def quick_bounds(search: Search) -> None:
    """The quick bounds, however little time there is."""
    raise_bounds(search, QUICK_BOUNDS)


def slow_bounds(search: Search) -> None:
    """The bounds that take long: each has a share of what is left, those that improve as they run even again."""
    objective, shares = search.instance.objective, shares_of_bounds(search)
    for name in SLOW_BOUNDS:
        if search.budget.spent():
            return
        if bounds.ONE_OBJECTIVE.get(name, objective) != objective:
            continue
        with search.part(shares.get(name, LATE_SHARE)):
            if name in IMPROVED:
                search.attempt(f"bound {name}", partial(improve, search, name))
            elif name not in search.bounds:
                raise_bounds(search, [name])


def shares_of_bounds(search: Search) -> dict[str, float]:
    """Of what is left for slow bounds, the share of those that there are for such an instance."""
    if times_are_rounds(search.instance):
        return UNIT_SHARES
    if len(search.instance.workers) == 1:
        return SHARES
    return LATE_FLEET_SHARES if search.instance.requests.arrival_s.any() else FLEET_SHARES


def improve(search: Search, name: str) -> None:
    """One of the bounds that improve as they run."""
    if not search.budget.spent():
        IMPROVED[name](search.instance, search.budget, lambda bound: search.raise_bounds([bound]))


def raise_bounds(search: Search, names: Sequence[str]) -> None:
    """Raise these bounds; one that fails is left out."""

    def failed(name: str, error: Exception) -> None:
        search.fail(f"bound {name}", error)

    for name in names:
        ended = search.interrupted or search.gap_met if name in QUICK_BOUNDS else search.budget.spent()
        if search.bounds and ended:
            return
        with search.running(f"bound {name}"):
            search.raise_bounds(bounds.compute(search.instance, search.budget, names=[name], failed=failed))
