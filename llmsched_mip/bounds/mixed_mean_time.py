"""Bound "mixed_mean_time": total completion of a mixed execution by the mean times of the requests' work."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.bounds.mixed_work import as_certificate
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.mixed_work.best_prices import best_prices
from llmsched_mip.relaxations.mixed_work.engine_work import kinds
from llmsched_mip.relaxations.mixed_work.mean_time import completion_value


def mixed_mean_time(instance: Instance, budget: Budget) -> Bound | None:
    """The shortest of the remaining work first, on one machine as fast as all workers, and what follows its mean.

    Proof.  `relaxations.mixed_work.mean_time`.  Total completion alone.
    """
    began = clock.now()
    if instance.semantics != "mixed" or instance.objective != "total_completion":
        return None
    work = kinds(instance)
    prices = best_prices(instance, work, budget)
    value, by_work = completion_value(instance, work, prices)
    certificate = {"by_mean_time": int(by_work.sum()), "prices": as_certificate(work, prices)}
    return Bound("mixed_mean_time", value, clock.now() - began, certificate)
