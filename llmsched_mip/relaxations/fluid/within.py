"""The fluid relaxation where each request may go only where it alone is complete by a deadline.

Proof.  In a schedule that ends by T every request is complete by T, on a worker where it alone could be
(`alone.alone_by_worker`, after its arrival).  So the fluid bound over the splits among these workers holds for it, and
with their limits for these requests alone.  Where that bound is above T there is no such schedule: the makespan is more
than T.  (The restriction is that of Lenstra, Shmoys and Tardos, Mathematical Programming 46, 1990.)
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from llmsched_mip.alone import alone_by_worker
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.fluid.best_pricing import best_pricing
from llmsched_mip.relaxations.fluid.pricing import WorkerPrices
from llmsched_mip.relaxations.fluid.value import makespan_seconds
from llmsched_mip.timing import FloatArray

TRIALS = 12
ENOUGH = 3e-3
"""Relative distance of a deadline that is refuted and one that is not at which the search between them ends."""


@dataclass(frozen=True, eq=False)
class Within(Instance):
    """An instance whose requests fit only where they alone are complete by `latest_s` seconds."""

    latest_s: float = np.inf

    @classmethod
    def of(cls, instance: Instance, latest_s: float) -> Within:
        """The same instance with the deadline."""
        return cls(**_columns(instance), latest_s=latest_s)

    @cached_property
    def fits_worker(self) -> np.ndarray:
        """Whether request i fits worker w alone and in time: shape (n, W), bool."""
        return completions_alone(Instance(**_columns(self))) <= self.latest_s


def _columns(instance: Instance) -> dict[str, Any]:
    return {field.name: getattr(instance, field.name) for field in fields(Instance)}


def completions_alone(instance: Instance) -> FloatArray:
    """When each request is complete if it runs alone on each worker: shape (n, W), infinite where it does not fit."""
    return np.asarray(instance.requests.arrival_s[:, None] + alone_by_worker(instance))


def least_deadline(instance: Instance, budget: Budget) -> float | None:
    """A bound on the makespan, below which all deadlines are refuted; None where none keeps a request off a worker.

    Prices for one deadline are prices for every earlier one, as fewer requests and smaller limits only loosen their
    conditions: they are asked for the latest that they refute before others are looked for.
    """
    alone = completions_alone(instance)
    low, high = float(alone.min(axis=1).max()), float(alone[np.isfinite(alone)].max())
    pricing = best_pricing(instance, budget=budget)
    if low >= high or makespan_seconds(instance, pricing) >= high:
        return None
    low = _latest_refuted(instance, pricing, low, high)
    while high - low > ENOUGH * low and not budget.spent():
        tried = (low + high) / 2
        within = Within.of(instance, tried)
        pricing = best_pricing(within, budget=budget)
        if makespan_seconds(within, pricing) > tried:
            low = tried
        else:
            low, high = _latest_refuted(instance, pricing, low, tried), tried
    return low


def _latest_refuted(instance: Instance, pricing: list[WorkerPrices], low: float, high: float) -> float:
    """The latest deadline from `low` to `high` that the prices refute; no makespan is below `low`."""
    for _ in range(TRIALS):
        tried = (low + high) / 2
        if makespan_seconds(Within.of(instance, tried), pricing) > tried:
            low = tried
        else:
            high = tried
    return low
