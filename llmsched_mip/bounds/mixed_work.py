"""Bound "mixed_work": the work of all requests of a mixed execution, and of all that arrive late."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.mixed_work.best_prices import best_prices
from llmsched_mip.relaxations.mixed_work.engine_work import EngineWork, kinds, least_over
from llmsched_mip.relaxations.mixed_work.prices import EnginePrices, head_start
from llmsched_mip.timing import FloatArray

ROUNDING = 1e-12


def mixed_work(instance: Instance, budget: Budget) -> Bound | None:
    """Latest, over the arrivals r, of r plus the priced work of the requests that arrive at r or later.

    Proof.  `relaxations.mixed_work.prices`: from r on, all workers together do at most a second of priced work a
    second, and D seconds in all that evictions save; what is counted for requests that arrive at r or later is done
    after r (`prompts`).  On one worker at least as many iterations follow as the request among them that takes most
    takes, each of which is worth λ more.  Makespan alone.
    """
    began = clock.now()
    if instance.semantics != "mixed" or instance.objective != "makespan":
        return None
    work = kinds(instance)
    found = [_latest(instance, work, best_prices(instance, work, budget))]
    if len(instance.workers) == 1:
        longest = float(work[0].iterations.max())
        found.append(_latest(instance, work, best_prices(instance, work, budget, longest)))
    value, certificate = max(found, key=lambda one: one[0])
    return Bound("mixed_work", value, clock.now() - began, certificate)


def _latest(instance: Instance, work: list[EngineWork], prices: list[EnginePrices]) -> tuple[float, dict[str, Any]]:
    r = instance.requests
    each = least_over(
        work, [priced.prompt_work(kind) + priced.step_work(kind) for kind, priced in zip(work, prices, strict=True)]
    )
    order = np.lexsort((each, r.arrival_s))
    ends = r.arrival_s[order] + _suffix_sum(each[order]) * (1 - ROUNDING)
    ends -= head_start(work, prices, instance.n)
    if prices[0].iteration > 0:
        longest = np.maximum.accumulate(work[0].iterations[order][::-1])[::-1]
        ends += prices[0].iteration * longest
    first = int(np.argmax(ends))
    certificate = {"from_s": float(r.arrival_s[order][first]), "requests": instance.n - first}
    return float(ends[first]) * (1 - ROUNDING), {**certificate, "prices": as_certificate(work, prices)}


def _suffix_sum(values: FloatArray) -> FloatArray:
    return np.cumsum(values[::-1])[::-1]


def as_certificate(work: list[EngineWork], prices: list[EnginePrices]) -> dict[str, Any]:
    """The multipliers by the name of the first worker of each kind."""
    certificate = {}
    for kind, priced in zip(work, prices, strict=True):
        values = asdict(priced)
        certificate[kind.worker.name] = {
            name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()
        }
    return certificate
