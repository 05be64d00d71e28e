"""Prices on the clocks by linear programs: the relaxation at the cuts of the clocks, in columns chosen by prices.

Prices that are linear between cuts have the dual of this program (`prices`): at every cut there are n rounds and ρ of
each request, in the middle of its rounds or at their ends, with

    Σ ρ m + a n ≤ what the clock has around the cut,  Σ ρ (p + k) ≤ M n,  Σ ρ ≤ J n,  Σ ρ ≤ n for each request,
    Q ≥ 2 h Σ g ρ - h² n for some h,  W ≥ 2 z V y - n z V z for multiples z of one vector  (tangents of squares over n).

Its duals are prices, whatever columns and tangents it has; `prices` says which bound they give.  Round by round it gets
the columns that its duals find too cheap (Kelley, SIAM J. 8 (1960); Dantzig and Wolfe, Operations Research 8 (1960)).
Where requests are few it has in seconds what `ascent` does not reach in minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.work_clock.at_cuts import AtCuts, Block, Clock, Rows
from llmsched_mip.relaxations.work_clock.prices import ClockPrices, value_of_prices
from llmsched_mip.relaxations.work_clock.relaxation import ClockRelaxation
from llmsched_mip.solvers.arrays import ArrayModel
from llmsched_mip.solvers.highs import solve_arrays
from llmsched_mip.timing import FloatArray

LEVELS, MOST_PAIRS = 64, 100_000
STAGES = ((LEVELS, 1, 1.0), (LEVELS, 2, 0.02), (2 * LEVELS, 2, 0.02))
"""Levels, looks at each request, and how far from its least price it has columns at first: in parts of the clock."""
MOST_AT_FIRST, MOST_COLUMNS = 40_000, 400_000
LEAST_GAIN, MUCH = 2e-5, 1e-2
"""Of what is paid for a request: what makes a column worth it, and all columns of the request."""
LEAST_TIME = 1.2
"""So many times as long as a program takes has to be left for another."""
PAIR_S = 4e-4
"""About what the first programs take for a pair of request and level."""
OPTIONS = {"solver": "ipm", "run_crossover": "off", "ipm_optimality_tolerance": 1e-6}


def applies(problem: ClockRelaxation, seconds: float) -> bool:
    """Whether requests are few enough for programs, and for so many seconds."""
    pairs = LEVELS * sum(len(kind.requests) for kind in problem.kinds)
    return pairs <= MOST_PAIRS and pairs * PAIR_S <= seconds


def sharpen(
    problem: ClockRelaxation,
    prices: Sequence[ClockPrices],
    budget: Budget,
    report: Callable[[list[ClockPrices]], None],
) -> list[ClockPrices]:
    """The best prices by linear programs, from `prices` on, with more and more cuts; `report` takes better ones."""
    best, most = list(prices), value_of_prices(problem, prices)
    for levels, looks, near in STAGES:
        clocks = [Clock(kind, of_kind, levels, looks) for kind, of_kind in zip(problem.kinds, best, strict=True)]
        while choose_near(problem, clocks, near) > MOST_AT_FIRST:
            near /= 2
        size = 0
        while size < (size := sum(clock.size for clock in clocks)) <= MOST_COLUMNS:
            began_s = budget.elapsed
            found = solve(problem, clocks, budget)
            if found is None:
                return best
            made = [at.prices(clock.cuts, clock.group) for at, clock in zip(found, clocks, strict=True)]
            value = value_of_prices(problem, made)
            if value > most:
                best, most = made, value
                report(best)
            if budget.spent() or budget.remaining < LEAST_TIME * (budget.elapsed - began_s):
                return best
    return best


def choose_near(problem: ClockRelaxation, clocks: Sequence[Clock], near: float) -> int:
    """Choose the columns that are near the least price of a request on all clocks; how many they are."""
    needs = [clock.needs() for clock in clocks]
    least = np.full(problem.n, np.inf)
    for kind, need in zip(problem.kinds, needs, strict=True):
        least[kind.requests] = np.minimum(least[kind.requests], need.min(axis=1))
    for kind, clock, need in zip(problem.kinds, clocks, needs, strict=True):
        above = need - least[kind.requests][:, None]
        clock.chosen = above <= near * float(clock.cuts[-1]) * kind.weight[:, None]
    return sum(clock.size for clock in clocks)


def solve(problem: ClockRelaxation, clocks: Sequence[Clock], budget: Budget) -> list[AtCuts] | None:
    """Prices of each clock by the program in the columns that are chosen, which are more after it; None: not solved."""
    model, blocks = program(problem, clocks)
    result = solve_arrays(model, threads=1, budget=budget, options=OPTIONS)
    if result.row_duals is None:
        return None
    found = [block.prices(result.row_duals) for block in blocks]
    for clock, block, at in zip(clocks, blocks, found, strict=True):
        _choose_cheap(clock, at, result.row_duals[block.cover].reshape(len(clock.held), -1))
    return found


def program(problem: ClockRelaxation, clocks: Sequence[Clock]) -> tuple[ArrayModel, list[Block]]:
    """The program of all clocks: first the columns that place each request on a kind, then those of each clock."""
    kinds, rows = problem.kinds, Rows()
    starts = [0, *accumulate(len(kind.requests) for kind in kinds)]
    rows.add(1.0, 1.0, problem.n, (np.concatenate([kind.requests for kind in kinds]), np.arange(starts[-1]), 1.0))
    blocks, end = [], starts[-1]
    for k, clock in enumerate(clocks):
        blocks.append(Block(clock, rows, end, np.arange(starts[k], starts[k + 1])))
        end = blocks[-1].end
    cost = np.concatenate([*(kind.constant_s for kind in kinds), *(block.costs for block in blocks)])
    limits = np.concatenate(rows.low), np.concatenate(rows.high), np.zeros(end), np.full(end, np.inf)
    return ArrayModel(cost, rows.matrix(end), *limits, np.zeros(end, dtype=bool)), blocks


def _choose_cheap(clock: Clock, at: AtCuts, paid: FloatArray) -> None:
    """More columns: those cheaper than what is `paid`, shape (looks, m); all of requests with much cheaper ones."""
    cost, per_kv = clock.cost(at)
    worth = np.zeros_like(cost)
    for held, times, each in zip(clock.held, clock.times, paid, strict=True):
        worth += times[:, None] * np.maximum(0.0, each[:, None] - cost - held[:, None] * per_kv)
    worth[clock.chosen] = 0.0
    total = np.abs(paid * clock.times).sum(axis=0)
    clock.chosen |= (worth > LEAST_GAIN * total[:, None]) | (worth.max(axis=1) > MUCH * total)[:, None]
