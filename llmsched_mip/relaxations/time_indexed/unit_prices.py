"""The dual of the time-indexed relaxation of unit rounds, strengthened by the rows of `completion_windows`.

Sets i = requests, s = start rounds, τ = rounds, f = families of `completion_windows`.  With prices λ_τ ≥ 0 on KV
tokens in round τ and μ_fτ ≥ 0 on covering it,

    L(λ, μ) = Σ_i min_s [ ω_i (s + d_i) + Σ_{k=1..d_i} (p_i + k) λ_{s+k} + Σ_f Σ_{τ covered by i} μ_fτ ]
              - M Σ_τ λ_τ - Σ_f m_f Σ_τ μ_fτ

Proof that L is a lower bound on Σ ω_i C_i.  Take a feasible schedule.  Its KV load of round τ is at most M and at
most m_f requests cover τ (the lemma of `completion_windows`), so the prices it pays are at most what is taken off
in the second line, and the bracket of each request is at least its minimum.  Prices end at a horizon T; a start
at T or later pays none, so the minimum over s = 0..T is the minimum over all s.

The best prices are the dual of the linear relaxation over start times with these rows.  `ascend` finds good ones by a
subgradient method with Polyak's step towards the value of a plan (`subgradient`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.models.windows import Windows, completion_windows
from llmsched_mip.relaxations.subgradient import BEST, REACH, Ascent, Rule, move, settle
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.unit_rounds import UnitRounds

# Brackets that a step holds.
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
        weight, d = self.problem.weight, self.problem.d
        starts = np.arange(self.prices.shape[1] + 1)
        paid = price_paid(self.problem, self.windows, self.prices)
        cost: FloatArray = paid + weight[:, None] * (starts + d[:, None])
        cost -= cost.min(axis=1, keepdims=True)
        return cost


class Columns(NamedTuple):
    """Requests and windows as arrays: `before`, `after` of shape (families, n) and `share` of shape (families,)."""

    p: IntArray
    d: IntArray
    weight: FloatArray
    capacity: float
    before: IntArray
    after: IntArray
    share: FloatArray

    @classmethod
    def of(cls, problem: UnitRounds, windows: list[Windows], weight: FloatArray) -> Columns:
        """The columns of a problem with the given weights."""
        shape = len(windows), problem.n
        before, after = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for f, window in enumerate(windows):
            before[f], after[f] = window.before, window.after
        share = np.array([float(window.share) for window in windows])
        return cls(problem.p, problem.d, weight, float(problem.capacity), before, after, share)


def price_paid(problem: UnitRounds, windows: list[Windows], prices: FloatArray) -> FloatArray:
    """What request i pays when it starts at s: shape (n, T + 1); `prices` as in `StartPrices`."""
    paid = np.empty((problem.n, prices.shape[1] + 1))
    _brackets(Columns.of(problem, windows, np.zeros(problem.n)), prices, paid)
    return paid


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _brackets(columns, prices, cost):  # type: ignore[no-untyped-def]
    """Fill cost[i, s] with the bracket of L; prefix sums make every entry a few differences."""
    p, d, weight, capacity, before, after, _ = columns
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


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _loads(columns, starts, load):  # type: ignore[no-untyped-def]
    """Fill load with use minus supply of every row: the subgradient of L."""
    p, d, _, capacity, before, after, share = columns
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


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _ascend(columns, ascent, rule, steps):  # type: ignore[no-untyped-def]
    """Make `steps` steps."""
    prices = ascent.prices
    (families, T), n = prices.shape, len(columns.p)
    cost, load, starts = np.empty((n, T + 1)), np.empty((families, T)), np.empty(n, np.int64)
    for _ in range(steps):
        _brackets(columns, prices, cost)
        value = 0.0
        for i in range(n):
            starts[i] = np.argmin(cost[i])
            value += cost[i, starts[i]]
        value -= prices[0].sum()
        for f in range(1, families):
            value -= columns.share[f - 1] * prices[f].sum()
        if settle(ascent, rule, value):
            continue
        _loads(columns, starts, load)
        if not move(ascent, rule, value, load, 1.0):
            return


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
    if windows is None:
        windows = completion_windows(problem.p, problem.d, problem.capacity)
    columns = Columns.of(problem, windows, problem.weight)
    ascent = Ascent.begin(np.zeros((1 + len(windows), horizon)) if start is None else np.maximum(start, 0.0), 1.0)
    rule, state, steps = Rule(0.8, 60.0, 0.8, 1e-12, target), ascent.state, 1
    while True:
        began = clock.now()
        _ascend(columns, ascent, rule, steps)
        if budget.spent() or state[REACH] < 1e-3:
            break
        step_s = (clock.now() - began) / steps
        steps = max(1, min(MOST_STEPS, int(SLICE_S / max(step_s, 1e-6))))
    value = float(state[BEST]) - ROUNDING * abs(float(state[BEST]))
    return StartPrices(problem, windows, ascent.best, value)
