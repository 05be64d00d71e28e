"""The full MIP: the round-indexed model with HiGHS, from the best constructed plan.

The model holds every plan better than the constructed one (value V): its horizon comes from V.  So
min(V, HiGHS's dual bound) is a lower bound on the optimum, whether or not HiGHS finds a plan (`round_indexed`,
"Validity of the bound"), and a model without a solution proves V optimal.  An instance with a request that fits no
worker is refused when it is made, with its limits; any other has a plan, one request after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsched_mip import bounds
from llmsched_mip.bounds import Bound
from llmsched_mip.budget import Budget
from llmsched_mip.errors import SchedulingError
from llmsched_mip.evaluation import evaluate
from llmsched_mip.methods.construct import construct
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.user_model import solve_user_model
from llmsched_mip.models import round_indexed
from llmsched_mip.models.blocks import BuildStoppedError
from llmsched_mip.models.horizon import horizon_from_value, whole_horizon
from llmsched_mip.plan import Plan
from llmsched_mip.solvers import SolveResult, Status, solve, solve_with_cbc
from llmsched_mip.solvers.highs import EXACT
from llmsched_mip.solvers.result import Solver, TracePoint
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.tolerance import at_most, meets, rounded_down

MOST_NONZEROS = 10_000_000
SMALL_NONZEROS = 400_000
BUILD_SHARE = 0.5
SECONDS_PER_NONZERO = 1.0e-6
SECONDS_PER_COLUMN = 30e-6
# HiGHS's presolve has no callbacks, and in it the time limit can pass unseen.
PRESOLVE_SECONDS_PER_NONZERO = 12e-6
WINDOW_REQUESTS = 80
QUICK = ("alone", "area", "longest", "kv_volume", "kv_ends", "release", "split")


@dataclass(frozen=True, eq=False)
class Setting:
    """What the best plan and the best bound say about the model.

    Parameters
    ----------
    horizon : int array, shape (W,)
        Most rounds of each worker in a plan better than the best one.
    least : int or None
        Fewest rounds of the only worker.
    latest_s : float array, shape (n,), or None
        Latest completion of each request in a plan better than the best one.
    objective_bound : float or None
    """

    horizon: IntArray
    least: int | None = None
    latest_s: FloatArray | None = None
    objective_bound: float | None = None

    @classmethod
    def of(cls, search: Search) -> Setting:
        """Setting from the incumbent and the bounds of a search."""
        instance = search.instance
        if search.value is None:
            return cls(whole_horizon(instance), objective_bound=search.bound)
        horizon = horizon_from_value(instance, search.value)
        latest = None
        if instance.objective == "total_completion" and instance.n <= WINDOW_REQUESTS:
            latest = latest_completions(search)
        return cls(horizon, None, latest, search.bound)

    def sizes(self, search: Search) -> dict[str, int]:
        """Estimated columns and nonzeros of the model."""
        return round_indexed.size(search.instance, self.horizon)


def latest_completions(search: Search) -> FloatArray | None:
    """Latest completion of each request in any plan better than the incumbent: shape (n,), seconds.

    Proof.  Take request i out of such a plan of value below V: the others complete no later, and their weighted
    sum is at least the bound B_i of the instance without i.  So ω_i C_i ≤ V - B_i.
    """
    instance, value = search.instance, search.value
    if value is None or instance.n == 1:
        return None
    latest = np.empty(instance.n)
    names = [name for name in QUICK if name in search.bounds] or ["alone"]
    for i in range(instance.n):
        if search.budget.spent():
            return None
        others = instance.take(np.delete(np.arange(instance.n), i))
        least = bounds.best(bounds.compute(others, search.budget, names=names)).value
        latest[i] = (value - least) / instance.requests.weight[i]
    return latest


def full(search: Search) -> str | None:
    """Offer the constructed plans, then solve the round-indexed model; why it was left out, or None."""
    construct(search)
    if search.budget.spent():
        return None
    setting = Setting.of(search)
    reason = too_large(search, setting)
    if reason is None and not search.budget.spent():
        reason = solve_model(search, setting, search.budget)
    return reason


def too_large(search: Search, setting: Setting) -> str | None:
    """Why the model is not built; None when it can be."""
    sizes = setting.sizes(search)
    text = f"about {sizes['columns']:,} columns and {sizes['nonzeros']:,} nonzeros"
    if sizes["nonzeros"] > MOST_NONZEROS:
        return f"{text}, at most {MOST_NONZEROS:,} nonzeros are built"
    seconds = sizes["nonzeros"] * (SECONDS_PER_NONZERO + PRESOLVE_SECONDS_PER_NONZERO)
    seconds += sizes["columns"] * SECONDS_PER_COLUMN
    if seconds > BUILD_SHARE * search.budget.remaining:
        return f"{text} take about {seconds:.1f} s to build and presolve, {search.budget.remaining:.1f} s are left"
    return None


def full_if_small(search: Search, share: float = 0.5) -> None:
    """The full model where it is small, in a share of the time left."""
    if small(search) and too_large(search, setting := Setting.of(search)) is None:
        solve_model(search, setting, search.budget.slice(share=share))


def small(search: Search) -> bool:
    """Whether the model is small enough to be worth a try before the heuristics."""
    if search.value is None:
        return False
    sizes = round_indexed.size(search.instance, horizon_from_value(search.instance, search.value))
    return sizes["nonzeros"] <= SMALL_NONZEROS


def solve_model(
    search: Search,
    setting: Setting,
    budget: Budget,
    solver: Solver = solve,
) -> str | None:
    """Build and solve; why nothing came of it, or None."""
    try:
        model = round_indexed.build(
            search.instance,
            horizon=setting.horizon,
            least=setting.least,
            objective_bound=setting.objective_bound,
            latest_s=setting.latest_s,
            budget=budget,
        )
    except BuildStoppedError:
        return "the time limit passed while it was built"
    known = math.inf if search.value is None else search.value
    started = search.plan is not None and round_indexed.start(model, search.plan)
    limits: dict[str, Any] = {"budget": budget, "threads": search.threads, "mip_rel_gap": search.gap_target}
    if solver is solve:
        limits |= {"start": started, "on_trace": _trace(search, known), "options": EXACT}
    if budget.spent():
        return "the time limit passed while it was built"
    result = solver(model, **limits)
    if result.value is not None:
        _offer(search, round_indexed.extract(model, search.instance))
    search.raise_bounds(proven(search, result, known))
    return None


def _offer(search: Search, plan: Plan) -> None:
    """Offer what the solver found, unless its tolerances let a limit pass: beside billions they are worth a token."""
    violations = evaluate(search.instance, plan).violations
    if violations:
        search.note(f"the solver's plan is left out: {violations[0]}")
    else:
        search.offer(plan)


def proven(search: Search, result: SolveResult, known: float) -> list[Bound]:
    """The bound that a run proves, see the top of this file.

    A dual bound comes from floating-point numbers: it is rounded down, unless it meets the value of the best plan.
    """
    bound = known if result.status is Status.INFEASIBLE else min(known, result.bound)
    if not math.isfinite(bound):
        return []
    value = search.value
    if value is None or not meets(bound, value):
        bound = rounded_down(bound)
    elif not at_most(bound, value):
        raise SchedulingError(f"the model's bound {bound:.12g} is above the value {value:.12g} of a feasible plan")
    return [Bound("round_indexed", bound, sum(result.seconds), {"status": result.status.value})]


def _trace(search: Search, known: float) -> Callable[[TracePoint], None]:
    """Report bounds while HiGHS runs, rounded down; the last word is `proven`'s."""

    def report(point: TracePoint) -> None:
        bound = min(known, point.bound)
        if math.isfinite(bound) and search.value is not None:
            bound = rounded_down(min(bound, search.value))
            if search.bound is None or bound > search.bound:
                search.raise_bounds([Bound("round_indexed", bound)])

    return report


def solve_with(search: Search, name: str) -> None:
    """The full method with CBC (``cbc``), or with the model of a user's file (a path).

    Raises
    ------
    SchedulingError
        CBC is not available, or the file is no model or its plan infeasible (`user_model`).
    """
    if name != "cbc":
        solve_user_model(search, name)
        return
    construct(search)
    if search.budget.spent():
        return
    setting = Setting.of(search)
    reason = too_large(search, setting) or solve_model(search, setting, search.budget, solve_with_cbc)
    if reason is not None:
        search.note(f"full model left out: {reason}")
