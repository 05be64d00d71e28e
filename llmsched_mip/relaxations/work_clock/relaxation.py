"""Total completion on the clock of each worker's rounds, with what is in flight and what is idle.

Letters, of one worker: a, b, c of the decode time; J slots and M KV tokens (`Limits`); request i is prefilled after s_i
rounds, active in the d_i rounds after them, complete after round e_i = s_i + d_i.  A_t and K_t = requests active and
KV tokens held in round t.  Every prefill iteration of a batch B lasts at least Σ_B q_i (`prefill_shares`), and f
seconds before every completion are in no q.

The clock.  In its k-th round request i takes m_ik = q_i / d_i + b + c (p_i + k) seconds, and a round takes a more; θ(t)
= those of rounds 1..t.  It runs as time does, but prefill is spread over the rounds of its request.

Identity.  G_j(t) = share of j's rounds among the first t.  The rounds 1..e_i last Σ (a + b A_t + c K_t) = θ(e_i) -
Σ_j q_j G_j(e_i), and before them all j with s_j < e_i were prefilled:

    C_i ≥ f + θ(e_i) + Σ_j q_j ([s_j < e_i] - G_j(e_i)).

Let θ_i = mean over i's rounds of the clock in the middle of the round, φ_i(t) = (k - 1/2) / d_i in i's k-th round t
and 0 elsewhere, F_t = Σ_i ω_i φ_i(t).  Then θ(e_i) = θ_i + Σ_t φ_i(t) (θ(t) - θ(t-1)), and as all of a round but the
parts of q is a + b A_t + c K_t,

    Σ ω_i C_i ≥ f Σ ω_i + Σ ω_i θ_i + Q + Σ_t F_t (a + b A_t + c K_t),
    Q = Σ_ij ω_i q_j ([s_j < e_i] - P_ij),   P_ij = mean over the rounds t of i of G_j in the middle of t,

since Σ_t φ_i(t) [t a round of j] / d_j = G_j(e_i) - P_ij.

What is in flight.  P_ij + P_ji = 1 and P_ii = 1/2.  A pair without a common round adds nothing to Q.  With o common
rounds both are prefilled before either is complete, so the pair adds x ω_j q_i + (1 - x) ω_i q_j with x = P_ij.  Let
z = o / √(d_i d_j) ≤ 1.  The common rounds alone give x ≥ z²/2 and 1 - x ≥ z²/2, so with r² ≥ 1 the ratio of the
larger of ω_j q_i and ω_i q_j to the smaller the pair adds at least the smaller times 1 + z² (r² - 1) / 2 ≥ z r (for s
= z r: s²/2 - s + 1 - z²/2 ≥ 1/2 - z²/2 ≥ 0), that is z √(ω_i q_i ω_j q_j).  With g_i = √(ω_i q_i / d_i) and Y_t = Σ
g_i over the active requests the pairs add Σ_t Y_t² / 2 - Σ ω_i q_i / 2, and P_ii gives the last sum back: Q ≥ Σ_t
Y_t² / 2.  F_t counts a request with its own seconds as Σ ω_i T_i, T_i = Σ_k (k - 1/2) (a + b + c (p_i + k)) / d_i,
and pairs as in `neighbours`, with its kernel V and y_t = requests of each class active in round t.  So

    Σ ω_i C_i ≥ f Σ ω_i + Σ (ω_i T_i - V_ii d_i / 2) + Σ ω_i θ_i + Σ_t (Y_t² / 2 + y_t V y_t / 2).

The relaxation.  Spread every round evenly over its piece of the clock.  At every moment θ ≥ 0 there is a density n(θ)
of rounds and ρ_ik(θ) of the k-th rounds of i, with Σ ρ m + a n = 1 up to the last round and 0 after it.  A round of i
spread around θ costs (ω_i / d_i) θ; i is active in at most all of the rounds, Σ_k ρ_ik ≤ n, K ≤ M n, A ≤ J n.
`prices` has the dual of what is left, a linear program but for squares.  It sees that few requests in flight need many
rounds while all others wait, and many make each other wait, in one order of the clock.

Several workers.  Each request is on one of them, and the inequality holds for the requests of each worker by itself, on
its own clock and with its own letters: q, f and V are such that they hold for any requests that fit there.

Arrivals may be ignored but for the first: waiting only adds to C_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.fluid.pricing import extreme_prices
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.relaxations.work_clock.neighbours import Neighbours
from llmsched_mip.timing import DecodeTime, FloatArray, IntArray, request_kv_volume, weighted_tail_seconds

ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Kind:
    """Workers of one kind and the requests that fit there.

    Parameters
    ----------
    workers : int
        Their number.
    requests : int array, shape (m,)
        Places of the requests among all of the relaxation.
    p, d : int arrays, shape (m,)
        Prompt and output tokens.
    weight, prefill_s : float arrays, shape (m,)
        ω_i, and q_i in seconds.
    limits : Limits
        The worker, J and M.
    fixed_s : float
        f + first arrival, seconds.
    """

    workers: int
    requests: IntArray
    p: IntArray
    d: IntArray
    weight: FloatArray
    prefill_s: FloatArray
    limits: Limits
    fixed_s: float

    @classmethod
    def of(cls, instance: Instance, order: IntArray, workers: IntArray) -> Kind:
        """The kind of these workers, for the requests of `order` that fit there."""
        here = np.flatnonzero(instance.fits_worker[order, workers[0]])
        part = instance.take(order[here])
        limits = Limits.of(part, int(workers[0]))
        prefill_s, fixed_s = prefill_shares(part, limits, len(workers))
        fixed_s += float(instance.requests.arrival_s.min())
        r = part.requests
        return cls(len(workers), here, r.prefill_tokens, r.decode_tokens, r.weight, prefill_s, limits, fixed_s)

    @property
    def decode(self) -> DecodeTime:
        """a, b, c."""
        return self.limits.worker.decode_time

    @cached_property
    def rate(self) -> DecodeTime:
        """Seconds of a request in a round without its part of q: base 0, b, c."""
        return self.decode.per_request

    @cached_property
    def load(self) -> FloatArray:
        """g_i: shape (m,)."""
        return np.sqrt(self.weight * self.prefill_s / self.d)

    @cached_property
    def neighbours(self) -> Neighbours:
        """Classes and V."""
        return Neighbours.made(self.p, self.d, float(self.weight.min()), self.decode)

    @cached_property
    def machine_s(self) -> FloatArray:
        """Σ_k m_ik and parts of a, for slots and for KV in proportion to the rounds that they need: shape (m,).

        No bound rests on it: it says about how long the clock runs, and in which order.
        """
        rounds, volume = self.d / self.limits.slots, request_kv_volume(self.p, self.d) / self.limits.kv
        slots, kv = float(rounds.sum()), float(volume.sum())
        shared_s = self.decode.base_s * (rounds * slots + volume * kv) / (slots + kv)
        return np.asarray(self.prefill_s + self.rate.run_seconds(self.d, 1, self.p) + shared_s, dtype=np.float64)

    @cached_property
    def constant_s(self) -> FloatArray:
        """f ω_i + ω_i T_i - V_ii d_i / 2, shape (m,), weighted seconds; rounded down."""
        tail = weighted_tail_seconds(DecodeTime(0.0, 1.0), self.decode, self.p, self.d) / self.d
        added = self.weight * (self.fixed_s + tail)
        taken = np.diagonal(self.neighbours.kernel)[self.neighbours.of] * self.d / 2
        return np.asarray(added - taken - ROUNDING * (added + taken))


@dataclass(frozen=True, eq=False)
class ClockRelaxation:
    """The relaxation of an instance: its workers by kind; requests in a canonical order.

    Parameters
    ----------
    weight : float array, shape (n,)
        ω_i.
    kinds : list of Kind
    """

    weight: FloatArray
    kinds: list[Kind]

    @classmethod
    def of(cls, instance: Instance) -> ClockRelaxation | None:
        """The relaxation of an instance; None if nothing in it takes time."""
        r = instance.requests
        order = np.lexsort((r.weight, r.decode_tokens, r.prefill_tokens))
        made = cls(r.weight[order], [Kind.of(instance, order, workers) for workers in instance.fitting_kinds])
        return made if all(float(kind.machine_s.sum()) > 0 for kind in made.kinds) else None

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.weight)


def prefill_shares(instance: Instance, limits: Limits, workers: int) -> tuple[FloatArray, float]:
    """q_i ≥ 0, shape (n,), such that every prefill iteration of a batch B lasts at least Σ_B q_i, and f, in seconds.

    Either q_i is the per-token time of i and f the fixed time of the one iteration that comes before every
    completion; or f = 0 and q_i = γ p_i + δ + the per-token time by the prices of `relaxations.fluid.pricing`, the
    better of the two where each of the `workers` has more than two iterations.
    """
    worker, p = limits.worker, instance.requests.prefill_tokens.astype(np.float64)
    token_s = np.asarray(worker.prefill_time.prompt_seconds(p), dtype=np.float64)
    prices = extreme_prices(limits, "slots", float(p.sum()), instance.n)
    share = prices.gamma * p + prices.delta
    first_s = float(worker.prefill_time.levels(limits.batch_tokens).seconds[0])
    if float(share.sum()) > 2 * workers * first_s:
        return (share + token_s) * (1 - ROUNDING), 0.0
    return token_s, first_s
