"""The value of the fluid relaxation, for any number of workers and both objectives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.fluid.best_pricing import as_certificate, best_pricing
from llmsched_mip.relaxations.fluid.completion import completion_seconds
from llmsched_mip.relaxations.fluid.pricing import WorkerPrices, priced_work


def fluid_value(instance: Instance, resources: Sequence[str], budget: Budget) -> tuple[float, dict[str, Any]]:
    """Bound on the objective with prices on the given decode `resources` ("slots", "kv"), and its certificate.

    Proof.  Makespan: no work is done before the first arrival, then at most 1 per second, so makespan
    ≥ min r + Σ_i min_w π_iw.  Total completion: see `completion_seconds`.
    """
    pricing = best_pricing(instance, resources, budget)
    certificate = as_certificate(instance, pricing)
    if instance.objective != "makespan":
        return completion_seconds(instance, pricing), certificate
    return makespan_seconds(instance, pricing), certificate


def makespan_seconds(instance: Instance, pricing: list[WorkerPrices]) -> float:
    """min r + Σ_i min_w π_iw; see `fluid_value`."""
    return float(instance.requests.arrival_s.min()) + float(priced_work(instance, pricing).sum())
