"""`solve`: a method, the best plan and the best bound that it finds, and the way in and out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

from llmsched_mip.engines.dask import DaskPool
from llmsched_mip.engines.engine import ENGINE_NAMES, EngineError, Pool
from llmsched_mip.errors import (
    InterruptedSearchError,
    InvalidInputError,
    InvalidPlanError,
    NoPlanError,
    SchedulingError,
)
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.methods.auto import QUICK_BOUNDS, SLOW_BOUNDS, auto, quick_bounds, slow_bounds
from llmsched_mip.methods.branch_and_bound import branch_and_bound
from llmsched_mip.methods.chains import chains
from llmsched_mip.methods.full import full, solve_with
from llmsched_mip.methods.large_neighbourhood import large_neighbourhood
from llmsched_mip.methods.orders import order_search
from llmsched_mip.methods.pattern import pattern
from llmsched_mip.methods.prefill_rounds import prefill_rounds
from llmsched_mip.methods.registry import DEFAULT_TIME_LIMIT_S, METHODS
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.serial import serial
from llmsched_mip.methods.unit_round import unit_round
from llmsched_mip.normal_form import NormalForm
from llmsched_mip.plan import Claims, Plan
from llmsched_mip.relaxations.fluid.duals import capacity_duals
from llmsched_mip.result import Event, Result
from llmsched_mip.solvers.cbc import require_cbc

__all__ = ["QUICK_BOUNDS", "SLOW_BOUNDS", "SOLVERS", "result_of", "solve"]

SOLVERS = ("highs", "cbc")


def full_or_auto(search: Search) -> None:
    """The full MIP; in place of too large a model `auto`, which has parts of it that are small enough."""
    reason = full(search)
    if reason is not None:
        search.note(f"full model left out: {reason}; going on with auto")
        auto(search)


def or_auto(name: str, method: Callable[[Search], str | None]) -> Callable[[Search], None]:
    """The method alone; where it returns why it does not apply, a note of that, and `auto` in the time left."""

    def run(search: Search) -> None:
        reason = method(search)
        if reason is not None and not search.budget.spent():
            search.note(f"{name} left out: {reason}; going on with auto")
            auto(search)

    return run


branch_and_bound_or_auto = or_auto("branch-and-bound", branch_and_bound)
chains_or_auto = or_auto("chains", chains)
large_neighbourhood_or_auto = or_auto("large-neighbourhood", large_neighbourhood)
order_search_or_auto = or_auto("order-search", order_search)
pattern_or_auto = or_auto("pattern", pattern)
prefill_rounds_or_auto = or_auto("prefill-rounds", prefill_rounds)
serial_or_auto = or_auto("serial", serial)
unit_round_or_auto = or_auto("unit-round", unit_round)


def solve(  # noqa: PLR0913
    instance: Instance,
    *,
    method: str = "auto",
    time_limit_s: float | None = None,
    gap: float = 0.0,
    threads: int | None = None,
    seed: int = 0,
    log: Callable[[Event], None] | None = None,
    start: Plan | None = None,
    engine: str = "local",
    scheduler: str | None = None,
) -> Result:
    """Find a plan for the instance's objective and prove a lower bound.

    Parameters
    ----------
    instance : Instance, of mixed semantics: its `exclusive`
    method : str
        One of `METHODS`; ``full:cbc`` and ``full:model.py``: by CBC, and a model of the user's (`user_model`).
    time_limit_s : float, optional
        Wall time, seconds; default 20.  The first plan is built however small it is.
    gap : float
        Stop at this relative gap (value - bound) / value.
    threads : int, optional
        Of ``auto`` processes that work side by side, default one for each core.  Of other methods threads for the
        solver; default: it chooses.
    seed : int
        For random choices.
    log : callable, optional
        Called with an `Event` at every improvement of the incumbent or the bound; see `Search`.
    start : Plan, optional
        A plan of this instance to begin with; the result is never worse.
    engine : str
        ``local``, or ``dask``: several workers' parts of the plan are improved by tasks on a Dask cluster.
    scheduler : str, optional
        Address of the cluster, e.g. ``tcp://node:8786``; without it one is started here, for ``dask``.

    Raises
    ------
    InvalidInputError
        Unknown method or engine, an option out of range, or a start that is no feasible plan of the instance.
    SchedulingError
        CBC cannot be run, nobody listens at `scheduler` or no cluster can be started (`EngineError`).
    NoPlanError, InterruptedSearchError
        Nothing found in time, or before Ctrl-C; `bounds` holds what was proven.

    Once there is a plan, a part that fails ends nothing (`Result.failures`).
    """
    if not 0 <= gap < 1:
        raise InvalidInputError("gap", f"expected a number from 0 to 1, got {gap}")
    instance = instance.exclusive()
    begun, form = None if start is None else _checked_start(instance, start), NormalForm.of(instance)
    chosen, limit = _chosen(method), DEFAULT_TIME_LIMIT_S if time_limit_s is None else time_limit_s
    with (
        _cluster(engine, scheduler, method, threads) as pool,
        Search(form.instance, limit, gap, threads, seed, log, form) as search,
    ):
        _search(search, pool, begun, partial(_run, search, chosen, method != "auto"))
    return result_of(search)


def _search(search: Search, pool: Pool | None, begun: Plan | None, run: Callable[[], None]) -> None:
    """Begin with a plan where there is one, and run, on the cluster where that helps."""
    search.pool = pool if len(search.instance.workers) > 1 else None
    if pool is not None and search.pool is None:
        search.note("engine dask left out: for several workers")
    try:
        if begun is not None:
            search.offer(search.form.plan_of_normal_form(begun))
        run()
    except KeyboardInterrupt:
        # A second Ctrl-C: what was found is kept.
        search.interrupted = True


def _cluster(
    engine: str, scheduler: str | None, method: str, threads: int | None
) -> AbstractContextManager[DaskPool | None]:
    """The cluster that an engine stands for, or nothing."""
    if engine not in ENGINE_NAMES:
        raise InvalidInputError("engine", f"expected one of {', '.join(ENGINE_NAMES)}, got {engine!r}")
    if engine == "local" and scheduler is not None:
        raise EngineError("--scheduler goes with --engine dask")
    if engine == "local":
        return nullcontext()
    if method != "auto":
        raise InvalidInputError("engine", f"dask goes with method auto, not with {method}")
    return DaskPool(scheduler, threads)


def _run(search: Search, chosen: Callable[[Search], None], bounds_first: bool) -> None:
    """Quick bounds, the method, list schedules where it has made no plan, and slow bounds while a gap is open."""
    if bounds_first:
        quick_bounds(search)
    try:
        chosen(search)
    except SchedulingError as error:
        # Of a solver or a model of the user's, who has to know, unless there is a plan to go on with.
        if search.plan is None:
            raise
        search.fail("solver", error)
    if not search.bounds:
        quick_bounds(search)
    if search.plan is None and not search.interrupted:
        _guarded(search, "lists")
    if not search.budget.spent() and (
        len(search.instance.workers) > 1 or search.instance.objective == "total_completion"
    ):
        slow_bounds(search)


def _guarded(search: Search, name: str) -> None:
    search.attempt(name, partial(METHODS[name], search))


def result_of(search: Search) -> Result:
    """The best plan as one of the instance that `solve` was given, evaluated there."""
    form = search.form
    proven = {name: form.value(value) for name, value in search.bounds.items()}
    if search.plan is None:
        name = form.original.name
        if search.interrupted:
            raise InterruptedSearchError(f"{name}: interrupted before there was a plan", proven)
        because = "".join(f"; {part}: {message}" for part, message in search.failures)
        raise NoPlanError(f"{name}: no plan within {search.budget.seconds:g} s{because}", proven)
    plan = form.plan_of_original(search.plan)
    evaluation = evaluate(form.original, plan)
    if not evaluation.feasible:
        raise InvalidPlanError(f"method {plan.method!r} made an infeasible plan: {evaluation.violations[0]}")
    value = evaluation.measures.objective(plan.objective)
    claimed = plan.with_claims(value, proven, search.whole.elapsed, search.closed)
    if not search.duals and len(form.original.worker_kinds) == 1:
        search.duals = capacity_duals(form.original)
    claimed = replace(claimed, duals=search.duals)
    trace, failures = tuple(search.trace), tuple(search.failures)
    return Result(claimed, evaluation.measures, trace, failures, search.interrupted, form.original)


def _chosen(method: str) -> Callable[[Search], None]:
    """The method by its name; the full method may have a solver or a model of the user's after a colon."""
    base, colon, solver = method.partition(":")
    if base not in METHODS:
        raise InvalidInputError("method", f"expected one of {', '.join(METHODS)}, got {base!r}")
    if not colon:
        return partial(_guarded, name=method)
    if base != "full":
        raise InvalidInputError("solver", f"goes with method full, not with {base}")
    if solver not in SOLVERS and not solver.endswith(".py"):
        raise InvalidInputError("solver", f"expected {', '.join(SOLVERS)} or a .py file, got {solver!r}")
    if solver == "cbc":
        require_cbc()
    return full_or_auto if solver == "highs" else partial(solve_with, name=solver)


def _checked_start(instance: Instance, start: Plan) -> Plan:
    """The plan for the objective of the instance, without what it claims."""
    if start.instance_digest != instance.digest:
        raise InvalidInputError("start", f"was made for another instance ({start.instance!r}, digest differs)")
    begun = replace(start, objective=instance.objective, claims=Claims())
    violations = evaluate(instance, begun).violations
    if violations:
        raise InvalidInputError("start", f"is not feasible: {violations[0]}")
    return begun
