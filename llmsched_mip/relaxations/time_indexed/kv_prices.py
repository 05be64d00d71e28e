"""The dual of the time-indexed relaxation: prices on the KV tokens of every round, without a model in memory.

Letters as in `relaxation`.  With prices λ_t ≥ 0 on a KV token in round t = 1..T, and none after T,

    L(λ) = Σ_i ω_i e_i + Σ_i min_{s = 0..T} [ ω_i max(a s, r_i) + Σ_{k=1..d_i} (p_i + k) λ_{s+k} ] - M Σ_t λ_t

Proof that L(λ) ≤ Σ ω_i C_i of every plan, for any λ ≥ 0 and any T.  Take the s_i of the plan (`relaxation`).
The KV load of round t is at most M, so Σ_i Σ_k (p_i + k) λ_{s_i+k} ≤ M Σ_t λ_t, and Σ_i ω_i (max(a s_i, r_i) + e_i)
is at least L with the brackets at s_i in place of their minima.  A start at s > T pays no price and costs at least
what s = T costs, which pays none either: the minimum over s = 0..T is the minimum over all s.

With Λ_t = Σ_{τ≤t} λ_τ and Q_t = Σ_{τ≤t} τ λ_τ the price that i pays is (p_i - s)(Λ_{s+d} - Λ_s) + Q_{s+d} - Q_s: every
start costs a few operations whatever d_i is, a pass over all starts takes n T of them, and memory is n + T numbers.  No
d_i counts beyond T + 1, since Λ and Q do not change after T.
The best L is the value of the linear relaxation over start rounds (`linear`) by duality; the prices come from a
subgradient method with the level rule (`subgradient`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.subgradient import BEST, REACH, STEPS, Ascent, Rule, move, settle
from llmsched_mip.relaxations.time_indexed.relaxation import StartRelaxation
from llmsched_mip.timing import FloatArray, IntArray, request_kv_volume

MOST_PASSES = 10_000
SLICE_S = 0.1
SLICE_STARTS = 20_000_000
ROUNDING = 1e-9
CHUNK = 64
FIRST_RISE = 0.003
LEAST_RISE = 1e-6
PATIENCE = (20, 100)
STARTS_OF_PATIENCE = 1e9
MEMORY = 0.95


@dataclass(frozen=True, eq=False)
class KVPrices:
    """Prices and the bound they give.

    Parameters
    ----------
    prices : float array, shape (T,)
        λ_t of rounds 1..T, weighted seconds for a KV token.
    value : float
        L(λ), weighted seconds; rounded down.
    passes : int
        Passes over all starts.
    """

    prices: FloatArray
    value: float
    passes: int


class Columns(NamedTuple):
    """The requests of a relaxation as arrays, with d cut to T + 1."""

    p: IntArray
    d: IntArray
    weight: FloatArray
    arrival: FloatArray
    round_s: float
    capacity: float

    @classmethod
    def of(cls, problem: StartRelaxation, horizon: int) -> Columns:
        """The columns for T = `horizon`."""
        d = np.minimum(problem.d, horizon + 1)
        return cls(problem.p, d, problem.weight, problem.arrival, problem.round_s, float(problem.capacity))


class Sums(NamedTuple):
    """Λ and Q, shape (T + 1 + max d,); the starts s, shape (T + 1,); and the best start of every request."""

    total: FloatArray
    moment: FloatArray
    now: FloatArray
    starts: IntArray

    @classmethod
    def of(cls, columns: Columns, horizon: int) -> Sums:
        """Room for the sums."""
        room = horizon + 1 + int(columns.d.max())
        starts = np.zeros(len(columns.p), dtype=np.int64)
        return cls(np.zeros(room), np.zeros(room), np.arange(horizon + 1.0), starts)


@njit(cache=True, fastmath={"nnan", "nsz", "reassoc", "contract"})  # type: ignore[untyped-decorator, unused-ignore]
def _chunk_costs(first, request, total, moment, now, costs):  # type: ignore[no-untyped-def]
    """Fill `costs` with the brackets of the starts `first`, `first` + 1, ... and return the least of them."""
    (p, d, rate, ready), size = request, len(costs)
    t0, t1 = total[first : first + size], total[first + d : first + d + size]
    m0, m1 = moment[first : first + size], moment[first + d : first + d + size]
    s, least = now[first : first + size], np.inf
    for k in range(size):
        cost = max(rate * s[k], ready) + (p - s[k]) * (t1[k] - t0[k]) + (m1[k] - m0[k])
        costs[k] = cost
        least = min(least, cost)
    return least


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _best_starts(columns, prices, sums):  # type: ignore[no-untyped-def]
    """Fill the starts with the minimisers of the brackets and return the sum of the minima.

    A bracket is at least its ω a s, so later starts need no look once that is above the least so far.
    """
    T = len(prices)
    total, moment, now, starts = sums
    for t in range(T):
        total[t + 1] = total[t] + prices[t]
        moment[t + 1] = moment[t] + prices[t] * (t + 1)
    total[T + 1 :] = total[T]
    moment[T + 1 :] = moment[T]
    costs, value = np.empty(CHUNK), 0.0
    for i in range(len(columns.p)):
        rate, ready = columns.weight[i] * columns.round_s, columns.weight[i] * columns.arrival[i]
        request = float(columns.p[i]), columns.d[i], rate, ready
        best = np.inf
        for first in range(0, T + 1, CHUNK):
            if rate * first > best:
                break
            size = min(CHUNK, T + 1 - first)
            least = _chunk_costs(first, request, total, moment, now, costs[:size])
            if least < best:
                best = least
                starts[i] = first + np.argmin(costs[:size])
        value += best
    return value


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _excess(columns, starts, load):  # type: ignore[no-untyped-def]
    """Fill `load` with (KV load - M) / M of every round: the subgradient of L over M."""
    T = len(load)
    count, level = np.zeros(T + 1), np.zeros(T + 1)
    for i in range(len(columns.p)):
        s = starts[i]
        end = min(s + columns.d[i], T)
        count[s] += 1.0
        count[end] -= 1.0
        level[s] += columns.p[i] - s
        level[end] -= columns.p[i] - s
    running, base = 0.0, 0.0
    for t in range(T):
        running += count[t]
        base += level[t]
        load[t] = (base + running * (t + 1)) / columns.capacity - 1.0


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _ascend(columns, sums, ascent, rule, passes):  # type: ignore[no-untyped-def]
    """Run `passes` steps; L is without Σ ω e."""
    load = np.zeros(len(ascent.prices))
    for _ in range(passes):
        value = _best_starts(columns, ascent.prices, sums) - columns.capacity * ascent.prices.sum()
        if settle(ascent, rule, value):
            continue
        _excess(columns, sums.starts, load)
        if not move(ascent, rule, value, load, columns.capacity):
            return


def value_of_prices(problem: StartRelaxation, prices: FloatArray) -> float:
    """L(λ) for prices λ ≥ 0 of shape (T,), weighted seconds; rounded down by more than its rounding errors."""
    columns = Columns.of(problem, len(prices))
    least = float(_best_starts(columns, prices, Sums.of(columns, len(prices))))
    paid = problem.capacity * float(prices.sum())
    return problem.alone_s + least - paid - ROUNDING * (problem.alone_s + abs(least) + paid)


def fluid_prices(problem: StartRelaxation, horizon: int) -> FloatArray:
    """Prices to begin with: shape (T,).

    Where requests flow through a pipe of M tokens a round in the order of ω / vol, a token of round t is worth what
    it saves those that flow later: Σ ω a / vol over the rounds from t on.
    """
    volume = request_kv_volume(problem.p, problem.d).astype(np.float64)
    order = np.argsort(-problem.weight / volume, kind="stable")
    ends = np.cumsum(volume[order]) / problem.capacity
    flowing = np.searchsorted(ends, np.arange(horizon), side="right")
    density = np.append(problem.weight[order] / volume[order], 0.0)[np.minimum(flowing, problem.n)]
    return problem.round_s * np.cumsum(density[::-1])[::-1]


def ascend_prices(
    problem: StartRelaxation,
    budget: Budget,
    horizon: int | None = None,
    most_passes: int = MOST_PASSES,
    start: FloatArray | None = None,
) -> KVPrices:
    """Improve prices until `budget` is spent, until steps no longer help, or for `most_passes` passes.

    Parameters
    ----------
    problem : StartRelaxation
    budget : Budget
        Looked at every few passes.
    horizon : int, optional
        T; default: the relaxation's.
    most_passes : int
    start : float array, shape (T,), optional
        Prices to begin with; default `fluid_prices`.
    """
    T = horizon or problem.horizon
    ascent = Ascent.begin(fluid_prices(problem, T) if start is None else np.maximum(start, 0.0), 0.0)
    state, columns = ascent.state, Columns.of(problem, T)
    sums = Sums.of(columns, T)
    rule = Rule(MEMORY, float(np.clip(STARTS_OF_PATIENCE / (problem.n * T), *PATIENCE)), 0.75, 1e-18)
    slice_passes = 1
    while state[STEPS] < most_passes:
        began = clock.now()
        _ascend(columns, sums, ascent, rule, min(slice_passes, most_passes - int(state[STEPS])))
        size = abs(state[BEST]) + problem.alone_s
        if state[STEPS] == 1.0:
            state[REACH] = FIRST_RISE * size
        if state[STEPS] > 1.0 and state[REACH] < LEAST_RISE * size:
            break
        if budget.spent():
            break
        pass_s = (clock.now() - began) / slice_passes
        slice_passes = max(1, min(200, SLICE_STARTS // (problem.n * T), int(SLICE_S / max(pass_s, 1e-6))))
    return KVPrices(ascent.best, value_of_prices(problem, ascent.best), int(state[STEPS]))


def unpriced(problem: StartRelaxation) -> KVPrices:
    """No prices at all: every request alone."""
    prices = np.zeros(1)
    return KVPrices(prices, value_of_prices(problem, prices), 0)
