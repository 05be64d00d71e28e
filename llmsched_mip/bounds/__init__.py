"""Lower bounds on the objective, one a file; each states its proof in its docstring."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from llmsched_mip import clock
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound, BoundFunction, Stop
from llmsched_mip.names import OBJECTIVES
from llmsched_mip.registry import Registry

BOUNDS: Registry[BoundFunction] = Registry(
    __name__,
    {
        "alone": "alone:alone",
        "area": "area:area",
        "longest": "longest:longest",
        "kv_volume": "kv_volume:kv_volume",
        "release": "release:release",
        "split": "split:split",
        "start_prices": "start_prices:start_prices",
        "mmbpp": "mmbpp:mmbpp",
        "kv_dual": "kv_dual:kv_dual",
        "start_lp": "start_lp:start_lp",
    },
)
ONE_OBJECTIVE = {
    "longest": "makespan",
    "release": "makespan",
    "mmbpp": "makespan",
    "start_prices": "total_completion",
    "kv_dual": "total_completion",
    "start_lp": "total_completion",
}
"""Bounds that are for one objective alone: for the other they are not even imported."""

__all__ = ["BOUNDS", "Bound", "best", "compute"]


def compute(
    instance: Instance,
    objective: str | None = None,
    time_limit_s: float | None = None,
    log: Callable[[Bound], None] | None = None,
    stop: Stop | None = None,
    names: Iterable[str] | None = None,
    failed: Callable[[str, Exception], None] | None = None,
) -> list[Bound]:
    """All bounds that apply, in the order of `BOUNDS`: quick ones first.

    Parameters
    ----------
    instance : Instance
    objective : str, optional
        ``makespan`` or ``total_completion``; default: the instance's.
    time_limit_s : float, optional
        Wall time for all of them, seconds.  Quick bounds are computed however small it is.
    log : callable, optional
        Called with every bound as it is found.
    stop : callable, optional
        Polled; once it is true, what was found so far is returned (the first bound always is).
    names : iterable of str, optional
        Only these bounds.
    failed : callable, optional
        Called with the name of a bound that raises, and the error; the others are computed.  Without it the error is
        the caller's.

    Raises
    ------
    InvalidInputError
        An unknown objective or name.
    """
    objective = objective or instance.objective
    if objective not in OBJECTIVES:
        raise InvalidInputError("objective", f"expected one of {', '.join(OBJECTIVES)}, got {objective!r}")
    chosen = list(BOUNDS) if names is None else list(names)
    for name in chosen:
        if name not in BOUNDS:
            raise InvalidInputError("bound", f"expected one of {', '.join(BOUNDS)}, got {name!r}")
    began = clock.now()
    found: list[Bound] = []
    for name in chosen:
        if found and stop is not None and stop():
            break
        if ONE_OBJECTIVE.get(name, objective) != objective:
            continue
        left = None if time_limit_s is None else max(0.0, time_limit_s - (clock.now() - began))
        try:
            bound = BOUNDS[name](instance, objective, time_limit_s=left, stop=stop)
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


def best(bounds: Iterable[Bound]) -> Bound:
    """The largest bound: the one that binds."""
    return max(bounds, key=lambda bound: bound.value)
