"""Total completion from priced work: one fast machine, and what a request still needs after its mean time."""

from __future__ import annotations

import heapq

import numpy as np

from llmsched_mip.alone import alone_seconds
from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.fluid.pricing import WorkerPrices, distinct, priced_parts, priced_work
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.timing import FloatArray, weighted_tail_seconds


def completion_seconds(instance: Instance, pricing: list[WorkerPrices]) -> float:
    """Lower bound on Σ ω_i C_i from a pricing.

    Proof.  Let M_i be the mean time at which the priced work of i is done in a plan (a request on worker w
    does π_iw ≥ u_i = min_w π_iw; count the fraction u_i / π_iw of every piece, the mean stays).  By the
    rate lemma all work together is done at a rate of at most 1, and none of i before r_i.  So Σ ω_i M_i is
    at least its minimum over all divisible schedules of lengths u_i on one machine of speed 1, which
    preemptive largest ω_i / u_i first attains (Goemans, Queyranne, Schulz, Skutella and Wang, SIAM J.
    Discrete Math. 15 (2002), section 2). And C_i - M_i ≥ h_i (`tail_seconds`).  Hence Σ ω_i C_i ≥ Σ ω_i M_i
    + Σ ω_i h_i.  This is the bound of Eastman, Even and Isaacs (Management Science 11 (1964)) when the only
    cost is the base of a round.  Requests without priced work are counted alone.
    """
    r, work = instance.requests, priced_work(instance, pricing)
    paid = work > 0
    value = float(np.sum((r.weight * (r.arrival_s + alone_seconds(instance)))[~paid]))
    if not paid.any():
        return value
    order = np.flatnonzero(paid)
    order = order[np.lexsort((r.arrival_s[order], work[order], r.weight[order]))]
    arrival, length, weight = r.arrival_s[order], work[order], r.weight[order]
    means = fast_machine_means(arrival, length, weight)
    return value + float(np.sum(weight * means) + np.sum(weight * tail_seconds(instance, pricing)[order]))


def tail_seconds(instance: Instance, pricing: list[WorkerPrices]) -> FloatArray:
    """Least h_i ≤ C_i - M_i over the workers: shape (n,), seconds; 0 without priced work.

    Proof.  The work of the prefill iteration is done evenly over it; from its middle to C_i there are half an
    iteration, at least prefill_time(p_i) / 2, and all d_i rounds, each at least as long as if i ran alone.
    The work of round k likewise: half of round k and the rounds after it.  h_i is the mean with the work as
    weights.
    """
    least = np.full(instance.n, np.inf)
    for w in distinct(instance, pricing):
        limits, fits, prices = Limits.of(instance, w), instance.fits_worker[:, w], pricing[w]
        if not fits.any():
            continue
        worker = limits.worker
        prefill, decode = priced_parts(limits, prices)
        decode_s = worker.decode_time.run_seconds(limits.d, 1, limits.p)
        after_prefill = decode_s + 0.5 * np.asarray(worker.prefill_time.seconds(limits.p))
        share = prices.round_share(worker)
        weighted = prefill * after_prefill + weighted_tail_seconds(share, worker.decode_time, limits.p, limits.d)
        total = prefill + decode
        mean = np.divide(weighted, total, out=np.zeros_like(weighted), where=total > 0)
        least[fits] = np.minimum(least[fits], mean)
    return least


def fast_machine_means(arrival: FloatArray, length: FloatArray, weight: FloatArray) -> FloatArray:
    """Mean busy times of preemptive largest weight / length first on one machine: shape (n,), seconds."""
    rank = np.argsort(-weight / length, kind="stable")
    if np.all(arrival == arrival[0]):
        means = np.empty(len(length))
        means[rank] = arrival[0] + np.cumsum(length[rank]) - 0.5 * length[rank]
        return means
    return _with_arrivals(arrival, length, rank)


def _with_arrivals(arrival: FloatArray, length: FloatArray, rank: np.ndarray) -> FloatArray:
    place = np.empty(len(rank), dtype=np.int64)
    place[rank] = np.arange(len(rank))
    coming = np.argsort(arrival, kind="stable").tolist()
    times, position = arrival.tolist(), place.tolist()
    by_place, left = rank.tolist(), length.tolist()
    moment = [0.0] * len(left)
    waiting: list[int] = []
    now, k = 0.0, 0
    while k < len(coming) or waiting:
        if not waiting:
            now = max(now, times[coming[k]])
        while k < len(coming) and times[coming[k]] <= now:
            heapq.heappush(waiting, position[coming[k]])
            k += 1
        job = by_place[waiting[0]]
        until = times[coming[k]] if k < len(coming) else np.inf
        piece = min(left[job], until - now)
        moment[job] += piece * (now + 0.5 * piece)
        left[job] -= piece
        now = now + piece if piece < until - now else until
        if left[job] <= 0:
            heapq.heappop(waiting)
    return np.array(moment) / length
