"""`auto`: a first plan, quick bounds, and then makers of plans and provers of bounds side by side.

Each process has a program, a list of parts with the share of the time left that each may take.  Process 0 makes plans;
process 1 proves bounds and then makes plans with other random numbers, as all further ones do.  One process alone does
both in turn.  What a part finds the others have within a twentieth of a second (`board`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from llmsched_mip import bounds, clock
from llmsched_mip.bounds.round_patterns import improve as improve_patterns
from llmsched_mip.bounds.work_clock import improve as improve_clock
from llmsched_mip.bounds.worker_time import improve as improve_worker_time
from llmsched_mip.methods.branch_and_bound import branch_and_bound_again, branch_and_bound_if_small
from llmsched_mip.methods.chains import applies as chains_apply
from llmsched_mip.methods.chains import chains
from llmsched_mip.methods.fleet import applies as fleet_applies
from llmsched_mip.methods.fleet import first_fleet, fleet
from llmsched_mip.methods.fleet_orders import fleet_orders
from llmsched_mip.methods.full import full_if_small
from llmsched_mip.methods.helpers import Helpers
from llmsched_mip.methods.large_neighbourhood import large_neighbourhood
from llmsched_mip.methods.lists import list_schedules, orders
from llmsched_mip.methods.mmbpp import mmbpp
from llmsched_mip.methods.orders import list_orders, order_search
from llmsched_mip.methods.pattern import pattern
from llmsched_mip.methods.prefill_rounds import prefill_rounds
from llmsched_mip.methods.race import Maker, race
from llmsched_mip.methods.rules import rules, slow_rules
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.serial import serial
from llmsched_mip.methods.unit_round import applies as unit_round_applies
from llmsched_mip.methods.unit_round import unit_round
from llmsched_mip.policies.lagrangian import Lagrangian
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.policies.threshold import IdleThreshold
from llmsched_mip.processes import cores
from llmsched_mip.relaxations.fluid.duals import capacity_duals

SLOW_BOUNDS = ("mmbpp", "start_prices", "round_patterns", "worker_time", "work_clock", "kv_dual", "start_lp")
QUICK_BOUNDS = tuple(name for name in bounds.BOUNDS if name not in SLOW_BOUNDS)
IMPROVED = {"round_patterns": improve_patterns, "work_clock": improve_clock, "worker_time": improve_worker_time}
"""Slow bounds that get better as long as they run, and report it."""
SLOW_SHARE = 0.5
UNIT_SHARES = {"start_prices": 0.2, "round_patterns": 0.9, "kv_dual": 0.8}
SHARES = {"mmbpp": 0.3, "worker_time": 0.6, "work_clock": 0.8}
LATE_SHARE = 0.2
"""Of what is left, for each slow bound in turn: the strong ones get most, the others a look."""
ORDER_SHARE = 0.9
"""Of the time that is left, for one long cooling."""
FIRST_SHARE = 0.6
"""Where slots bind: chains and the linear programs of patterns need some time before they give anything."""
SERIAL_SHARE = 0.15
"""Of unit rounds, before beams and proofs."""
FEW_TURNS = 40_000
"""Requests times workers up to which the online rules are executed before anything else is tried."""
LEAST_FOR_HELPERS_S = 2.0
"""Time left below which no process is started: it takes about a second to import what it needs."""


class Part(NamedTuple):
    """A part of a program and the share that it may take of the time left."""

    run: Callable[[Search], object]
    share: float = 1.0


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
            search.attempt(part.run.__name__, partial(part.run, search))


def parts(search: Search, process: int, processes: int) -> list[Part]:
    """The program of a process: what it runs, in this order."""
    provers = provers_of(search)
    few = search.instance.n * len(search.instance.workers) <= FEW_TURNS
    if processes == 1:
        proofs = [Part(part.run, SLOW_SHARE * part.share) for part in provers]
        first, later = ([Part(rules)], []) if few else ([], [Part(rules)])
        return [*first, *quick_makers(search), *proofs, Part(long_makers, 0.9), *later, Part(long_makers)]
    if process == 0:
        return [*([Part(rules)] if few else []), *quick_makers(search), Part(long_makers)]
    return [*([] if few else [Part(rules)]), Part(slow_rules), *provers, Part(long_makers), *provers]


def quick_makers(search: Search) -> list[Part]:
    """Makers that end by themselves."""
    instance = search.instance
    if unit_round_applies(search):
        return []
    small = [Part(branch_and_bound_if_small), Part(full_if_small)]
    if len(instance.workers) == 1:
        return [Part(list_orders), *small]
    if fleet_applies(instance):
        return [Part(fleet, 0.4), Part(unlike_duals), Part(list_schedules, 0.5), *small]
    return [Part(list_schedules), *small]


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
        with search.part(ORDER_SHARE):
            search.attempt("order_search", partial(order_search, search))
        race(search, [large_neighbourhood, order_search])
    elif instance.objective == "total_completion" or not backlog:
        last = order_search if len(instance.workers) == 1 else fleet_orders
        with search.part(ORDER_SHARE):
            search.attempt(last.__name__, partial(last, search))
        race(search, [large_neighbourhood, last])
    elif len(instance.workers) > 1:
        race(search, [fleet, mmbpp, pattern, large_neighbourhood])
    else:
        if slots_bind(search):
            first_here = search.board is None or search.board.process == 0
            first = chains if chains_apply(instance) else pattern if first_here else prefill_rounds
            with search.part(FIRST_SHARE):
                search.attempt(first.__name__, partial(first, search))
        makers: list[Maker] = [mmbpp, chains, serial, fleet, order_search, pattern, online]
        race(search, [*makers, branch_and_bound_again, large_neighbourhood])


def slots_bind(search: Search) -> bool:
    """Whether slots say more of the makespan than the KV cache does."""
    return search.bounds.get("area", 0.0) > search.bounds.get("kv_volume", 0.0)


def provers_of(search: Search) -> list[Part]:
    """The slow bounds that there are for this instance, and their shares."""
    if search.instance.objective == "makespan" and len(search.instance.workers) == 1:
        return []
    return [Part(slow_bounds, 0.8)]


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
    unit_rounds = unit_round_applies(search)
    for name in SLOW_BOUNDS:
        with search.part(UNIT_SHARES.get(name, LATE_SHARE) if unit_rounds else SHARES.get(name, LATE_SHARE)):
            if name in IMPROVED:
                search.attempt(f"bound {name}", partial(improve, search, name))
            elif name not in search.bounds:
                raise_bounds(search, [name])


def improve(search: Search, name: str) -> None:
    """One of the bounds that improve as they run."""
    if not search.budget.spent():
        IMPROVED[name](search.instance, search.budget, lambda bound: search.raise_bounds([bound]))


def raise_bounds(search: Search, names: Sequence[str]) -> None:
    """Raise these bounds; one that fails is left out."""

    def failed(name: str, error: Exception) -> None:
        search.fail(f"bound {name}", error)

    for name in names:
        if search.bounds and (search.interrupted if name in QUICK_BOUNDS else search.budget.spent()):
            return
        with search.running(f"bound {name}"):
            search.raise_bounds(bounds.compute(search.instance, search.budget, names=[name], failed=failed))
