"""Prices on the clock of each kind of worker, and the bound that they give.

Letters as in `relaxation`.  The clock of a kind w of N_w workers is cut at x_0 = 0 < x_1 < ... < x_L into levels.
A price ψ(θ) ≥ 0 of a second, linear between its values at the cuts and 0 at x_L, and prices ≥ 0 that are linear on
each level: λ on a KV token for a round, σ on a slot for a round, τ on being active twice at once, by groups of
requests, h on Y and z on the requests of each class of `neighbours` that are active.  With

    D(θ) = a ψ - λ M - σ J - Σ_i τ_i - h² / 2 - z V z / 2 ≥ 0   at both ends of every level of every kind,

    Σ ω_i C_i ≥ Σ_i min over kinds w that i fits of (constant_iw + Σ_k min over the ends θ of levels of
                    (ω_i / d_i) θ + ψ m_ik + λ (p_i + k) + σ + τ_i + h g_i + (V z)_i)   -   Σ_w N_w ∫ ψ dθ.

Proof.  Let ρ_ik and n be the densities of one worker in the relaxation, ∫ ρ_ik = 1 for its requests.  Σ ρ m + a n ≤ 1
at every θ.  Y² / 2 ≥ h Y - h² / 2, and y V y / 2 ≥ y V z - z V z / 2 as V is positive semidefinite, in every round; Y n
= Σ ρ g, y n = Σ ρ by class, Σ ρ ≤ J n, Σ ρ (p + k) ≤ M n and Σ_k ρ_ik ≤ n for every i.  Add all of these with their
prices: what is left of n has the factor D ≥ 0, as it is concave on a level, and each ρ_ik is worth at least its
minimum, as its price is linear on a level and past x_L no less than there.  The workers of a kind have the same prices.

The minimum is concave in p + k, as one of linear functions.  So the sum over k is at least that of its linear
interpolation between `POINTS` values of k.  Cost: 2 L `POINTS` operations a request and kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.relaxations.work_clock.relaxation import ClockRelaxation, Kind
from llmsched_mip.timing import FloatArray, IntArray

POINTS = 5
ROUNDING = 1e-11


class ClockPrices(NamedTuple):
    """Prices of one kind of worker in the letters of the module.

    Parameters
    ----------
    cuts, second : float arrays, shape (L + 1,)
        x and ψ(x).
    kv, slot, load : float arrays, shape (2L,), at both ends of level after level
        λ, σ and h.
    beside : float array, shape (classes, 2L)
        z.
    alone : float array, shape (groups, 2L)
        τ of each request of a group.
    group : int array, shape (m,)
    """

    cuts: FloatArray
    second: FloatArray
    kv: FloatArray
    slot: FloatArray
    load: FloatArray
    beside: FloatArray
    alone: FloatArray
    group: IntArray


def feasible(kind: Kind, prices: ClockPrices) -> ClockPrices:
    """The prices cut down to D ≥ 0, to no negative ones, and to ψ = 0 at the last cut."""
    second = np.append(np.maximum(prices.second[:-1], 0.0), 0.0)
    kv, slot, load, beside = (np.maximum(x, 0.0) for x in prices[2:6])
    alone = np.maximum(prices.alone, 0.0)
    count = np.bincount(prices.group, minlength=len(alone)).astype(np.float64)
    used = kv * kind.limits.kv + slot * kind.limits.slots + count @ alone + load**2 / 2 + form(kind, beside) / 2
    room = kind.decode.base_s * at_ends(second) * (1 - ROUNDING)
    part = np.minimum(1.0, np.divide(room, used, out=np.ones_like(used), where=used > 0))
    root = np.sqrt(part)
    return prices._replace(
        second=second, kv=kv * part, slot=slot * part, load=load * root, beside=beside * root, alone=alone * part
    )


def form(kind: Kind, beside: FloatArray) -> FloatArray:
    """z V z at both ends of every level, shape (2L,), of z = `beside`."""
    return np.asarray(np.sum(beside * (kind.neighbours.kernel @ beside), axis=0), dtype=np.float64)


def at_ends(at_cuts: FloatArray) -> FloatArray:
    """Values at cuts, shape (L + 1,), as values at both ends of every level, shape (2L,)."""
    return np.repeat(at_cuts, 2)[1:-1]


def class_of_group(kind: Kind, group: IntArray) -> IntArray:
    """The class of `neighbours` of every group, as all requests of a group are of one class."""
    found = np.zeros(int(group.max()) + 1, dtype=np.int64)
    found[group] = kind.neighbours.of
    return found


def value_of_prices(problem: ClockRelaxation, prices: Sequence[ClockPrices]) -> float:
    """The bound by prices of each kind, made `feasible`; weighted seconds, rounded down by more than its errors."""
    least, paid = np.full(problem.n, np.inf), 0.0
    for kind, raw in zip(problem.kinds, prices, strict=True):
        made = feasible(kind, raw)
        cost, size = least_costs(Columns.of(kind, made.group), lines(kind, made), POINTS)
        total = kind.constant_s + cost - ROUNDING * (np.abs(kind.constant_s) + size)
        least[kind.requests] = np.minimum(least[kind.requests], total)
        paid += paid_for_seconds(kind, made)
    return float(np.sum(least) - paid - ROUNDING * (float(np.abs(least).sum()) + paid))


def paid_for_seconds(kind: Kind, prices: ClockPrices) -> float:
    """∫ ψ dθ of all workers of a kind."""
    middle = (prices.second[1:] + prices.second[:-1]) / 2
    return kind.workers * float(np.sum(np.diff(prices.cuts) * middle))


class Columns(NamedTuple):
    """Requests as a kernel takes them, shape (m,): p, d, ω / d, seconds of a round without KV, g, group; and c."""

    p: FloatArray
    d: FloatArray
    worth: FloatArray
    round_s: FloatArray
    load: FloatArray
    group: IntArray
    kv_s: float

    @classmethod
    def of(cls, kind: Kind, group: IntArray) -> Columns:
        """The columns of a kind."""
        d = kind.d.astype(np.float64)
        round_s = kind.prefill_s / d + kind.rate.per_sequence_s
        return cls(kind.p.astype(np.float64), d, kind.weight / d, round_s, kind.load, group, kind.rate.per_kv_token_s)

    def take(self, rows: IntArray) -> Columns:
        """Those of some requests."""
        p, d, worth, round_s, load, group, kv_s = self
        return Columns(p[rows], d[rows], worth[rows], round_s[rows], load[rows], group[rows], kv_s)


class Lines(NamedTuple):
    """What a round costs at the ends of levels, as a kernel takes it: for a second, a slot, KV, g, and its group."""

    cuts: FloatArray
    second: FloatArray
    slot: FloatArray
    kv: FloatArray
    load: FloatArray
    by_group: FloatArray


def lines(kind: Kind, prices: ClockPrices) -> Lines:
    """The costs by prices."""
    by_group = prices.alone + (kind.neighbours.kernel @ prices.beside)[class_of_group(kind, prices.group)]
    return Lines(at_ends(prices.cuts), at_ends(prices.second), prices.slot, prices.kv, prices.load, by_group)


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
def least_costs(columns, lines, points):  # type: ignore[no-untyped-def]
    """Sum over the rounds of each request of the least price, shape (m,), and what its rounding errors go with."""
    p, d, worth, round_s, load, group, kv_s = columns
    cuts, second, slot, of_kv, of_load, by_group = lines
    rounds, weights, least = np.empty(points), np.empty(points), np.empty(points)
    total, size = np.zeros(len(p)), np.zeros(len(p))
    for i in range(len(p)):
        count = sample_rounds(d[i], rounds, weights)
        least[:] = np.inf
        largest = 0.0
        for e in range(len(cuts)):
            at = slot[e] + by_group[group[i], e] + of_load[e] * load[i] + worth[i] * cuts[e] + second[e] * round_s[i]
            per_kv = of_kv[e] + second[e] * kv_s
            largest = max(largest, at + per_kv * (p[i] + d[i]))
            for j in range(count):
                least[j] = min(least[j], at + per_kv * (p[i] + rounds[j]))
        for j in range(count):
            total[i] += weights[j] * least[j]
        size[i] = largest * d[i]
    return total, size
