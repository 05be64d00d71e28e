"""Bound "start_prices": prices on rounds turn the unit-round problem into one choice a request.

Sets i = requests, s = start rounds, τ = rounds, f = families of `completion_windows`.  With prices λ_τ ≥ 0 on KV
tokens in round τ and μ_fτ ≥ 0 on covering it,

    L(λ, μ) = Σ_i min_s [ ω_i (s + d_i) + Σ_{k=1..d_i} (p_i + k) λ_{s+k} + Σ_f Σ_{τ covered by i} μ_fτ ]
              - M Σ_τ λ_τ - Σ_f m_f Σ_τ μ_fτ

Proof that L is a lower bound on Σ ω_i C_i.  Take a feasible schedule.  Its KV load of round τ is at most M and at
most m_f requests cover τ (the lemma of `completion_windows`), so the prices it pays are at most what is taken off
in the second line, and the bracket of each request is at least its minimum.  Prices end at a horizon T; a start
at T or later pays none, so the minimum over s = 0..T is the minimum over all s.

The best prices are the dual of the linear relaxation over start times with these rows.  `ascend` finds good ones
by a deflected subgradient with Polyak's step (Camerini, Fratta and Maffioli, Mathematical Programming Study 3
(1975)); however found, L is evaluated for the prices as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from llmsched_mip import clock
from llmsched_mip.algorithms.unit_round.problem import UnitRounds
from llmsched_mip.algorithms.unit_round.shortest_first import shortest_first
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.models.windows import Windows, completion_windows
from llmsched_mip.timing import FloatArray, IntArray

DEFAULT_TIME_LIMIT_S = 5.0
MOST_STARTS = 20_000_000
MOST_STEPS = 200
SLICE_S = 0.1
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class StartPrices:
    """Prices and the bound they give.

    Parameters
    ----------
    problem : UnitRounds
    windows : list of Windows
    prices : float array, shape (1 + families, T)
        Row 0: M times the price λ of a KV token in rounds 1..T; then the prices μ of every family.
    value : float
        L(λ, μ), rounds.
    """

    problem: UnitRounds
    windows: list[Windows]
    prices: FloatArray
    value: float

    @property
    def proven(self) -> float:
        """The bound on the value of a schedule, rounds: L, rounded up where values are multiples of a step."""
        step = self.problem.step
        return step * float(np.ceil(self.value / step - ROUNDING)) if step else self.value

    def reduced_costs(self) -> FloatArray:
        """The bracket of L less its minimum over s: shape (n, T + 1)."""
        own = self.problem
        starts = np.arange(self.prices.shape[1] + 1)
        cost = price_paid(own, self.windows, self.prices) + own.weight[:, None] * (starts + own.d[:, None])
        return cost - cost.min(axis=1, keepdims=True)


def price_paid(problem: UnitRounds, windows: list[Windows], prices: FloatArray) -> FloatArray:
    """What request i pays when it starts at s: shape (n, T + 1); `prices` as in `StartPrices`."""
    own, (before, after, _) = problem, _stacked(windows, problem.n)
    paid = np.empty((own.n, prices.shape[1] + 1))
    _brackets(own.p, own.d, np.zeros(own.n), float(own.capacity), before, after, prices, paid)
    return paid


@njit(cache=True)
def _brackets(p, d, weight, capacity, before, after, prices, cost):  # type: ignore[no-untyped-def]
    """Fill cost[i, s] with the bracket of L; prefix sums make every entry a few differences."""
    families, T = prices.shape
    total = np.zeros((families, T + 1))
    moment = np.zeros(T + 1)
    for f in range(families):
        for t in range(T):
            total[f, t + 1] = total[f, t] + prices[f, t]
    for t in range(T):
        moment[t + 1] = moment[t] + prices[0, t] * (t + 1)
    for i in range(len(p)):
        for s in range(T + 1):
            end = min(s + d[i], T)
            value = weight[i] * (s + d[i])
            value += ((p[i] - s) * (total[0, end] - total[0, s]) + moment[end] - moment[s]) / capacity
            cost[i, s] = value
        for f in range(1, families):
            if before[f - 1, i] + after[f - 1, i] < 1:
                continue
            for s in range(T + 1):
                first = min(max(s + d[i] - before[f - 1, i], 0), T)
                last = min(s + d[i] + after[f - 1, i], T)
                if last > first:
                    cost[i, s] += total[f, last] - total[f, first]


@njit(cache=True)
def _loads(p, d, capacity, before, after, share, starts, load):  # type: ignore[no-untyped-def]
    """Fill load with use minus supply of every row: the subgradient of L."""
    families, T = load.shape
    load[:] = 0.0
    load[0, :] = -1.0
    for f in range(1, families):
        load[f, :] = -share[f - 1]
    for i in range(len(p)):
        s = starts[i]
        for k in range(1, d[i] + 1):
            if s + k <= T:
                load[0, s + k - 1] += (p[i] + k) / capacity
        for f in range(1, families):
            first = max(s + d[i] - before[f - 1, i], 0)
            for t in range(first, min(s + d[i] + after[f - 1, i], T)):
                load[f, t] += 1.0


@njit(cache=True)
def _ascend(p, d, weight, capacity, before, after, share, target, best, prices, state, direction, rounds):  # type: ignore[no-untyped-def]
    """Run `rounds` steps from `prices`; `best` keeps the prices of the largest L.

    `state` holds the largest L, the step factor, and the steps since the last gain.
    """
    families, T = prices.shape
    n = len(p)
    cost, load, starts = np.empty((n, T + 1)), np.empty((families, T)), np.empty(n, np.int64)
    for _ in range(rounds):
        _brackets(p, d, weight, capacity, before, after, prices, cost)
        value = 0.0
        for i in range(n):
            starts[i] = np.argmin(cost[i])
            value += cost[i, starts[i]]
        value -= prices[0].sum()
        for f in range(1, families):
            value -= share[f - 1] * prices[f].sum()
        if value > state[0] * (1 + 1e-7):
            state[2] = 0.0
        else:
            state[2] += 1.0
        if value > state[0]:
            state[0] = value
            best[:] = prices
        if state[2] >= 60:
            state[1] *= 0.8
            state[2] = 0.0
            prices[:] = best
            direction[:] = 0.0
            continue
        _loads(p, d, capacity, before, after, share, starts, load)
        for f in range(families):
            for t in range(T):
                if prices[f, t] <= 0 and load[f, t] < 0:
                    load[f, t] = 0.0
                direction[f, t] = load[f, t] + 0.8 * direction[f, t]
                if prices[f, t] <= 0 and direction[f, t] < 0:
                    direction[f, t] = 0.0
        norm = (direction * direction).sum()
        if norm <= 1e-12:
            state[1] = 0.0
            return
        step = state[1] * (target - value) / norm
        for f in range(families):
            for t in range(T):
                prices[f, t] = max(0.0, prices[f, t] + step * direction[f, t])


def _stacked(windows: list[Windows], n: int) -> tuple[IntArray, IntArray, FloatArray]:
    if not windows:
        return np.zeros((0, n), np.int64), np.zeros((0, n), np.int64), np.zeros(0)
    before, after = (np.stack([getattr(w, name) for w in windows]) for name in ("before", "after"))
    return before, after, np.array([float(w.share) for w in windows])


def ascend(
    problem: UnitRounds,
    horizon: int,
    target: float,
    budget: Budget,
    windows: list[Windows] | None = None,
    start: FloatArray | None = None,
) -> StartPrices:
    """Improve prices until `budget` is spent or until steps no longer help.

    Parameters
    ----------
    problem : UnitRounds
    horizon : int
        T: rounds with a price.
    target : float
        Value of a plan, rounds: what the bound is stepped towards.
    budget : Budget
    windows : list of Windows, optional
        Default: `completion_windows` with m = 1 and 2.
    start : float array, shape (1 + families, T), optional
        Prices to begin with; default 0.
    """
    own = problem
    if windows is None:
        windows = completion_windows(own.p, own.d, own.capacity)
    before, after, share = _stacked(windows, own.n)
    prices = np.zeros((1 + len(windows), horizon)) if start is None else np.maximum(start, 0.0)
    best, direction, state = prices.copy(), np.zeros_like(prices), np.array([-np.inf, 1.0, 0.0])
    steps = 1
    while True:
        began = clock.now()
        _ascend(
            own.p, own.d, own.weight, float(own.capacity), before, after, share,
            target, best, prices, state, direction, steps,
        )  # fmt: skip
        if budget.spent() or state[1] < 1e-3:
            break
        step_s = (clock.now() - began) / steps
        steps = max(1, min(MOST_STEPS, int(SLICE_S / max(step_s, 1e-6))))
    value = float(state[0]) - ROUNDING * abs(float(state[0]))
    return StartPrices(own, windows, best, value)


def start_prices(instance: Instance, budget: Budget) -> Bound | None:
    """Unit-round instances, total completion: L at the best prices found.  None for others.

    Proof.  See the module docstring.
    """
    began = clock.now()
    problem = UnitRounds.of(instance) if instance.objective == "total_completion" else None
    if problem is None:
        return None
    starts = shortest_first(problem)
    horizon = int((starts + problem.d).max())
    if problem.n * horizon > MOST_STARTS:
        return None
    found = ascend(problem, horizon, problem.value(starts), budget.slice(DEFAULT_TIME_LIMIT_S))
    certificate = {"horizon_rounds": horizon, "families": len(found.windows), "rounds": found.proven}
    return Bound("start_prices", found.proven * problem.round_s, clock.now() - began, certificate)
