"""The pricing of `llmsched_mip.relaxations.fluid.pricing` that gives the largest total of priced work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from llmsched_mip import solvers
from llmsched_mip.alone import alone_seconds
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.models import work_prices
from llmsched_mip.relaxations.fluid.pricing import (
    NOTHING,
    RESOURCES,
    WorkerPrices,
    extreme_prices,
    fixed_prefill,
    priced_parts,
    priced_work,
    repaired,
)
from llmsched_mip.relaxations.limits import Limits, exact_sum
from llmsched_mip.timing import IntArray

MOST_TYPES = 2000


def best_pricing(
    instance: Instance, resources: Sequence[str] = RESOURCES, budget: Budget | None = None
) -> list[WorkerPrices]:
    """Multipliers of every worker; any result is valid, a good one gives a strong bound.

    Equal workers share the time equally (the concave maximum is symmetric), so the extreme prices of one
    worker are best.  Different workers: the LP of `llmsched_mip.models.work_prices` over at most
    `MOST_TYPES` requests.
    """
    limits = [Limits.of(instance, w) for w in range(len(instance.workers))]
    if len({worker.worker.kind for worker in limits}) == 1:
        return _shared_equally(instance, limits, resources)
    return repaired(limits, _solve(instance, limits, resources, budget or Budget()))


def _shared_equally(instance: Instance, limits: list[Limits], resources: Sequence[str]) -> list[WorkerPrices]:
    tokens, used = float(exact_sum(instance.requests.prefill_tokens)), [worker for worker in limits if len(worker.p)]
    candidates = [
        [
            extreme_prices(worker, resource, tokens, instance.n).scaled(1.0 / len(used)) if len(worker.p) else NOTHING
            for worker in limits
        ]
        for resource in resources
    ]
    if len(candidates) == 1:
        return candidates[0]
    return max(candidates, key=lambda pricing: float(priced_work(instance, pricing).sum()))


def sample(instance: Instance) -> tuple[IntArray, IntArray]:
    """At most `MOST_TYPES` requests that stand for all, and how many each stands for.

    Requests are sorted by what they are, not by where they stand, so that permuting them changes nothing.
    """
    r = instance.requests
    order = np.lexsort((*instance.fits_worker.T, r.prefill_tokens, r.decode_tokens))
    groups = np.array_split(order, min(MOST_TYPES, instance.n))
    return np.array([g[len(g) // 2] for g in groups]), np.array([len(g) for g in groups])


def _solve(instance: Instance, limits: list[Limits], resources: Sequence[str], budget: Budget) -> list[WorkerPrices]:
    chosen, count = sample(instance)
    only_time = WorkerPrices(1.0, 0.0, 0.0, 0.0, 0.0)
    types = instance.take(chosen)
    seconds = np.zeros((len(chosen), len(limits)))
    for w in range(len(limits)):
        fits = types.fits_worker[:, w]
        if fits.any():
            seconds[fits, w] = np.add(*priced_parts(Limits.of(types, w), only_time))
    # In a unit of time in which requests take about one: the solver's tolerances are absolute.
    unit = math.frexp(float(alone_seconds(types).max()))[1]
    fixed = [fixed_prefill(worker) if len(worker.p) else [] for worker in limits]
    used = [worker for worker in limits if len(worker.p)]
    kv_unit, token_unit = _unit(int(types.kv_volume.max())), _unit(max(worker.batch_tokens for worker in used))
    data = work_prices.PriceData(
        count.astype(np.float64),
        types.requests.prefill_tokens / token_unit,
        types.requests.decode_tokens.astype(np.float64),
        types.kv_volume / kv_unit,
        np.ldexp(seconds, -unit),
        types.fits_worker,
        [math.ldexp(worker.worker.decode_time.base_s, -unit) for worker in limits],
        [worker.slots for worker in limits],
        [worker.kv / kv_unit for worker in limits],
        [[(tokens / token_unit, math.ldexp(level_s, -unit)) for tokens, level_s in levels] for levels in fixed],
    )
    model = work_prices.build(data, resources)
    result = solvers.solve(model, budget=budget)
    if result.x is None:
        return _shared_equally(instance, limits, resources)
    return [
        WorkerPrices(mu, *(math.ldexp(x, unit) for x in (alpha, beta / kv_unit, gamma / token_unit, delta)))
        for mu, alpha, beta, gamma, delta in work_prices.extract(model)
    ]


def _unit(most: int) -> int:
    """Tokens that the LP counts as one, a power of two: above 1 only where it would see numbers beyond 2**40."""
    return int(2 ** max(0, most.bit_length() - 40))


def as_certificate(instance: Instance, pricing: list[WorkerPrices]) -> dict[str, Any]:
    """The multipliers by worker name: with them anyone can add up the priced work again."""
    named = zip(instance.workers, pricing, strict=True)
    return {"prices": {worker.name: asdict(prices) for worker, prices in named}}
