"""Bound "split_longest": every split of the requests, each worker running as many rounds as its longest."""

from __future__ import annotations

from collections.abc import Callable

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.fluid.whole_rounds import SIZES, Size, WholeRounds

DEFAULT_TIME_LIMIT_S = 20.0


def split_longest(instance: Instance, budget: Budget) -> Bound | None:
    """Makespan, several kinds of workers: HiGHS's dual bounds of small MIPs, as far as they come in time.

    Proof.  `llmsched_mip.relaxations.fluid.whole_rounds`.
    """
    found: list[Bound] = []
    improve(instance, budget.slice(DEFAULT_TIME_LIMIT_S), found.append)
    return found[-1] if found else None


def improve(
    instance: Instance, budget: Budget, report: Callable[[Bound], None], sizes: tuple[Size, ...] = SIZES
) -> None:
    """Report every better bound, of larger and larger models, until the budget is spent."""
    if instance.objective != "makespan" or len(instance.worker_kinds) == 1:
        return
    began, best, before = clock.now(), 0.0, (0, 0)
    ones = [1.0] * len(instance.worker_kinds)
    for size in sizes:
        if before[0] and budget.spent():
            return
        relaxation = WholeRounds.of(instance, size)
        if relaxation is None or (len(relaxation.types), len(relaxation.levels)) == before:
            continue
        before = len(relaxation.types), len(relaxation.levels)
        result = relaxation.solve(ones, budget)
        value = relaxation.bound(result)
        if value > best:
            best = value
            certificate = {"types": before[0], "levels": before[1], "status": result.status.value}
            report(Bound("split_longest", value, clock.now() - began, certificate))
