"""Total completion without lengths: conserved work in seconds, and what a length may still be.

Model.  As in `start_times`: lengths are independent, a policy sees one when the request completes, and never evicts.

Work.  A second of a worker does at most a second of conserved work: π_j = per_token p_j in the prefill of j, and in its
k-th round w_jk = b + c (p_j + k) + a v_jk with v_jk = λ (p_j + k) / M + (1 - λ) / J, for Σ v_jk ≤ 1 over a round.  Its
round takes r_jk = a + b + c (p_j + k) at least, its prefill s_j = base + π_j.  Let T_j be the end of j's prefill, t_jk
that of its k-th round, and W_j the work of j in all.  The mean time of the work of any set A is at least half of it:

    Σ_A (π_j (T_j - s_j / 2) + Σ_(k ≤ d_j) w_jk (t_jk - r_jk / 2)) ≥ (Σ_A W_j)² / 2.

Expectations.  While j runs a policy knows no more of d_j than that it is not less than the rounds run: so given all
else t_jk is a fixed sequence, as long as j lasts, independent of d_j.  With gaps g_k = t_jk - t_j(k-1) ≥ r_jk,
μ_j = E W_j and R_ji = E(work of rounds i, i + 1, .. of j | d_j ≥ i):

    E C_j = E T_j + Σ_i P(d_j ≥ i) E g_i,
    E(left side of j) = μ_j E T_j + Σ_i P(d_j ≥ i) R_ji E g_i - π_j s_j / 2 - E Σ_(k ≤ d_j) w_jk r_jk / 2.

With ρ_j = max(μ_j, max_i R_ji) every second of E C_j is worth at most ρ_j on the left, and the seconds that j takes
at least, s_j and r_ji, only μ_j and R_ji.  So Σ_A ρ_j E C_j ≥ f(A) = E(Σ_A W_j)² / 2 + Σ_A e_j, where

    e_j = ρ_j (s_j + E Σ_k r_jk) - μ_j s_j + π_j s_j / 2 - E G_j(d_j),
    G_j(d) = Σ_(k ≤ d) w_jk (Σ_(i ≤ k) r_ji - r_jk / 2).

As in `start_times`, with ω_j / ρ_j falling, Σ ω_j E C_j ≥ Σ_k (ω_k / ρ_k - ω_(k+1) / ρ_(k+1)) f(A_k).  Where lengths
are known ρ_j = μ_j, and this is the mean busy time bound of single-machine scheduling (Goemans, Queyranne, Schulz,
Skutella and Wang, SIAM J. Discrete Math. 15 (2002)).

Several workers do as many seconds of work in a second as they are; every coefficient is that of the worker where it is
least.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.hidden_lengths.prices import prices, row_blocks
from llmsched_mip.timing import FloatArray, IntArray


class Line(NamedTuple):
    """``at_zero + slope k`` in the k-th round: seconds, arrays broadcast to (n, 1)."""

    at_zero: FloatArray
    slope: float

    def total(self, d: FloatArray) -> FloatArray:
        """Sum over the rounds 1 to d."""
        return self.at_zero * d + self.slope * d * (d + 1) / 2


class Terms(NamedTuple):
    """Of each request, arrays of shape (n,): mean and variance of its work (s, s²), ρ (s), and e (s²)."""

    mean: FloatArray
    variance: FloatArray
    most: FloatArray
    extra: FloatArray


def total_completion_of_work(instance: Instance, lengths: IntArray) -> float:
    """Bound on the mean total completion, weighted seconds.

    Parameters
    ----------
    instance : Instance
    lengths : int array, shape (n, m) or (m,)
        Equally likely lengths of each request, tokens, ascending; of shape (m,) the same for all.
    """
    r = instance.requests
    table = np.broadcast_to(lengths, (instance.n, lengths.shape[-1]))
    values = []
    for price in prices(instance):
        parts = [_terms(instance, rows, table[rows], price) for rows in row_blocks(table)]
        terms = Terms(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        values.append(_weighted_ends(r.weight, terms, len(instance.workers)))
    return max(values) + float(np.sum(r.weight * r.arrival_s.min()))


def _weighted_ends(weight: FloatArray, terms: Terms, workers: int) -> float:
    """Least Σ ω_j E C_j, weighted seconds."""
    ratio = weight / terms.most
    order = np.argsort(-ratio, kind="stable")
    square = np.cumsum(terms.mean[order]) ** 2 + np.cumsum(terms.variance[order])
    least = square / (2 * workers) + np.cumsum(terms.extra[order])
    falls = -np.diff(ratio[order], append=0.0)
    return float(np.sum(falls * np.maximum(0.0, least)))


def _terms(instance: Instance, rows: slice, table: IntArray, price: float) -> Terms:
    """`Terms` of some requests at a price λ."""
    workers, d = instance.workers, table.astype(np.float64)
    times = [worker.decode_time for worker in workers]
    prompts = instance.requests.prefill_tokens[rows, None].astype(np.float64)
    base, each, kv = (
        min(getattr(time, name) for time in times) for name in ("base_s", "per_sequence_s", "per_kv_token_s")
    )
    shared_kv = min(time.base_s * price / (w.kv_capacity or 1) for time, w in zip(times, workers, strict=True))
    shared_slot = min(
        time.base_s * (1 - price) / w.most_slots(instance.n) for time, w in zip(times, workers, strict=True)
    )
    round_s = Line(base + each + kv * prompts, kv)
    work_s = Line(each + shared_slot + (kv + shared_kv) * prompts, kv + shared_kv)
    prompt_s = np.minimum.reduce([w.prefill_time.prompt_seconds(prompts[:, 0]) for w in workers])
    prefill_s = prompt_s + min(float(w.prefill_time.levels().seconds[0]) for w in workers)
    decode = work_s.total(d)
    mean = prompt_s + decode.mean(axis=1)
    most = np.maximum(mean, _longest_rest(decode))
    extra = (
        most * (prefill_s + round_s.total(d).mean(axis=1))
        - mean * prefill_s
        + prompt_s * prefill_s / 2
        - _weighted_rounds(work_s, round_s, d).mean(axis=1)
    )
    return Terms(mean, decode.var(axis=1), most, extra)


def _longest_rest(decode: FloatArray) -> FloatArray:
    """max_i R_i: the expected work that is left is most just after a round at which the request might have ended.

    Parameters
    ----------
    decode : float array, shape (n, m)
        Work of all rounds, ascending over equally likely lengths.
    """
    count = np.arange(decode.shape[1], 0, -1)
    mean_beyond = np.cumsum(decode[:, ::-1], axis=1)[:, ::-1] / count
    done = np.concatenate([np.zeros((len(decode), 1)), decode[:, :-1]], axis=1)
    return np.asarray((mean_beyond - done).max(axis=1))


def _weighted_rounds(work: Line, rounds: Line, d: FloatArray) -> FloatArray:
    """G(d), shape as d: with w = α + β k and r = γ + δ k the sum of w (γ (k - 1/2) + δ k² / 2)."""
    first = d * (d + 1) / 2
    second, third = first * (2 * d + 1) / 3, first**2
    a, b, g, e = work.at_zero, work.slope, rounds.at_zero, rounds.slope
    return -a * g / 2 * d + (a * g - b * g / 2) * first + (a * e / 2 + b * g) * second + b * e / 2 * third
