"""Total completion of one worker on the clock of the work that it has done, with what is in flight and what is idle.

Letters: a, b, c of the decode time; J slots and M KV tokens (`Limits`); request i is prefilled after s_i rounds,
active in the d_i rounds after them, complete after round e_i = s_i + d_i.  A_t and K_t = requests active and KV
tokens held in round t.  Every prefill iteration of a batch B lasts at least Σ_B q_i (`prefill_shares`), and f seconds
before every completion are in no q.  α, β ≥ 0 with α J + β M ≤ a are shares of a round for a slot and a KV token.

The clock.  In its k-th round request i does the work m_ik = q_i / d_i + b + α + (c + β)(p_i + k); w(t) = work of all
requests in rounds 1..t.  The *idle* seconds of round t are l_t = a - α A_t - β K_t ≥ 0.

Identity.  G_j(t) = share of j's rounds among the first t.  The rounds 1..e_i last Σ (a + b A_t + c K_t) = w(e_i) -
Σ_j q_j G_j(e_i) + Σ_{t ≤ e_i} l_t, and before them all j with s_j < e_i were prefilled:

    C_i ≥ f + w(e_i) + Σ_j q_j ([s_j < e_i] - G_j(e_i)) + Σ_{t ≤ e_i} l_t.

Let w_i = mean over i's rounds of the clock in the middle of the round, φ_i(t) = (k - 1/2) / d_i in i's k-th round t
and 0 elsewhere.  Then w(e_i) = w_i + Σ_t φ_i(t) (w(t) - w(t-1)).  In round t let F_t = Σ_i ω_i φ_i(t) and R_t = Σ_i
ω_i (share of i's rounds still to come in the middle of round t); the weight of requests not complete before the end
of t is R_t + F_t.  As work other than q and idle seconds of a round are a + b A_t + c K_t together,

    Σ ω_i C_i ≥ f Σ ω_i + Σ ω_i w_i + Q + Σ_t F_t (a + b A_t + c K_t) + Σ_t R_t l_t,
    Q = Σ_ij ω_i q_j ([s_j < e_i] - P_ij),   P_ij = mean over the rounds t of i of G_j in the middle of t,

since Σ_t φ_i(t) [t a round of j] / d_j = G_j(e_i) - P_ij.

What is in flight.  P_ij + P_ji = 1 and P_ii = 1/2.  A pair without a common round adds nothing to Q.  With o common
rounds both are prefilled before either is complete, so the pair adds x ω_j q_i + (1 - x) ω_i q_j with x = P_ij.  Let
z = o / √(d_i d_j) ≤ 1.  The common rounds alone give x ≥ z²/2 and 1 - x ≥ z²/2, so with r² ≥ 1 the ratio of the
larger of ω_j q_i and ω_i q_j to the smaller the pair adds at least the smaller times 1 + z² (r² - 1) / 2 ≥ z r (for s
= z r: s²/2 - s + 1 - z²/2 ≥ 1/2 - z²/2 ≥ 0), that is z √(ω_i q_i ω_j q_j).  With g_i = √(ω_i q_i / d_i) and Y_t = Σ
g_i over the active requests the pairs add Σ_t Y_t² / 2 - Σ ω_i q_i / 2, and P_ii gives the last sum back: Q ≥ Σ_t
Y_t² / 2. F_t counts a request with its own seconds as Σ ω_i T_i, T_i = Σ_k (k - 1/2) (a + b + c (p_i + k)) / d_i, and
pairs as in `neighbours`, with its kernel V and y_t = requests of each class active in round t.  So

    Σ ω_i C_i ≥ f Σ ω_i + Σ (ω_i T_i - V_ii d_i / 2) + Σ ω_i w_i + Σ_t (Y_t² / 2 + y_t V y_t / 2 + R_t l_t).

The relaxation.  Spread each round's work evenly over its piece of the clock 0..W, W = Σ m_ik.  At every moment w of
it a density n(w) of rounds does one unit of work a unit, and R ≥ U(w), the least Σ ω_i x_i / d_i of parts x of rounds
that are W - w of work.  A round of i spread around w costs (ω_i / d_i) w; i is active in at most all of the rounds
n(w), K ≤ M n, A ≤ J n. `prices` has the dual of what is left, a linear program but for squares.  It sees that few
requests in flight need many rounds while all others wait, and many make each other wait, in one order of the work.

Arrivals may be ignored but for the first: waiting only adds to C_i.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.fluid.pricing import extreme_prices
from llmsched_mip.relaxations.limits import Limits, exact_sum
from llmsched_mip.relaxations.work_clock.neighbours import Neighbours
from llmsched_mip.timing import DecodeTime, FloatArray, IntArray, weighted_tail_seconds

DENSITIES = 256
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class ClockRelaxation:
    """The relaxation of a one-worker instance for given shares α and β; requests in a canonical order.

    Parameters
    ----------
    p, d : int arrays, shape (n,)
        Prompt and output tokens.
    weight, prefill_s : float arrays, shape (n,)
        ω_i, and q_i in seconds.
    decode : DecodeTime
        a, b, c.
    share : DecodeTime
        Of a round: base 0, α for a request, β for a KV token.
    slots, kv : int
        J and M.
    fixed_s : float
        f + first arrival, seconds.
    """

    p: IntArray
    d: IntArray
    weight: FloatArray
    prefill_s: FloatArray
    decode: DecodeTime
    share: DecodeTime
    slots: int
    kv: int
    fixed_s: float

    @classmethod
    def of(cls, instance: Instance) -> ClockRelaxation | None:
        """The relaxation with α J and β M in proportion to the rounds that slots and KV need; None without work.

        None for several workers, too.
        """
        if len(instance.workers) > 1:
            return None
        r, decode, limits = instance.requests, instance.workers[0].decode_time, Limits.of(instance, 0)
        prefill_s, fixed_s = prefill_shares(instance, limits)
        order = np.lexsort((r.weight, r.decode_tokens, r.prefill_tokens))
        base_s = decode.base_s * (1 - ROUNDING)
        of_kv, of_slots = exact_sum(instance.kv_volume) / limits.kv, exact_sum(limits.d) / limits.slots
        kv_part = of_kv / (of_kv + of_slots)
        share = DecodeTime(0.0, (1 - kv_part) * base_s / limits.slots, kv_part * base_s / limits.kv)
        fixed_s += float(r.arrival_s.min())
        columns = r.prefill_tokens[order], r.decode_tokens[order], r.weight[order], prefill_s[order]
        made = cls(*columns, decode, share, limits.slots, limits.kv, fixed_s)
        return made if made.work > 0 else None

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.p)

    @cached_property
    def rate(self) -> DecodeTime:
        """Work of a request in a round without its share of q: base 0, b + α for it, c + β for a KV token."""
        one = self.decode.per_request
        return DecodeTime(
            0.0, one.per_sequence_s + self.share.per_sequence_s, one.per_kv_token_s + self.share.per_kv_token_s
        )

    @cached_property
    def load(self) -> FloatArray:
        """g_i: shape (n,)."""
        return np.sqrt(self.weight * self.prefill_s / self.d)

    @cached_property
    def neighbours(self) -> Neighbours:
        """Classes and V."""
        return Neighbours.made(self.p, self.d, float(self.weight.min()), self.decode)

    @cached_property
    def works(self) -> FloatArray:
        """Σ_k m_ik: shape (n,), seconds."""
        return np.asarray(self.prefill_s + self.rate.run_seconds(self.d, 1, self.p), dtype=np.float64)

    @cached_property
    def work(self) -> float:
        """W, seconds."""
        return float(self.works.sum())

    @cached_property
    def constant_s(self) -> float:
        """f Σ ω_i + Σ (ω_i T_i - V_ii d_i / 2), weighted seconds; rounded down."""
        tail = weighted_tail_seconds(DecodeTime(0.0, 1.0), self.decode, self.p, self.d) / self.d
        added = self.fixed_s * float(self.weight.sum()) + float(np.sum(self.weight * tail))
        kernel, of = self.neighbours.kernel, self.neighbours.of
        taken = float(np.sum(np.diagonal(kernel)[of] * self.d)) / 2
        return added - taken - ROUNDING * (added + taken)

    def waiting(self, cuts: FloatArray) -> FloatArray:
        """A line below U on every level between two of `cuts`: its values at both ends, level by level, shape (2L,).

        By duality U(w) ≥ ψ (W - w) - Σ_ik (ψ m_ik - ω_i / d_i)⁺ for every ψ ≥ 0: the highest in the middle of the
        level of `DENSITIES` of them that are not negative on it, of which 0 is one.  m_ik grows with k, so the sum over
        k is one over the last rounds.
        """
        worth, kv_s = self.weight / self.d, self.rate.per_kv_token_s
        middle = self.works / self.d
        works = np.concatenate((middle, middle - kv_s * (self.d - 1) / 2, middle + kv_s * (self.d - 1) / 2))
        some = works > 0
        ratios = np.quantile(np.tile(worth, 3)[some] / works[some], np.linspace(0, 1, DENSITIES))
        left, right = np.zeros(len(cuts) - 1), np.zeros(len(cuts) - 1)
        for psi in np.unique(ratios).tolist():
            lost = self._exceeding(psi, worth)
            line = psi * (self.work - cuts) - lost - ROUNDING * (psi * self.work + lost)
            higher = (line[1:] >= 0) & (line[:-1] + line[1:] > left + right)
            left, right = np.where(higher, line[:-1], left), np.where(higher, line[1:], right)
        return np.stack((left, right), axis=1).reshape(-1)

    def _exceeding(self, psi: float, worth: FloatArray) -> float:
        """Σ_ik (ψ m_ik - ω_i / d_i)⁺."""
        first = self.prefill_s / self.d + self.rate.round_seconds(1, self.p)
        step, d = self.rate.per_kv_token_s, self.d.astype(np.float64)
        below = np.where(psi * first >= worth, 0.0, d)
        if psi * step > 0:
            below = np.clip(np.floor((worth / psi - first) / step), 0.0, d)
        count = d - below
        work = count * first + self.rate.run_seconds(d, 1, 0.0) - self.rate.run_seconds(below, 1, 0.0)
        work -= count * self.rate.per_sequence_s
        return float(np.maximum(psi * work - count * worth, 0.0).sum())


def prefill_shares(instance: Instance, limits: Limits) -> tuple[FloatArray, float]:
    """q_i ≥ 0, shape (n,), such that every prefill iteration of a batch B lasts at least Σ_B q_i, and f, in seconds.

    Either q_i is the per-token time of i and f the fixed time of the one iteration that comes before every
    completion; or f = 0 and q_i = γ p_i + δ + the per-token time by the prices of `relaxations.fluid.pricing`, the
    better of the two where there are more than two iterations.
    """
    worker, p = instance.workers[0], instance.requests.prefill_tokens.astype(np.float64)
    token_s = np.asarray(worker.prefill_time.prompt_seconds(p), dtype=np.float64)
    prices = extreme_prices(limits, "slots", float(p.sum()), instance.n)
    share = prices.gamma * p + prices.delta
    first_s = float(worker.prefill_time.levels(limits.batch_tokens).seconds[0])
    if float(share.sum()) > 2 * first_s:
        return (share + token_s) * (1 - ROUNDING), 0.0
    return token_s, first_s
