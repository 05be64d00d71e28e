"""Bound "split_longest": every split of the requests, each worker running as many rounds as its longest."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.fluid.whole_rounds import WholeRounds

DEFAULT_TIME_LIMIT_S = 20.0


def split_longest(instance: Instance, budget: Budget) -> Bound | None:
    """Makespan, several kinds of workers: HiGHS's dual bound of a small MIP, as far as it comes in time.

    Proof.  `llmsched_mip.relaxations.fluid.whole_rounds`.
    """
    if instance.objective != "makespan" or len(instance.worker_kinds) == 1:
        return None
    began = clock.now()
    relaxation = WholeRounds.of(instance)
    if relaxation is None:
        return None
    ones = [1.0] * len(instance.worker_kinds)
    result = relaxation.solve(ones, budget.slice(DEFAULT_TIME_LIMIT_S))
    certificate = {"types": len(relaxation.types), "levels": len(relaxation.levels), "status": result.status.value}
    return Bound("split_longest", relaxation.bound(result), clock.now() - began, certificate)
