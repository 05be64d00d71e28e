"""Least total seconds of prefill iterations on one worker."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from llmsched_mip import solvers
from llmsched_mip.budget import Budget
from llmsched_mip.models import prefill_cover as covering_model
from llmsched_mip.relaxations.limits import Limits, ceil_div, exact_sum
from llmsched_mip.timing import IntArray
from llmsched_mip.tolerance import meets, rounded_down

COVER_TIME_LIMIT_S = 5.0


def bins_needed(sizes: IntArray, capacity: int) -> int:
    """Lower bound on the bins of `capacity` that hold `sizes` (L2 of Martello and Toth, 1990, section 8.3).

    Proof.  Take a threshold k ≤ C/2 and drop all sizes below k.  Sizes above C - k leave no room for what is
    left; sizes in (C/2, C - k] need a bin each, whose free room may take sizes in [k, C/2]; what these exceed
    that room by needs ⌈excess / C⌉ further bins.  The maximum over k is taken; k = 0 includes ⌈Σ/C⌉.
    """
    ordered = np.sort(sizes).astype(np.int64)
    total = np.concatenate(([0], np.cumsum(ordered)))
    # No product below then passes 2 Σ: it counts sizes above C/2 only, times C.
    capacity = min(capacity, max(1, int(total[-1])))
    half = int(np.searchsorted(ordered, capacity // 2, side="right"))
    thresholds = np.concatenate(([0], np.unique(ordered[:half])))
    low = np.searchsorted(ordered, thresholds, side="left")
    high = np.searchsorted(ordered, capacity - thresholds, side="right")
    alone = len(ordered) - half
    room = (high - half) * capacity - (total[high] - total[half])
    excess = np.maximum(total[half] - total[low] - room, 0)
    return alone + int(np.max(-(-excess // capacity)))


def fewest_iterations(limits: Limits) -> int:
    """Lower bound on the prefill iterations that all requests of `limits` need.

    Proof.  A batch holds at most `limits.slots` requests; its Σ p fits `limits.batch_tokens`; and its Σ (p
    + 1) fits the KV capacity, because the members run their next round together.  The last two are bin
    packing.
    """
    counts = [1, ceil_div(len(limits.p), limits.slots), bins_needed(limits.p, limits.batch_tokens)]
    if limits.start_capacity is not None:
        counts.append(bins_needed(limits.p + 1, limits.start_capacity))
    return max(counts)


def least_prefill(limits: Limits) -> tuple[float, dict[str, Any]]:
    """Lower bound on the total seconds of all prefill iterations, and its certificate.

    Affine time.  Every iteration costs ``base + per_token Σ p``, so together ``per_token Σ_i p_i + base P``
    with P ≥ `fewest_iterations`.  Levels: see `cover_seconds`.
    """
    prefill, tokens = limits.worker.prefill_time, exact_sum(limits.p)
    if prefill.affine:
        iterations = fewest_iterations(limits)
        seconds = float(prefill.seconds(tokens)) + (iterations - 1) * prefill.fixed_seconds
        return seconds, {"prefill_iterations": iterations, "prefill_s": seconds}
    return cover_seconds(limits)


def cover_demand(limits: Limits) -> tuple[tuple[float, ...], list[int], list[int], list[int]]:
    """Seconds, capacity, token demand and iteration demand of every level that a batch can use.

    Level l holds at most min(tokens_l, batch_tokens).  Requests with p above level l - 1 are in iterations
    of level l or above, so these iterations cover the tokens of those requests, and are at least as many as
    `fewest_iterations` of them.
    """
    levels = limits.worker.prefill_time.levels(limits.batch_tokens)
    capacity = levels.tokens.astype(np.int64).tolist()
    below = [0, *capacity[:-1]]
    tokens, iterations = [], []
    for floor in below:
        large = limits.p > floor
        tokens.append(exact_sum(limits.p[large]))
        part = Limits(limits.worker, limits.p[large], limits.d[large])
        iterations.append(fewest_iterations(part) if large.any() else 0)
    return tuple(levels.seconds.tolist()), capacity, tokens, iterations


def cover_seconds(limits: Limits) -> tuple[float, dict[str, Any]]:
    """Least seconds of prefill iterations by levels: the covering MIP of `llmsched_mip.models.prefill_cover`.

    Proof.  Let z_l be the iterations of level l in a plan.  They cost Σ seconds_l z_l and meet every demand
    of `cover_demand`, so the optimum of the MIP, and any dual bound on it, is at most that cost.
    """
    seconds, capacity, tokens, iterations = cover_demand(limits)
    least, counts = _cover(seconds, tuple(capacity), tuple(tokens), tuple(iterations))
    return least, {"prefill_levels": counts, "prefill_s": least}


@lru_cache(maxsize=256)
def _cover(
    seconds: tuple[float, ...],
    capacity: tuple[int, ...],
    tokens: tuple[int, ...],
    iterations: tuple[int, ...],
) -> tuple[float, list[int] | None]:
    cheapest = min(s / c for s, c in zip(seconds, capacity, strict=True))
    fluid = max(tokens[0] * cheapest, iterations[0] * seconds[0])
    if fluid == 0:
        return 0.0, None
    # In a unit of time in which the objective is about 512: the solver's tolerances are absolute.
    unit = math.frexp(fluid)[1] - 9
    model = covering_model.build([math.ldexp(s, -unit) for s in seconds], capacity, tokens, iterations)
    result = solvers.solve(model, budget=Budget(COVER_TIME_LIMIT_S), threads=1, options=solvers.EXACT)
    proven = math.ldexp(result.bound, unit) if math.isfinite(result.bound) else 0.0
    if result.value is None:
        return max(fluid, rounded_down(proven)), None
    counts = covering_model.extract(model)
    cost = math.fsum(s * z for s, z in zip(seconds, counts, strict=True))
    return (cost if meets(max(fluid, proven), cost) else max(fluid, rounded_down(proven))), counts
