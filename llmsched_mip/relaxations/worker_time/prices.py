"""Prices on the time of each kind of worker: the bound that they give, and better ones pass by pass.

Letters as in `relaxation`.  A pass finds for every request the cheapest moment C on each kind of worker, spreads the
request over the kinds in proportion to exp(-cost / temperature), and adds up what the work would pay at each price,
Σ u (x_e - x)⁺.  By ∫ (x_e - x)⁺ = x_e² / 2 of each worker that is too much or too little: s_we is multiplied by a power
of the ratio, as Sinkhorn's algorithm does.  The temperature falls from pass to pass.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.compiled import routine
from llmsched_mip.relaxations.worker_time.relaxation import Columns
from llmsched_mip.timing import FloatArray

HALVINGS, NEAR = 40, 1e-5
FAR = 30.0
ROUNDING = 1e-11


class Prices(NamedTuple):
    """s of every kind and cut: ``bends``, shape (kinds, L + 1), its first column 0; x of the cuts, shape (L + 1,)."""

    cuts: FloatArray
    bends: FloatArray


class Pieces(NamedTuple):
    """π at the cuts, and minus its slope between a cut and the one before it; shape (kinds, L + 1)."""

    cuts: FloatArray
    value: FloatArray
    slope: FloatArray


def pieces(prices: Prices) -> Pieces:
    """π of every kind."""
    slope = np.cumsum(prices.bends[:, ::-1], axis=1)[:, ::-1]
    steps = slope[:, 1:] * np.diff(prices.cuts)
    value = np.zeros_like(slope)
    value[:, :-1] = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
    return Pieces(prices.cuts, value, np.ascontiguousarray(slope))


def cut_moments(horizon_s: float, levels: int) -> FloatArray:
    """Moments 0 = x_0 < ... < x_L = the horizon, denser at the beginning: shape (L + 1,), seconds."""
    return horizon_s * (np.arange(levels + 1) / levels) ** 2


def time_total(prices: Prices, count: FloatArray) -> float:
    """Σ_w ∫ π_w over `count` workers of each kind."""
    return float((count @ prices.bends) @ prices.cuts**2) / 2


def request_costs(columns: Columns, prices: Prices) -> FloatArray:
    """Least ω C + what is paid of every request on every kind: shape (kinds, m), weighted seconds, rounded down."""
    cost, moment = np.full(columns.alone.shape, np.inf), np.zeros(columns.alone.shape)
    _cheapest(columns, pieces(prices), cost, moment)
    return cost * (1 - ROUNDING)


def spread(
    columns: Columns, prices: Prices, members: FloatArray, temperature: float
) -> tuple[float, FloatArray, FloatArray]:
    """Σ of the least costs of requests that each stand for `members`; the loads by kind and cut; the shares by kind.

    Returns
    -------
    float, float array of shape (kinds, L + 1), float array of shape (kinds, m)
    """
    cost, moment = np.full(columns.alone.shape, np.inf), np.zeros(columns.alone.shape)
    _cheapest(columns, pieces(prices), cost, moment)
    least = cost.min(axis=0)
    above = (cost - least) / (temperature * columns.weight)
    share = np.where(above < FAR, np.exp(-np.minimum(above, FAR)), 0.0)
    share /= share.sum(axis=0)
    loads = np.zeros_like(prices.bends)
    _loads(columns, prices.cuts, moment, share * members, loads)
    return float(members @ least), loads, share


@routine
def _piece(cuts, moment):  # type: ignore[no-untyped-def]
    """Number of the piece of π that holds a moment: it ends at that cut."""
    last = len(cuts) - 1
    return min(int(last * np.sqrt(max(moment, 0.0) / cuts[last])) + 1, last)


@routine
def _paid(columns, pieces, k, i, moment):  # type: ignore[no-untyped-def]
    """ω C + Σ u π(C - h) at C = `moment`, and its slope."""
    value, slope = columns.weight[i] * moment, columns.weight[i]
    last = pieces.cuts[len(pieces.cuts) - 1]
    for g in range(columns.work.shape[2]):
        x = max(moment - columns.before[k, i, g], 0.0)
        if x < last:
            e = _piece(pieces.cuts, x)
            value += columns.work[k, i, g] * (pieces.value[k, e] + pieces.slope[k, e] * (pieces.cuts[e] - x))
            slope -= columns.work[k, i, g] * pieces.slope[k, e]
    return value, slope


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _cheapest(columns, pieces, cost, moment):  # type: ignore[no-untyped-def]
    """Fill a lower bound on the least cost of every request on every kind, and about the moment of it."""
    horizon = pieces.cuts[len(pieces.cuts) - 1]
    for k in range(len(columns.alone)):
        for i in range(columns.alone.shape[1]):
            if columns.alone[k, i] == np.inf:
                continue
            low = columns.arrival_s[i] + columns.alone[k, i]
            high = max(horizon, low) + columns.alone[k, i]
            at_low, slope = _paid(columns, pieces, k, i, low)
            if slope >= 0.0:
                cost[k, i], moment[k, i] = at_low, low
                continue
            at_high, rise = _paid(columns, pieces, k, i, high)
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                value, tilt = _paid(columns, pieces, k, i, middle)
                if tilt >= 0.0:
                    high, at_high, rise = middle, value, tilt
                else:
                    low, at_low, slope = middle, value, tilt
                if high - low < NEAR * high:
                    break
            # Where the tangents cross: both rise from there on, or fall to there.
            moment[k, i] = (low + high) / 2
            across = (at_high - at_low - rise * (high - low)) / (slope - rise)
            cost[k, i] = at_low + slope * min(max(across, 0.0), high - low)
    return


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _loads(columns, cuts, moment, members, loads):  # type: ignore[no-untyped-def]
    """Add up Σ u (x_e - x)⁺ over the requests, each at its moment and as many times as there are members."""
    last = len(cuts) - 1
    for k in range(len(moment)):
        work, product = np.zeros(last + 1), np.zeros(last + 1)
        for i in range(moment.shape[1]):
            if members[k, i] > 0.0:
                for g in range(columns.work.shape[2]):
                    x = max(moment[k, i] - columns.before[k, i, g], 0.0)
                    if x < cuts[last]:
                        e, part = _piece(cuts, x), members[k, i] * columns.work[k, i, g]
                        work[e] += part
                        product[e] += part * x
        total, moments = 0.0, 0.0
        for e in range(1, last + 1):
            total += work[e]
            moments += product[e]
            loads[k, e] = total * cuts[e] - moments
