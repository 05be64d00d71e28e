"""Lower bounds on the objective, one a file; each states its proof in its docstring."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from llmsched_mip import clock
from llmsched_mip.bounds.alone import alone
from llmsched_mip.bounds.area import area
from llmsched_mip.bounds.bound import Bound, BoundFunction, Stop
from llmsched_mip.bounds.kv_dual import kv_dual
from llmsched_mip.bounds.kv_volume import kv_volume
from llmsched_mip.bounds.longest import longest
from llmsched_mip.bounds.mmbpp import clients, makespan_from_packing, mmbpp
from llmsched_mip.bounds.release import release
from llmsched_mip.bounds.split import split
from llmsched_mip.bounds.start_lp import start_lp
from llmsched_mip.bounds.start_prices import start_prices
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import OBJECTIVES, Instance

BOUNDS: dict[str, BoundFunction] = {
    "alone": alone,
    "area": area,
    "longest": longest,
    "kv_volume": kv_volume,
    "release": release,
    "split": split,
    "start_prices": start_prices,
    "mmbpp": mmbpp,
    "kv_dual": kv_dual,
    "start_lp": start_lp,
}

__all__ = ["BOUNDS", "Bound", "best", "clients", "compute", "makespan_from_packing"]


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
