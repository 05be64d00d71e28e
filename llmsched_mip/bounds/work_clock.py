"""Bound "work_clock": total completion on the clocks of workers, with what is in flight and what stands idle."""

from __future__ import annotations

from collections.abc import Callable

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.normal_form import NormalForm
from llmsched_mip.relaxations.work_clock import linear
from llmsched_mip.relaxations.work_clock.ascent import ascend, by_worker_time
from llmsched_mip.relaxations.work_clock.prices import ClockPrices, value_of_prices
from llmsched_mip.relaxations.work_clock.relaxation import ClockRelaxation

DEFAULT_TIME_LIMIT_S, SHARE = 10.0, 0.3
START_SHARE = 0.2
ASCENT_SHARE = 0.25
"""On one kind of worker, before linear programs, where requests are few enough for them."""
MOST_COLUMNS = 1_000_000
"""Requests times kinds of worker up to which the value of prices takes seconds at most."""


def work_clock(instance: Instance, budget: Budget) -> Bound | None:
    """The bound for the best prices found; total completion only.

    Proof.  `relaxations.work_clock.relaxation` and `relaxations.work_clock.prices`.  It takes `DEFAULT_TIME_LIMIT_S` at
    most and a part of the budget; `improve` takes all that it is given.
    """
    found: list[Bound] = []
    improve(instance, budget.slice(DEFAULT_TIME_LIMIT_S, SHARE), found.append)
    return found[-1] if found else None


def improve(instance: Instance, budget: Budget, report: Callable[[Bound], None]) -> None:
    """Tell `report` of better and better bounds until `budget` is spent or prices no longer change."""
    began = clock.now()
    if instance.objective != "total_completion":
        return
    kinds = len(instance.fitting_kinds)
    if kinds > 1 and instance.n * kinds > MOST_COLUMNS:
        return
    # Square roots of times are exact multiples of each other only in one unit of time.
    form = NormalForm.of(instance)
    problem = ClockRelaxation.of(form.instance)
    if problem is None:
        return

    def tell(prices: list[ClockPrices]) -> None:
        value = form.value(value_of_prices(problem, prices))
        certificate = {"levels": len(prices[0].cuts) - 1, "groups": sum(len(kind.alone) for kind in prices)}
        report(Bound("work_clock", value, clock.now() - began, certificate))

    starts = by_worker_time(form.instance, budget.slice(share=START_SHARE)) if kinds > 1 else []
    few = linear.applies(problem, budget.remaining)
    first = budget.slice(share=ASCENT_SHARE) if few and kinds == 1 else budget
    prices = ascend(problem, first, report=tell, starts=starts)
    tell(prices)
    if few:
        linear.sharpen(problem, prices, budget, tell)
