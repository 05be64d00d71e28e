"""Bound "kv_dual": prices on the KV tokens of every round, without a model in memory.

Letters as in `start_relaxation`.  With prices λ_t ≥ 0 on a KV token in round t = 1..T, and none after T,

    L(λ) = Σ_i ω_i own_i + Σ_i min_{s = 0..T} [ ω_i max(a s, r_i) + Σ_{k=1..d_i} (p_i + k) λ_{s+k} ] - M Σ_t λ_t

Proof that L(λ) ≤ Σ ω_i C_i of every plan, for any λ ≥ 0 and any T.  Take the s_i of the plan (`start_relaxation`).
The KV load of round t is at most M, so Σ_i Σ_k (p_i + k) λ_{s_i+k} ≤ M Σ_t λ_t, and Σ_i ω_i (max(a s_i, r_i) + own_i)
is at least L with the brackets at s_i in place of their minima.  A start at s > T pays no price and costs at least
what s = T costs, which pays none either: the minimum over s = 0..T is the minimum over all s.

With Λ_t = Σ_{τ≤t} λ_τ and Q_t = Σ_{τ≤t} τ λ_τ the price that i pays is (p_i - s)(Λ_{s+d} - Λ_s) + Q_{s+d} - Q_s: every
start costs a few operations whatever d_i is, a pass over all starts takes n T of them, and memory is n + T numbers.  No
d_i counts beyond T + 1, since Λ and Q do not change after T.
The best L is the value of the linear relaxation over start rounds (`start_lp`) by duality.

The prices come from a deflected subgradient method with a target that is raised or lowered as it is met or not
(Brännlund's level rule); however found, L is evaluated for the prices as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from llmsched_mip import clock
from llmsched_mip.bounds.start_relaxation import StartRelaxation, blocks
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.timing import FloatArray, request_kv_volume

DEFAULT_TIME_LIMIT_S = 10.0
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


@njit(cache=True, fastmath={"nnan", "nsz", "reassoc", "contract"})  # type: ignore[untyped-decorator, unused-ignore]
def _chunk_costs(first, size, p, d, rate, ready, total, moment, now, costs):  # type: ignore[no-untyped-def]
    """Fill `costs` with the brackets of the starts `first`, `first` + 1, ... and return the least of them."""
    t0, t1 = total[first : first + size], total[first + d : first + d + size]
    m0, m1 = moment[first : first + size], moment[first + d : first + d + size]
    s, least = now[first : first + size], np.inf
    for k in range(size):
        cost = max(rate * s[k], ready) + (p - s[k]) * (t1[k] - t0[k]) + (m1[k] - m0[k])
        costs[k] = cost
        least = min(least, cost)
    return least


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _best_starts(p, d, weight, arrival, round_s, prices, total, moment, now, starts):  # type: ignore[no-untyped-def]
    """Fill `starts` with the minimisers of the brackets and return the sum of the minima.

    A bracket is at least its own ω a s, so later starts need no look once that is above the least so far.
    """
    T = len(prices)
    for t in range(T):
        total[t + 1] = total[t] + prices[t]
        moment[t + 1] = moment[t] + prices[t] * (t + 1)
    total[T + 1 :] = total[T]
    moment[T + 1 :] = moment[T]
    costs, value = np.empty(CHUNK), 0.0
    for i in range(len(p)):
        own_p, own_d, rate, ready = float(p[i]), d[i], weight[i] * round_s, weight[i] * arrival[i]
        best = np.inf
        for first in range(0, T + 1, CHUNK):
            if rate * first > best:
                break
            size = min(CHUNK, T + 1 - first)
            least = _chunk_costs(first, size, own_p, own_d, rate, ready, total, moment, now, costs)
            if least < best:
                best = least
                starts[i] = first + np.argmin(costs[:size])
        value += best
    return value


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _excess(p, d, starts, capacity, count, level, load):  # type: ignore[no-untyped-def]
    """Fill `load` with (KV load - M) / M of every round: the subgradient of L over M."""
    T = len(load)
    count[:] = 0.0
    level[:] = 0.0
    for i in range(len(p)):
        s = starts[i]
        end = min(s + d[i], T)
        count[s] += 1.0
        count[end] -= 1.0
        level[s] += p[i] - s
        level[end] -= p[i] - s
    running, base = 0.0, 0.0
    for t in range(T):
        running += count[t]
        base += level[t]
        load[t] = (base + running * (t + 1)) / capacity - 1.0


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _ascend(p, d, weight, arrival, round_s, capacity, prices, best, direction, state, patience, passes):  # type: ignore[no-untyped-def]
    """Run `passes` steps from `prices`; `best` keeps the prices of the largest L.

    `state`: largest L (without Σ ω own), distance of the target above it, steps since the last gain, passes run.
    """
    n, T = len(p), len(prices)
    d = np.minimum(d, T + 1)
    total, moment = np.zeros(T + 1 + d.max()), np.zeros(T + 1 + d.max())
    starts, now = np.zeros(n, np.int64), np.arange(T + 1).astype(np.float64)
    count, level, load = np.zeros(T + 1), np.zeros(T + 1), np.zeros(T)
    for _ in range(passes):
        value = _best_starts(p, d, weight, arrival, round_s, prices, total, moment, now, starts)
        value -= capacity * prices.sum()
        state[3] += 1.0
        state[2] += 1.0
        if value > state[0]:
            if value > state[0] + 0.01 * state[1]:
                state[2] = 0.0
            if value > state[0] + state[1]:
                state[1] *= 1.5
            state[0] = value
            best[:] = prices
        if state[2] >= patience:
            state[1] *= 0.75
            state[2] = 0.0
            prices[:] = best
            direction[:] = 0.0
            continue
        _excess(p, d, starts, capacity, count, level, load)
        norm = 0.0
        for t in range(T):
            direction[t] = load[t] + MEMORY * direction[t]
            if prices[t] <= 0.0 and direction[t] < 0.0:
                direction[t] = 0.0
            norm += direction[t] * direction[t]
        if norm <= 1e-18:
            state[1] = 0.0
            return
        step = (state[0] + state[1] - value) / (norm * capacity)
        for t in range(T):
            prices[t] = max(0.0, prices[t] + step * direction[t])


def value_of_prices(problem: StartRelaxation, prices: FloatArray) -> float:
    """L(λ) for prices λ ≥ 0 of shape (T,), weighted seconds; rounded down by more than its rounding errors."""
    T, own = len(prices), problem
    d = np.minimum(own.d, T + 1)
    room, now = T + 1 + int(d.max()), np.arange(T + 1.0)
    columns = (own.p, d, own.weight, own.arrival, own.round_s)
    starts = np.zeros(own.n, dtype=np.int64)
    least = float(_best_starts(*columns, prices, np.zeros(room), np.zeros(room), now, starts))
    paid = own.capacity * float(prices.sum())
    return own.own_s + least - paid - ROUNDING * (own.own_s + abs(least) + paid)


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
    own, T = problem, horizon or problem.horizon
    prices = fluid_prices(own, T) if start is None else np.maximum(start, 0.0)
    best, direction = prices.copy(), np.zeros(T)
    state = np.array([-np.inf, 0.0, 0.0, 0.0])
    columns = (own.p, own.d, own.weight, own.arrival, own.round_s, float(own.capacity))
    slice_passes = 1
    patience = float(np.clip(STARTS_OF_PATIENCE / (own.n * T), *PATIENCE))
    while state[3] < most_passes:
        began = clock.now()
        _ascend(*columns, prices, best, direction, state, patience, min(slice_passes, most_passes - int(state[3])))
        if state[3] == 1.0:
            state[1] = FIRST_RISE * (abs(state[0]) + own.own_s)
        if state[3] > 1.0 and state[1] < LEAST_RISE * (abs(state[0]) + own.own_s):
            break
        if budget.spent():
            break
        pass_s = (clock.now() - began) / slice_passes
        slice_passes = max(1, min(200, SLICE_STARTS // (own.n * T), int(SLICE_S / max(pass_s, 1e-6))))
    return KVPrices(best, value_of_prices(own, best), int(state[3]))


def kv_dual(instance: Instance, budget: Budget) -> Bound | None:
    """L(λ) for the best prices found; total completion only, None where a round may take no time.

    Proof.  In the docstring of this module.  Without a time limit it stops after `MOST_PASSES` passes or
    `DEFAULT_TIME_LIMIT_S`, whichever comes first.
    """
    began = clock.now()
    found = blocks(instance) if instance.objective == "total_completion" else None
    if found is None:
        return None
    whole = budget.or_default(DEFAULT_TIME_LIMIT_S)
    work = np.array([float(part.n) * part.horizon for part in found.parts])
    shares = work / np.cumsum(work[::-1])[::-1]
    priced: list[KVPrices] = []
    for part, share in zip(found.parts, shares.tolist(), strict=True):
        late = bool(priced) and whole.spent()
        priced.append(_unpriced(part) if late else ascend_prices(part, whole.slice(share=share)))
    certificate = {
        "rounds": sum(len(own.prices) for own in priced),
        "passes": sum(own.passes for own in priced),
        "price_of_round_1": float(priced[0].prices[0]),
        "blocks": len(priced),
    }
    value = found.total([own.value for own in priced])
    return Bound("kv_dual", value, clock.now() - began, certificate)


def _unpriced(problem: StartRelaxation) -> KVPrices:
    """No prices at all: every request alone."""
    prices = np.zeros(1)
    return KVPrices(prices, value_of_prices(problem, prices), 0)
