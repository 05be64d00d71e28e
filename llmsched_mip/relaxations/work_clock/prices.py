"""Prices on the clock of work, and the bound that they give.

Letters as in `relaxation`.  The clock 0..W is cut at x_0 = 0 < x_1 < ... < x_L = W into levels l = 1..L.  A price
π(w) of the clock, linear between its values at the cuts, and prices ≥ 0 that are linear on each level: λ on a KV
token for a round, σ on a slot for a round, τ on being active twice at once, by groups of requests, h on Y and z on the
requests of each class of `neighbours` that are active.  With U_l ≥ 0 a line below U(w) on level l and

    D_l(w) = a U_l - λ_l M - σ_l J - Σ_i τ_il - h_l² / 2 - z_l V z_l / 2 ≥ 0   at both ends of every level,

    Σ ω_i C_i ≥ constant + ∫ π dw + Σ_ik min over levels l and their two ends w of
        (ω_i / d_i) w - π(w) m_ik - (α + β (p_i + k)) U_l + λ_l (p_i + k) + σ_l + τ_il + h_l g_i + (V z_l)_i.

Proof.  In the relaxation let ρ_ik(w) be the density at w of the k-th round of i, and n(w) that of all rounds.  Σ ρ m
= 1 at every w, ∫ ρ_ik = 1.  R l ≥ U_l l as l ≥ 0, and n l = a n - Σ ρ (α + β (p + k)).  Y² / 2 ≥ h Y - h² / 2, and
y V y / 2 ≥ y V z - z V z / 2 as V is positive semidefinite, in every round; Y n = Σ ρ g, y n = Σ ρ by class, Σ ρ ≤ J n,
Σ ρ (p + k) ≤ M n and Σ_k ρ_ik ≤ n for every i.  Add all of these with their prices: what is left of n has the factor
D ≥ 0, as it is concave on a level, and each ρ_ik is worth at least its minimum, as its price is linear on a level.

The minimum is concave in p + k, as one of linear functions.  So the sum over k is at least that of its linear
interpolation between `POINTS` values of k.  Cost: 2 L `POINTS` operations a request.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.relaxations.work_clock.relaxation import ClockRelaxation
from llmsched_mip.timing import FloatArray, IntArray

POINTS = 5
ROUNDING = 1e-11


class ClockPrices(NamedTuple):
    """Prices in the letters of the module.

    Parameters
    ----------
    cuts, clock : float arrays, shape (L + 1,)
        x and π(x).
    kv, slot, load : float arrays, shape (2L,), at both ends of level after level
        λ, σ and h.
    beside : float array, shape (classes, 2L)
        z.
    alone : float array, shape (groups, 2L)
        τ of each request of a group.
    group : int array, shape (n,)
    """

    cuts: FloatArray
    clock: FloatArray
    kv: FloatArray
    slot: FloatArray
    load: FloatArray
    beside: FloatArray
    alone: FloatArray
    group: IntArray


def feasible(problem: ClockRelaxation, prices: ClockPrices, waiting: FloatArray) -> ClockPrices:
    """The prices cut down to D ≥ 0 for the lines `waiting`, shape (2L,), and to no negative ones."""
    kv, slot, load, beside = (np.maximum(x, 0.0) for x in prices[2:6])
    alone = np.maximum(prices.alone, 0.0)
    count = np.bincount(prices.group, minlength=len(alone)).astype(np.float64)
    used = kv * problem.kv + slot * problem.slots + count @ alone + load**2 / 2 + form(problem, beside) / 2
    room = problem.decode.base_seconds(waiting) * (1 - ROUNDING)
    part = np.minimum(1.0, np.divide(room, used, out=np.ones_like(used), where=used > 0))
    root = np.sqrt(part)
    return prices._replace(kv=kv * part, slot=slot * part, load=load * root, beside=beside * root, alone=alone * part)


def form(problem: ClockRelaxation, beside: FloatArray) -> FloatArray:
    """z V z at both ends of every level, shape (2L,), of z = `beside`."""
    return np.asarray(np.sum(beside * (problem.neighbours.kernel @ beside), axis=0), dtype=np.float64)


def at_ends(at_cuts: FloatArray) -> FloatArray:
    """Values at cuts, shape (L + 1,), as values at both ends of every level, shape (2L,)."""
    return np.repeat(at_cuts, 2)[1:-1]


def class_of_group(problem: ClockRelaxation, group: IntArray) -> IntArray:
    """The class of `neighbours` of every group, as all requests of a group are of one class."""
    found = np.zeros(int(group.max()) + 1, dtype=np.int64)
    found[group] = problem.neighbours.of
    return found


def value_of_prices(problem: ClockRelaxation, prices: ClockPrices) -> float:
    """The bound by prices, made `feasible`; weighted seconds, rounded down by more than its rounding errors."""
    waiting = problem.waiting(prices.cuts)
    prices = feasible(problem, prices, waiting)
    least, size = _least(
        Columns.of(problem, prices.group), problem.rate.per_kv_token_s, lines(problem, prices, waiting)
    )
    clock = clock_total(prices)
    return float(problem.constant_s + clock + least - ROUNDING * (abs(problem.constant_s) + abs(clock) + size))


def clock_total(prices: ClockPrices) -> float:
    """∫ π dw."""
    return float(np.sum(np.diff(prices.cuts) * (prices.clock[1:] + prices.clock[:-1]) / 2))


class Columns(NamedTuple):
    """Requests as a kernel takes them, each of shape (n,): p, d, ω / d, work of a round without its KV, g and group."""

    p: FloatArray
    d: FloatArray
    worth: FloatArray
    work: FloatArray
    load: FloatArray
    group: IntArray

    @classmethod
    def of(cls, problem: ClockRelaxation, group: IntArray) -> Columns:
        """The columns of a relaxation."""
        d = problem.d.astype(np.float64)
        work = problem.prefill_s / d + problem.rate.per_sequence_s
        return cls(problem.p.astype(np.float64), d, problem.weight / d, work, problem.load, group)


class Lines(NamedTuple):
    """What a round costs at the ends of levels, as a kernel takes it: for itself, for KV, for g, and for its group."""

    cuts: FloatArray
    clock: FloatArray
    fixed: FloatArray
    of_kv: FloatArray
    of_load: FloatArray
    by_group: FloatArray


def lines(problem: ClockRelaxation, prices: ClockPrices, waiting: FloatArray) -> Lines:
    """The costs by prices, with the lines `waiting`."""
    share, near = problem.share, problem.neighbours
    by_group = prices.alone + (near.kernel @ prices.beside)[class_of_group(problem, prices.group)]
    fixed = prices.slot - share.round_seconds(1, 0) * waiting
    per_kv = prices.kv - share.per_kv_token_s * waiting
    return Lines(at_ends(prices.cuts), at_ends(prices.clock), fixed, per_kv, prices.load, by_group)


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator, unused-ignore]
def sample_rounds(d, rounds, weights):  # type: ignore[no-untyped-def]
    """Fill the rounds at which a concave function is looked at and their weights; return how many they are."""
    count = min(len(rounds), int(d))
    rounds[0], weights[0] = 1.0, 1.0
    for j in range(1, count):
        rounds[j] = 1.0 + np.floor((d - 1.0) * j / (count - 1.0))
        step = rounds[j] - rounds[j - 1]
        weights[j - 1] += (step - 1.0) / 2
        weights[j] = (step + 1.0) / 2
    return count


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _least(columns, kv_s, lines):  # type: ignore[no-untyped-def]
    """Sum over requests and rounds of the least price, and a number that its rounding errors are in proportion to."""
    p, d, worth, work, load, group = columns
    cuts, clock, fixed, of_kv, of_load, by_group = lines
    rounds, weights, least = np.empty(POINTS), np.empty(POINTS), np.empty(POINTS)
    total, size = 0.0, 0.0
    for i in range(len(p)):
        count = sample_rounds(d[i], rounds, weights)
        least[:] = np.inf
        largest = 0.0
        for e in range(len(fixed)):
            moment = worth[i] * cuts[e]
            at = fixed[e] + by_group[group[i], e] + of_load[e] * load[i] + moment - clock[e] * work[i]
            per_kv = of_kv[e] - clock[e] * kv_s
            largest = max(largest, abs(at) + moment + abs(per_kv) * (p[i] + d[i]))
            for j in range(count):
                least[j] = min(least[j], at + per_kv * (p[i] + rounds[j]))
        for j in range(count):
            total += weights[j] * least[j]
        size += largest * d[i]
    return total, size
