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
from llmsched_mip.relaxations.fluid import work_prices
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
    instance: Instance, resources: Sequence[str] = RESOURCES, budget: Budget | None = None, most: int = MOST_TYPES
) -> list[WorkerPrices]:
    """Multipliers of every worker; any result is valid, a good one gives a strong bound.

    Equal workers share the time equally (the concave maximum is symmetric), so the extreme prices of one
    worker are best.  Different workers: the LP of `work_prices` over the kinds of workers and
    at most `most` requests.
    """
    kinds = {worker.kind: w for w, worker in reversed(list(enumerate(instance.workers)))}
    of_kind = {kind: Limits.of(instance, w) for kind, w in kinds.items()}
    limits = [of_kind[worker.kind] for worker in instance.workers]
    if len(kinds) == 1:
        return _shared_equally(instance, limits, resources)
    raw = _solve(instance, sorted(kinds.values()), resources, budget or Budget(), most)
    if raw is None:
        return _shared_equally(instance, limits, resources)
    return repaired(limits, [raw[worker.kind] for worker in instance.workers])


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


def sample(instance: Instance, most: int = MOST_TYPES) -> tuple[IntArray, IntArray]:
    """At most `most` requests that stand for all, and how many each stands for.

    Requests are sorted by what they are, not by where they stand, so that permuting them changes nothing.
    """
    r = instance.requests
    order = np.lexsort((*instance.fits_worker.T, r.prefill_tokens, r.decode_tokens))
    groups = np.array_split(order, min(most, instance.n))
    return np.array([g[len(g) // 2] for g in groups]), np.array([len(g) for g in groups])


def _solve(
    instance: Instance, kinds: list[int], resources: Sequence[str], budget: Budget, most: int
) -> dict[tuple[Any, ...], WorkerPrices] | None:
    """Prices of a worker by its kind; `kinds` has one worker of each.  None where the LP was not solved."""
    limits = [Limits.of(instance, w) for w in kinds]
    chosen, count = sample(instance, most)
    only_time = WorkerPrices(1.0, 0.0, 0.0, 0.0, 0.0)
    types = instance.take(chosen)
    seconds = np.zeros((len(chosen), len(limits)))
    for k, w in enumerate(kinds):
        fits = types.fits_worker[:, w]
        if fits.any():
            seconds[fits, k] = np.add(*priced_parts(Limits.of(types, w), only_time))
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
        types.fits_worker[:, kinds],
        [math.ldexp(worker.worker.decode_time.base_s, -unit) for worker in limits],
        [worker.slots for worker in limits],
        [worker.kv / kv_unit for worker in limits],
        [[(tokens / token_unit, math.ldexp(level_s, -unit)) for tokens, level_s in levels] for levels in fixed],
        [sum(worker.kind == instance.workers[w].kind for worker in instance.workers) for w in kinds],
    )
    solution = solvers.solve_arrays(work_prices.build(data, resources), budget=budget).x
    if solution is None:
        return None
    prices = [
        WorkerPrices(mu, *(math.ldexp(x, unit) for x in (alpha, beta / kv_unit, gamma / token_unit, delta)))
        for mu, alpha, beta, gamma, delta in work_prices.extract(solution, len(kinds))
    ]
    return {instance.workers[w].kind: priced for w, priced in zip(kinds, prices, strict=True)}


def _unit(most: int) -> int:
    """Tokens that the LP counts as one, a power of two: above 1 only where it would see numbers beyond 2**40."""
    return int(2 ** max(0, most.bit_length() - 40))


def as_certificate(instance: Instance, pricing: list[WorkerPrices]) -> dict[str, Any]:
    """The multipliers by worker name: with them anyone can add up the priced work again."""
    named = zip(instance.workers, pricing, strict=True)
    return {"prices": {worker.name: asdict(prices) for worker, prices in named}}
