"""Bounds from priced work (`llmsched_mip.bounds.pricing`), for any number of workers and both objectives."""

from __future__ import annotations

from collections.abc import Sequence

from llmsched_mip import clock
from llmsched_mip.bounds.best_pricing import as_certificate, best_pricing
from llmsched_mip.bounds.completion import completion_seconds
from llmsched_mip.bounds.pricing import priced_work
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound


def priced_bound(name: str, instance: Instance, resources: Sequence[str], budget: Budget) -> Bound:
    """Bound with prices on the given decode `resources` ("slots", "kv").

    Proof.  Makespan: no work is done before the first arrival, then at most 1 per second, so makespan
    ≥ min r + Σ_i min_w π_iw.  Total completion: see `completion_seconds`.
    """
    began = clock.now()
    pricing = best_pricing(instance, resources, budget)
    if instance.objective == "makespan":
        work_s = float(priced_work(instance, pricing).sum())
        value = float(instance.requests.arrival_s.min()) + work_s
    else:
        value = completion_seconds(instance, pricing)
    return Bound(name, value, clock.now() - began, as_certificate(instance, pricing))
