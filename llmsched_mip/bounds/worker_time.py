"""Bound "worker_time": total completion of several workers by prices on the time of each."""

from __future__ import annotations

from collections.abc import Callable

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.normal_form import NormalForm
from llmsched_mip.relaxations.worker_time.ascent import ascend, value_of_prices
from llmsched_mip.relaxations.worker_time.prices import Prices
from llmsched_mip.relaxations.worker_time.relaxation import WorkerTime

DEFAULT_TIME_LIMIT_S, SHARE = 5.0, 0.2


def worker_time(instance: Instance, budget: Budget) -> Bound | None:
    """The bound for the best prices found; total completion of several workers only.

    Proof.  `relaxations.worker_time.relaxation`.  It takes `DEFAULT_TIME_LIMIT_S` at most and a part of the budget;
    `improve` takes all that it is given.
    """
    found: list[Bound] = []
    improve(instance, budget.slice(DEFAULT_TIME_LIMIT_S, SHARE), found.append)
    return max(found, key=lambda bound: bound.value, default=None)


def improve(instance: Instance, budget: Budget, report: Callable[[Bound], None]) -> None:
    """Tell `report` of better and better bounds until `budget` is spent or all passes are made."""
    began = clock.now()
    if instance.objective != "total_completion" or len(instance.workers) == 1:
        return
    form = NormalForm.of(instance)
    problem = WorkerTime(form.instance)
    if not problem.horizon_s > 0:
        return

    def tell(prices: Prices) -> None:
        value = form.value(value_of_prices(problem, prices))
        report(Bound("worker_time", value, clock.now() - began, {"levels": len(prices.cuts) - 1}))

    ascend(problem, budget, tell)
