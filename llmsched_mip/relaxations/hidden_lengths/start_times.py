"""Total completion without lengths: the start of a request is independent of its length.

Model.  The lengths are independent random numbers, of request j with a distribution that a policy may know; it sees the
length when the request completes, and never evicts.  n requests with weight ω_j, of one worker, or of several as
below.  S_j are the rounds that j's worker has run when j starts: independent of j's length d_j, for it is decided on
other requests and on coins.  j completes after S_j + d_j rounds of its worker.

Volume.  In its k-th round j takes the share v_jk = λ (p_j + k) / M + (1 - λ) / J of its worker, 0 ≤ λ ≤ 1, and a round
is shared by no more than 1.  Let V_j = Σ_k v_jk and q_j = Σ_k v_jk (k - 1/2).  For every set A and every outcome

    Σ_A (V_j S_j + q_j) ≥ (Σ_A V_j)² / 2,

since the left side is the volume of A times its mean time in rounds, and that is least if A alone takes whole rounds
from the first on.  With expectations, E[V_j S_j] = E V_j · E S_j by independence, and μ_j = E V_j,

    Σ_A μ_j E S_j ≥ f(A) = (Σ_A μ_j)² / 2 + Σ_A h_j,        h_j = Var V_j / 2 - E q_j.

Bound.  Number requests by falling ω_j / μ_j, let A_k be the first k, and y_k = ω_k / μ_k - ω_(k+1) / μ_(k+1) ≥ 0, with
0 beyond the last.  Then Σ ω_j E S_j = Σ_k y_k Σ_(A_k) μ_j E S_j ≥ Σ_k y_k max(0, f(A_k)).  (The linear program over
starting times of stochastic scheduling: Möhring, Schulz and Uetz, J. ACM 46 (1999); the order is Smith's rule on
expected volumes.)

Seconds.  A round lasts at least the base a.  Beside the rounds j's own tokens last b d_j + c vol_j, its worker prefills
its prompt, and those of requests that started before it on a worker: Smith's rule on the prompts, of one worker.
Several workers: the volumes of all are taken by one worker with the M and J of all together (by Cauchy's inequality the
sum of (Σ V)² / 2 over workers is least there), the shortest round and the least times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.hidden_lengths.prices import prices, row_blocks
from llmsched_mip.timing import FloatArray, IntArray, decode_work_seconds, request_kv_volume


class Moments(NamedTuple):
    """Of each request's volume and length, over its distribution: arrays of shape (n,).

    Parameters
    ----------
    volume, variance : float arrays
        μ_j, and the variance of V_j.
    offset : float array
        E q_j.
    """

    volume: FloatArray
    variance: FloatArray
    offset: FloatArray


def total_completion_of_starts(instance: Instance, lengths: IntArray) -> float:
    """Bound on the mean total completion, weighted seconds.

    Parameters
    ----------
    instance : Instance
    lengths : int array, shape (n, m) or (m,)
        Equally likely lengths of each request, tokens; of shape (m,) the same for all.
    """
    r = instance.requests
    table = np.broadcast_to(lengths, (instance.n, lengths.shape[-1]))
    starts = max(_weighted_starts(r.weight, _all_moments(instance, table, price)) for price in prices(instance))
    base_s = min(float(worker.decode_time.run_seconds(1, 0, 0)) for worker in instance.workers)
    rounds_s = base_s * (starts + float(np.sum(r.weight * table.mean(axis=1))))
    return rounds_s + _alone_seconds(instance, table) + float(np.sum(r.weight * r.arrival_s.min()))


def _all_moments(instance: Instance, table: IntArray, price: float) -> Moments:
    """`_moments` of all requests."""
    parts = [_moments(instance, rows, table[rows], price) for rows in row_blocks(table)]
    return Moments(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _moments(instance: Instance, rows: slice, table: IntArray, price: float) -> Moments:
    """Moments of the volume of some requests at a price λ, in shares of all workers together."""
    prompts = instance.requests.prefill_tokens[rows, None].astype(np.float64)
    kv = price / sum(worker.kv_capacity or 1 for worker in instance.workers)
    slot = (1 - price) / sum(worker.most_slots(instance.n) for worker in instance.workers)
    d = table.astype(np.float64)
    volume = kv * request_kv_volume(prompts, d) + slot * d
    # Σ_k (k - 1/2) = d² / 2 and Σ_k k (k - 1/2) = d (d + 1) (4 d - 1) / 12.
    offset = (kv * prompts + slot) * d * d / 2 + kv * d * (d + 1) * (4 * d - 1) / 12
    return Moments(volume.mean(axis=1), volume.var(axis=1), offset.mean(axis=1))


def _weighted_starts(weight: FloatArray, moments: Moments) -> float:
    """Least Σ ω_j E S_j, rounds."""
    ratio = weight / moments.volume
    order = np.argsort(-ratio, kind="stable")
    mean = moments.volume[order]
    extra = moments.variance[order] / 2 - moments.offset[order]
    least = np.maximum(0.0, np.cumsum(mean) ** 2 / 2 + np.cumsum(extra))
    falls = -np.diff(ratio[order], append=0.0)
    return float(np.sum(falls * least))


def _alone_seconds(instance: Instance, table: IntArray) -> float:
    """Weighted seconds of each request's own tokens and prompt, and of the prompts before it (of one worker)."""
    r, workers = instance.requests, instance.workers
    decode = np.concatenate([_decode_seconds(instance, rows, table[rows]) for rows in row_blocks(table)])
    prompt = np.minimum.reduce([worker.prefill_time.prompt_seconds(r.prefill_tokens) for worker in workers])
    if len(workers) == 1:
        order = np.argsort(prompt / r.weight, kind="stable")
        prompt = np.cumsum(prompt[order])[np.argsort(order)]
    fixed = min(float(worker.prefill_time.levels().seconds[0]) for worker in workers)
    return float(np.sum(r.weight * (decode + prompt + fixed)))


def _decode_seconds(instance: Instance, rows: slice, table: IntArray) -> FloatArray:
    """Mean of b d + c vol of some requests, seconds on the worker where it is least."""
    volume = request_kv_volume(instance.requests.prefill_tokens[rows, None].astype(np.float64), table)
    times = [worker.decode_time for worker in instance.workers]
    return np.asarray(np.minimum.reduce([decode_work_seconds(time, table, volume).mean(axis=1) for time in times]))
