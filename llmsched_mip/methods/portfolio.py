"""`solve`: one method after the other, as long as a gap is open; the best plan and the best bound are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from llmsched_mip import bounds
from llmsched_mip.errors import (
    InterruptedSearchError,
    InvalidInputError,
    InvalidPlanError,
    NoPlanError,
    SchedulingError,
)
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.methods.branch_and_bound import (
    branch_and_bound,
    branch_and_bound_again,
    branch_and_bound_if_small,
)
from llmsched_mip.methods.construct import construct
from llmsched_mip.methods.full import full, full_if_small, solve_with
from llmsched_mip.methods.large_neighbourhood import large_neighbourhood
from llmsched_mip.methods.lists import list_schedules
from llmsched_mip.methods.mmbpp import mmbpp
from llmsched_mip.methods.pattern import pattern
from llmsched_mip.methods.registry import DEFAULT_TIME_LIMIT_S, METHODS
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.unit_round import applies as unit_round_applies
from llmsched_mip.methods.unit_round import unit_round
from llmsched_mip.normal_form import NormalForm
from llmsched_mip.policies.lagrangian import Lagrangian
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.result import Event, Result
from llmsched_mip.solvers.cbc import require_cbc

SOLVERS = ("highs", "cbc")
SLOW_BOUNDS = ("mmbpp", "start_prices", "kv_dual", "start_lp")
QUICK_BOUNDS = tuple(name for name in bounds.BOUNDS if name not in SLOW_BOUNDS)


def auto(search: Search) -> None:
    """Each step as long as a gap is open.

    Makespan: list schedules, the MMBPP plan, branch and bound and the full MIP where they are small, prefill
    patterns, the online rule, branch and bound again, and large neighbourhood search.  Total completion: the search
    for unit rounds where it applies, else constructed plans, branch and bound and the full MIP where they are small,
    and large neighbourhood search.
    """
    steps: list[Callable[[Search], object]] = [
        construct,
        branch_and_bound_if_small,
        full_if_small,
        large_neighbourhood,
    ]
    if search.instance.objective == "makespan":
        steps = [list_schedules, mmbpp, branch_and_bound_if_small, full_if_small, pattern, online]
        steps += [branch_and_bound_again, large_neighbourhood]
    if unit_round_applies(search):
        steps = [unit_round]
    for step in steps:
        if not search.budget.spent():
            search.attempt(step.__name__, partial(step, search))


def online(search: Search) -> None:
    """Execute the best plan so far with the online rule, which may merge or advance prefill iterations."""
    if search.plan is not None:
        problem = Problem.of(search.instance, "known", search.plan)
        search.run_policy(f"{search.plan.method}, lagrangian", Lagrangian(problem))


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
large_neighbourhood_or_auto = or_auto("large-neighbourhood", large_neighbourhood)
pattern_or_auto = or_auto("pattern", pattern)
unit_round_or_auto = or_auto("unit-round", unit_round)


def solve(
    instance: Instance,
    *,
    method: str = "auto",
    time_limit_s: float | None = None,
    gap: float = 0.0,
    threads: int | None = None,
    seed: int = 0,
    log: Callable[[Event], None] | None = None,
    solver: str | None = None,
) -> Result:
    """Find a plan for the instance's objective and prove a lower bound.

    Parameters
    ----------
    instance : Instance
    method : str
        One of `METHODS`.
    time_limit_s : float, optional
        Wall time, seconds; default 20.  The first plan is built however small it is.
    gap : float
        Stop at this relative gap (value - bound) / value.
    threads : int, optional
        For the solver; default: it chooses.
    seed : int
        For random choices.
    log : callable, optional
        Called with an `Event` at every improvement of the incumbent or the bound.
    solver : str, optional
        For the full MIP: ``highs``, ``cbc``, or the path of a Python file with a model (`user_model`).

    Raises
    ------
    InvalidInputError
        Unknown method, or an option out of range.
    SchedulingError
        CBC is asked for and cannot be run.
    NoPlanError
        Nothing found within the time limit; its `bounds` holds what was proven.
    InterruptedSearchError
        Ctrl-C before there was a plan; `bounds` likewise.

    A part that fails once there is a plan ends nothing: the result's `failures` names it.
    """
    limit = DEFAULT_TIME_LIMIT_S if time_limit_s is None else time_limit_s
    _check(method, gap)
    chosen = partial(_guarded, name=method) if solver is None else _with_solver(method, solver)
    form = NormalForm.of(instance)
    with Search(form.instance, limit, gap, threads, seed, log, form) as search:
        try:
            _run(search, chosen)
        except KeyboardInterrupt:
            # A second Ctrl-C: what was found is kept.
            search.interrupted = True
    return _result(search)


def _run(search: Search, chosen: Callable[[Search], None]) -> None:
    """Quick bounds, the method, list schedules where it has made no plan, and slow bounds while a gap is open."""
    _bounds(search, QUICK_BOUNDS)
    try:
        chosen(search)
    except SchedulingError as error:
        # Of a solver or a model of the user's, who has to know, unless there is a plan to go on with.
        if search.plan is None:
            raise
        search.fail("solver", error)
    if search.plan is None and not search.interrupted:
        _guarded(search, "lists")
    if not search.budget.spent() and (
        len(search.instance.workers) > 1 or search.instance.objective == "total_completion"
    ):
        _bounds(search, [name for name in SLOW_BOUNDS if name not in search.bounds])


def _guarded(search: Search, name: str) -> None:
    search.attempt(name, partial(METHODS[name], search))


def _bounds(search: Search, names: Sequence[str]) -> None:
    """Raise these bounds, the quick ones however little time there is; one that fails is left out."""

    def failed(name: str, error: Exception) -> None:
        search.fail(f"bound {name}", error)

    for name in names:
        if search.bounds and (search.interrupted if name in QUICK_BOUNDS else search.budget.spent()):
            return
        search.raise_bounds(bounds.compute(search.instance, search.budget, names=[name], failed=failed))


def _result(search: Search) -> Result:
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
    claimed = plan.with_claims(value, proven, search.budget.elapsed, search.closed)
    return Result(claimed, evaluation.measures, tuple(search.trace), tuple(search.failures), search.interrupted)


def _with_solver(method: str, solver: str) -> Callable[[Search], None]:
    """The full method with a solver or a model of the user's."""
    if solver not in SOLVERS and not solver.endswith(".py"):
        raise InvalidInputError("solver", f"expected {', '.join(SOLVERS)} or a .py file, got {solver!r}")
    if method not in ("auto", "full"):
        raise InvalidInputError("solver", f"goes with method full, not with {method}")
    if solver == "cbc":
        require_cbc()
    return full_or_auto if solver == "highs" else partial(solve_with, name=solver)


def _check(method: str, gap: float) -> None:
    if method not in METHODS:
        raise InvalidInputError("method", f"expected one of {', '.join(METHODS)}, got {method!r}")
    if not 0 <= gap < 1:
        raise InvalidInputError("gap", f"expected a number from 0 to 1, got {gap}")
