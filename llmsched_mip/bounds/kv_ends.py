"""Bound "kv_ends": the KV cache when requests end."""

from __future__ import annotations

import numpy as np

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.completion_levels import total_completion
from llmsched_mip.relaxations.conserved_work import makespan_from_rounds
from llmsched_mip.relaxations.fluid.best_pricing import best_pricing
from llmsched_mip.relaxations.fluid.pricing import WorkerPrices, priced_parts
from llmsched_mip.relaxations.kv_ends import MOST_AGES, KvEnds, best_price, prices
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.timing import FloatArray, decode_work_seconds, request_kv_volume

ROUNDING = 1e-12
MOST_PRICED = 300
"""Requests in the LP of prices of unlike workers."""


def kv_ends(instance: Instance, budget: Budget) -> Bound | None:
    """Rounds in which requests end hold at most M tokens, and in those before them the KV cache is not full.

    Proof.  `llmsched_mip.relaxations.kv_ends` has r_i, such that a worker's rounds up to the last completion of any of
    its requests are at least their Σ max(r_i, 0).  One worker, makespan: `makespan_from_rounds`.  Otherwise the
    requests of a set that are on worker w take at least Σ π_iw / μ_w of its seconds up to the last completion among
    them, π_iw the priced prefill of `llmsched_mip.relaxations.fluid.pricing` and μ_w (a max(r_i, 0) + b d_i + c vol_i);
    so the set takes Σ_i min_w π_iw, as Σ μ_w ≤ 1.  Total completion: `relaxations.completion_levels`.

    None without a KV capacity that anything reaches, and where the minima would take too long.
    """
    began = clock.now()
    ends = {int(workers[0]): KvEnds(Limits.of(instance, int(workers[0]))) for workers in instance.worker_kinds}
    if all(worker.kv_capacity is None for worker in instance.workers):
        return None
    if sum(worker.ages for worker in ends.values()) > MOST_AGES:
        return None
    if instance.objective == "makespan" and len(instance.workers) == 1:
        worker = ends[0]
        price = best_price(lambda y: float(worker.rounds(y).sum()))
        rounds = int(np.ceil(worker.rounds(price).sum() * (1 - ROUNDING)))
        value, certificate = makespan_from_rounds(instance, rounds, kv_capacity=worker.limits.kv, price=price)
        return Bound("kv_ends", value, clock.now() - began, certificate)
    pricing = best_pricing(instance, ("kv",), budget, MOST_PRICED)

    first_s, weight = float(instance.requests.arrival_s.min()), instance.requests.weight
    if instance.objective == "makespan":
        price = best_price(lambda y: float(_priced(instance, ends, pricing, y).sum()))
        value = first_s + float(_priced(instance, ends, pricing, price).sum()) * (1 - ROUNDING)
        return Bound("kv_ends", value, clock.now() - began, {"price": price})
    work = np.array([_priced(instance, ends, pricing, price) for price in prices()])
    value = first_s * float(weight.sum()) + total_completion(work, weight)
    return Bound("kv_ends", value, clock.now() - began, {"prices": len(work)})


def _priced(instance: Instance, ends: dict[int, KvEnds], pricing: list[WorkerPrices], price: float) -> FloatArray:
    """min_w π_iw of each request: shape (n,), seconds."""
    least = np.full(instance.n, np.inf)
    for w, worker in ends.items():
        limits, fits, prices = worker.limits, instance.fits_worker[:, w], pricing[w]
        if not fits.any():
            continue
        decode = limits.worker.decode_time
        volume = request_kv_volume(limits.p, limits.d).astype(np.float64)
        seconds = decode.base_s * worker.rounds(price) + decode_work_seconds(decode, limits.d, volume)
        least[fits] = np.minimum(least[fits], priced_parts(limits, prices)[0] + prices.mu * seconds)
    return least
