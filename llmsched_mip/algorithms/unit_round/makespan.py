"""Makespan of unit-round instances: deadlines K are refuted one by one until one can be met.

Sets i = requests, s = start rounds with s + d_i ≤ K, r = rows: KV by round (limit M) and `completion_windows`
(limit m), each divided by its limit.  The linear relaxation of a deadline

    min z   s.t.   Σ_s x_is = 1,   Σ_is use_ris x_is ≤ z every row r,   x ≥ 0

has prices π_r ≥ 0 with Σ π = 1.  Proof of a refutation: a schedule that meets K satisfies all rows with z = 1, so
Σ_i (prices that i pays) ≤ 1 for any such prices; when Σ_i min_s of what i pays exceeds 1, no schedule meets K.
Else the depth-first search of `branch` looks for a schedule, with the same prices as its bound: those started pay
what they pay, the others at least their least.  Of all schedules that meet K one with the least Σ s_i is neither
`wasteful` nor pruned by dominance (which compares Σ s_i), so none found is a refutation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy import sparse

from llmsched_mip.algorithms.unit_round import branch
from llmsched_mip.algorithms.unit_round.exact import Memo, Proof
from llmsched_mip.algorithms.unit_round.problem import UnitRounds
from llmsched_mip.bounds.start_prices import price_paid
from llmsched_mip.budget import Budget
from llmsched_mip.models.windows import Windows, completion_windows
from llmsched_mip.solvers import ArrayModel, solve_arrays
from llmsched_mip.spans import within
from llmsched_mip.timing import FloatArray, IntArray

SLICE = 20_000
ROUNDING = 1e-9
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
        if _refuted(deadline_prices(own, windows, middle)):
            low = middle + 1
        else:
            high = middle
    proof.bound = float(low)
    yield proof
    while proof.bound < proof.value and not budget.spent():
        deadline = int(proof.bound)
        paid = deadline_prices(own, windows, deadline)
        if not _refuted(paid):
            found, done = _meet(own, paid, deadline, proof, budget)
            if found is not None:
                proof.starts, proof.value = found, float(deadline)
                yield proof
                return
            if not done:
                return
        proof.bound = float(deadline + 1)
        yield proof


def deadline_prices(problem: UnitRounds, windows: list[Windows], deadline: int) -> FloatArray:
    """What request i pays when it starts at s, infinite where it misses the deadline: shape (n, deadline + 1)."""
    own = problem
    last = deadline - own.d
    rows, families = deadline * (1 + len(windows)), 1 + len(windows)
    request = np.repeat(np.arange(own.n), last + 1)
    start = within(last + 1)
    count = len(request)
    row, column, value = [request], [np.arange(count)], [np.ones(count)]
    age = own.d[request]
    spans: list[tuple[IntArray, IntArray, float | None]] = [(start, start + age, None)]
    for window in windows:
        end = start + age
        low = np.maximum(end - window.before[request], 0)
        spans.append((low, np.minimum(end + window.after[request], deadline), float(window.share)))
    for f, (low, high, share) in enumerate(spans):
        length = np.maximum(high - low, 0)
        own_column = np.repeat(np.arange(count), length)
        offset = within(length)
        row.append(own.n + f * deadline + low[own_column] + offset)
        column.append(own_column)
        held = (own.p[request[own_column]] + offset + 1) / own.capacity
        value.append(held if share is None else np.full(len(own_column), 1.0 / share))
    row.append(own.n + np.arange(rows))
    column.append(np.full(rows, count))
    value.append(np.full(rows, -1.0))
    matrix = sparse.csc_array(
        (np.concatenate(value), (np.concatenate(row), np.concatenate(column))), shape=(own.n + rows, count + 1)
    )
    ones = np.ones(own.n)
    cost = np.zeros(count + 1)
    cost[-1] = 1.0
    model = ArrayModel(
        cost,
        matrix,
        np.concatenate((ones, np.full(rows, -np.inf))),
        np.concatenate((ones, np.zeros(rows))),
        np.zeros(count + 1),
        np.full(count + 1, np.inf),
        np.zeros(count + 1, dtype=bool),
    )
    result = solve_arrays(model, threads=1)
    duals = np.zeros(rows) if result.row_duals is None else np.maximum(0.0, -result.row_duals[own.n :])
    prices = (duals / max(float(duals.sum()), 1e-12)).reshape(families, deadline)
    for f, window in enumerate(windows):
        # A row counts 1 / m for a covered round.
        prices[1 + f] /= window.share
    paid = price_paid(own, windows, prices)
    paid[np.arange(deadline + 1)[None, :] > last[:, None]] = np.inf
    return paid


def _refuted(paid: FloatArray) -> bool:
    return bool(paid.min(axis=1).sum() > 1 + ROUNDING)


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
