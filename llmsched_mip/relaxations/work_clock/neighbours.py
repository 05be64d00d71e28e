"""What requests that are active in the same round cost each other by their own seconds in it: a kernel of classes.

Letters as in `relaxation`; η_i = b + c (p_i + 1) is the least that request i adds to a round.  In a round t both i and
j are active in, F_t (b A_t + c K_t) has ω_i φ_i(t) for at least η_j seconds and ω_j φ_j(t) for η_i.

A pair with o common rounds adds at least min ω min(η_i, η_j) o (1 + ρ) / 2, where ρ is the ratio of the fewer rounds
of the two to the more.  Proof.  Either the rounds of the shorter are all common, o = d_j ≤ d_i: φ_j adds up to o / 2
over them, and φ_i, which grows, to no less than over its first o rounds, o² / 2d_i = o ρ / 2.  Or they are the last o
of i and the first o of j, and φ_i + φ_j add up to o - o² / 2d_i + o² / 2d_j: at least o if d_j ≤ d_i, and else, as o ≤
d_i, at least o - o (1 - ρ) / 2.

Classes.  Class A holds requests of lo_A to hi_A rounds and at least η_A, and intervals of rounds of two classes are the
same or apart.  The ratio is at least ρ_AB = lo_A / hi_B for A of fewer rounds or the same, so with V_AB = min ω
min(η_A, η_B) (1 + ρ_AB) / 2 and y_t = the requests of each class active in round t, all pairs add at least Σ_t y_t V
y_t / 2 - Σ_i V_ii d_i / 2.  V is positive semidefinite: min(η_A, η_B) is, as every kernel min(x, y) of x, y ≥ 0 (the
integral over s of [x ≥ s] [y ≥ s]), ρ_AB = min(lo_A hi_A, lo_B hi_B) / (hi_A hi_B) for the same reason, and sums and
entrywise products of such kernels (Schur) are, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llmsched_mip.timing import DecodeTime, FloatArray, IntArray

MOST_CLASSES = 100
STEP, COARSER = 0.15, 1.3


class Neighbours(NamedTuple):
    """Classes of requests and their kernel V.

    Parameters
    ----------
    of : int array, shape (n,)
        Class of each request.
    kernel : float array, shape (classes, classes)
        V, weighted seconds in a round.
    """

    of: IntArray
    kernel: FloatArray

    @classmethod
    def made(cls, p: IntArray, d: IntArray, least_weight: float, decode: DecodeTime) -> Neighbours:
        """Classes of like rounds and like η, as narrow as `MOST_CLASSES` lets them be."""
        added = np.asarray(decode.per_request.round_seconds(1, p + 1), dtype=np.float64)
        step = STEP
        while True:
            rounds, seconds = _steps(d.astype(np.float64), step), _steps(added, step)
            pairs, of = np.unique(np.stack((rounds, seconds)), axis=1, return_inverse=True)
            if pairs.shape[1] <= MOST_CLASSES:
                break
            step *= COARSER
        of = of.reshape(-1).astype(np.int64)
        intervals, where = np.unique(pairs[0], return_inverse=True)
        low, high = np.full(len(intervals), np.inf), np.zeros(len(intervals))
        np.minimum.at(low, where.reshape(-1)[of], d)
        np.maximum.at(high, where.reshape(-1)[of], d)
        low, high = low[where.reshape(-1)], high[where.reshape(-1)]
        eta = np.full(pairs.shape[1], np.inf)
        np.minimum.at(eta, of, added)
        ratio = np.minimum.outer(low * high, low * high) / np.outer(high, high)
        return cls(of, least_weight * np.minimum.outer(eta, eta) * (1 + ratio) / 2)


def _steps(values: FloatArray, step: float) -> IntArray:
    """Intervals of values within a factor of exp(step), from the least positive one; those not positive are 0."""
    positive = values > 0
    if not positive.any():
        return np.zeros(len(values), dtype=np.int64)
    least = float(values[positive].min())
    ratio = np.log(np.where(positive, values, least) / least)
    return np.where(positive, 1 + np.floor(ratio / step), 0).astype(np.int64)
