"""Makespan of unit-round instances: deadlines K are refuted one by one until one can be met.

`relaxations.time_indexed.deadline` refutes a deadline by prices: no schedule meets K.
Else the depth-first search of `branch` looks for a schedule, with the same prices as its bound: those started pay
what they pay, the others at least their least.  Of all schedules that meet K one with the least Σ s_i is neither
`wasteful` nor pruned by dominance (which compares Σ s_i), so none found is a refutation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from llmsched_mip.algorithms.unit_round import branch
from llmsched_mip.algorithms.unit_round.exact import Memo, Proof
from llmsched_mip.budget import Budget
from llmsched_mip.models.windows import completion_windows
from llmsched_mip.relaxations.time_indexed.deadline import ROUNDING, deadline_prices, refuted
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.unit_rounds import UnitRounds

SLICE = 20_000
PRICE_ROUNDING = 1e-6


def prove_makespan(problem: UnitRounds, starts: IntArray, least: int, budget: Budget) -> Iterator[Proof]:
    """Raise the bound from `least` rounds until a schedule meets it; yields at every new bound.

    The prices alone are tried by bisection first, then deadlines one by one.

    Parameters
    ----------
    problem : UnitRounds
        At most `exact.MOST_REQUESTS` requests.
    starts : int array, shape (n,)
        A feasible schedule.
    least : int
        A proven bound on the rounds.
    budget : Budget
    """
    own = problem
    windows = completion_windows(own.p, own.d, own.capacity)
    proof = Proof(starts.copy(), float((starts + own.d).max()), float(max(least, own.d.max())))
    low, high = int(proof.bound), int(proof.value)
    while low < high and not budget.spent():
        middle = (low + high) // 2
        if refuted(deadline_prices(own, windows, middle)):
            low = middle + 1
        else:
            high = middle
    proof.bound = float(low)
    yield proof
    while proof.bound < proof.value and not budget.spent():
        deadline = int(proof.bound)
        paid = deadline_prices(own, windows, deadline)
        if not refuted(paid):
            found, done = _meet(own, paid, deadline, proof, budget)
            if found is not None:
                proof.starts, proof.value = found, float(deadline)
                yield proof
                return
            if not done:
                return
        proof.bound = float(deadline + 1)
        yield proof


def _meet(
    problem: UnitRounds, paid: FloatArray, deadline: int, proof: Proof, budget: Budget
) -> tuple[IntArray | None, bool]:
    """A schedule that meets the deadline, or None and whether the search was complete."""
    own = problem
    order = np.lexsort((own.p, -own.d))
    p, d, n = own.p[order], own.d[order], own.n
    least_paid = paid.min(axis=1, keepdims=True)
    excess = (paid - least_paid)[order]
    least = np.minimum.accumulate(excess[:, ::-1], axis=1)[:, ::-1].copy()
    same = (np.diff(p) == 0) & (np.diff(d) == 0)
    twin = np.concatenate(([-1], np.where(same, np.arange(len(same)), -1)))
    depth = n + deadline + 3
    level, low, first = np.zeros((depth, 6)), np.zeros(depth), np.zeros((depth, n), dtype=np.int64)
    load = np.zeros(deadline + 2 * int(d.max()) + 2, dtype=np.int64)
    starts, counters = np.full(n, -1, dtype=np.int64), np.zeros(4, dtype=np.int64)
    best, best_starts = np.array([math.inf]), np.zeros(n, dtype=np.int64)
    base = float(least_paid.sum()) - 1.0 - ROUNDING
    level[0, 3], level[0, 5], level[0, 4], low[0] = -1, -1, base, base
    memo, done = Memo(int(d.max()), own.capacity), False
    while not done and not budget.spent() and not math.isfinite(best[0]):
        done = branch.run(
            p, d, np.ones(n), own.capacity, twin, excess, least, 0.0, 1.0, PRICE_ROUNDING,
            level, low, first, load, starts, counters, best, best_starts, SLICE,
            memo.head, memo.next, memo.key, memo.cost, memo.load,
        )  # fmt: skip
    proof.nodes += int(counters[branch.NODES])
    if not math.isfinite(best[0]):
        return None, done
    found = np.empty(n, dtype=np.int64)
    found[order] = best_starts
    return found, True
