"""Lower bounds on the objective, one a file; each states its proof in its docstring."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound, BoundFunction
from llmsched_mip.registry import Registry

BOUNDS: Registry[BoundFunction] = Registry(
    __name__,
    {
        "alone": "alone:alone",
        "area": "area:area",
        "longest": "longest:longest",
        "kv_volume": "kv_volume:kv_volume",
        "kv_ends": "kv_ends:kv_ends",
        "prefill_grid": "prefill_grid:prefill_grid",
        "release": "release:release",
        "split": "split:split",
        "start_prices": "start_prices:start_prices",
        "round_patterns": "round_patterns:round_patterns",
        "mmbpp": "mmbpp:mmbpp",
        "deadline": "deadline:deadline",
        "split_longest": "split_longest:split_longest",
        "kv_dual": "kv_dual:kv_dual",
        "work_clock": "work_clock:work_clock",
        "worker_time": "worker_time:worker_time",
        "start_lp": "start_lp:start_lp",
        "mixed_alone": "mixed_alone:mixed_alone",
        "mixed_work": "mixed_work:mixed_work",
        "mixed_mean_time": "mixed_mean_time:mixed_mean_time",
    },
)
ONE_OBJECTIVE = {
    "longest": "makespan",
    "prefill_grid": "makespan",
    "deadline": "makespan",
    "split_longest": "makespan",
    "release": "makespan",
    "mmbpp": "makespan",
    "start_prices": "total_completion",
    "round_patterns": "total_completion",
    "kv_dual": "total_completion",
    "work_clock": "total_completion",
    "worker_time": "total_completion",
    "start_lp": "total_completion",
    "mixed_work": "makespan",
    "mixed_mean_time": "total_completion",
}
"""Bounds that are for one objective alone: for the other they are not even imported."""
MIXED = ("mixed_alone", "mixed_work", "mixed_mean_time")
"""Bounds of every mixed execution.  The others are of plans, which are executed exclusively."""

__all__ = ["BOUNDS", "MIXED", "Bound", "best", "bound", "compute", "mixed_bound"]


def compute(
    instance: Instance,
    budget: Budget | None = None,
    log: Callable[[Bound], None] | None = None,
    names: Iterable[str] | None = None,
    failed: Callable[[str, Exception], None] | None = None,
) -> list[Bound]:
    """All bounds that apply, in the order of `BOUNDS`: quick ones first.

    Of an instance with mixed semantics those of `MIXED`, which are for every mixed execution; what bounds its plans are
    the bounds of ``instance.exclusive()``.

    Parameters
    ----------
    instance : Instance
    budget : Budget, optional
        For all of them.  The first bound is computed however small it is; once it is interrupted, what was found so
        far is returned.
    log : callable, optional
        Called with every bound as it is found.
    names : iterable of str, optional
        Only these bounds.
    failed : callable, optional
        Called with the name of a bound that raises, and the error; the others are computed.  Without it the error is
        the caller's.

    Raises
    ------
    InvalidInputError
        An unknown name.
    """
    budget = budget or Budget()
    chosen = list(BOUNDS) if names is None else list(names)
    for name in chosen:
        if name not in BOUNDS:
            raise InvalidInputError("bound", f"expected one of {', '.join(BOUNDS)}, got {name!r}")
    found: list[Bound] = []
    for name in chosen:
        if found and budget.interrupted():
            break
        if ONE_OBJECTIVE.get(name, instance.objective) != instance.objective:
            continue
        if (name in MIXED) != (instance.semantics == "mixed"):
            continue
        try:
            bound = BOUNDS[name](instance, budget)
        except Exception as error:
            if failed is None:
                raise
            failed(name, error)
            continue
        if bound is not None:
            found.append(bound)
            if log is not None:
                log(bound)
    return found


def bound(
    instance: Instance, *, time_limit_s: float | None = None, names: Iterable[str] | None = None
) -> dict[str, Bound]:
    """Every proven lower bound on the instance's objective that applies, by name; `best` says which one binds.

    Parameters
    ----------
    instance : Instance
    time_limit_s : float, optional
        For all of them, seconds; without it each takes its own.
    names : iterable of str, optional
        Only these.
    """
    found = compute(instance, Budget() if time_limit_s is None else Budget(time_limit_s), names=names)
    return {one.name: one for one in found}


def mixed_bound(instance: Instance, objective: str | None = None) -> Bound:
    """The largest bound on every mixed execution: any order, chunking, eviction, placement, and any prefix cache.

    Parameters
    ----------
    instance : Instance
        Of mixed semantics.
    objective : str, optional
        By default the instance's.

    Raises
    ------
    InvalidInputError
        The instance is not of mixed semantics.
    """
    if instance.semantics != "mixed":
        raise InvalidInputError("semantics", f"expected mixed, got {instance.semantics!r}")
    return best(compute(instance.with_objective(objective or instance.objective)))


def best(bounds: Iterable[Bound]) -> Bound:
    """The largest bound: the one that binds."""
    return max(bounds, key=lambda bound: bound.value)
