"""The time-indexed relaxation of a deadline for unit rounds: prices that can refute it.

Sets i = requests, s = start rounds with s + d_i ≤ K, r = rows: KV by round (limit M) and `completion_windows`
(limit m), each divided by its limit.  The linear relaxation of a deadline

    min z   s.t.   Σ_s x_is = 1,   Σ_is use_ris x_is ≤ z every row r,   x ≥ 0

has prices π_r ≥ 0 with Σ π = 1.  Proof of a refutation: a schedule that meets K satisfies all rows with z = 1, so
Σ_i (prices that i pays) ≤ 1 for any such prices; when Σ_i min_s of what i pays exceeds 1, no schedule meets K.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from llmsched_mip.models.windows import Windows
from llmsched_mip.relaxations.time_indexed.unit_prices import price_paid
from llmsched_mip.solvers import ArrayModel, solve_arrays
from llmsched_mip.spans import within
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.unit_rounds import UnitRounds

ROUNDING = 1e-9


def deadline_prices(problem: UnitRounds, windows: list[Windows], deadline: int) -> FloatArray:
    """What request i pays when it starts at s, infinite where it misses the deadline: shape (n, deadline + 1)."""
    rows, families = deadline * (1 + len(windows)), 1 + len(windows)
    result = solve_arrays(_model(problem, windows, deadline), threads=1)
    duals = np.zeros(rows) if result.row_duals is None else np.maximum(0.0, -result.row_duals[problem.n :])
    prices = (duals / max(float(duals.sum()), 1e-12)).reshape(families, deadline)
    for f, window in enumerate(windows):
        # A row counts 1 / m for a covered round.
        prices[1 + f] /= window.share
    paid = price_paid(problem, windows, prices)
    last = deadline - problem.d
    paid[np.arange(deadline + 1)[None, :] > last[:, None]] = np.inf
    return paid


def _model(problem: UnitRounds, windows: list[Windows], deadline: int) -> ArrayModel:
    """The linear relaxation: columns x_is by i, then z; rows of the requests, then r by family and round."""
    p, d, n = problem.p, problem.d, problem.n
    last, rows = deadline - d, deadline * (1 + len(windows))
    request = np.repeat(np.arange(n), last + 1)
    start = within(last + 1)
    count = len(request)
    row, column, value = [request], [np.arange(count)], [np.ones(count)]
    end = start + d[request]
    spans: list[tuple[IntArray, IntArray, float | None]] = [(start, end, None)]
    for window in windows:
        low = np.maximum(end - window.before[request], 0)
        spans.append((low, np.minimum(end + window.after[request], deadline), float(window.share)))
    for f, (low, high, share) in enumerate(spans):
        length = np.maximum(high - low, 0)
        of_column, offset = np.repeat(np.arange(count), length), within(length)
        row.append(n + f * deadline + low[of_column] + offset)
        column.append(of_column)
        held = (p[request[of_column]] + offset + 1) / problem.capacity
        value.append(held if share is None else np.full(len(of_column), 1.0 / share))
    row.append(n + np.arange(rows))
    column.append(np.full(rows, count))
    value.append(np.full(rows, -1.0))
    matrix = sparse.csc_array(
        (np.concatenate(value), (np.concatenate(row), np.concatenate(column))), shape=(n + rows, count + 1)
    )
    return ArrayModel(
        np.append(np.zeros(count), 1.0),
        matrix,
        np.concatenate((np.ones(n), np.full(rows, -np.inf))),
        np.concatenate((np.ones(n), np.zeros(rows))),
        np.zeros(count + 1),
        np.full(count + 1, np.inf),
        np.zeros(count + 1, dtype=bool),
    )


def refuted(paid: FloatArray) -> bool:
    """Whether what all requests pay at least proves that no schedule meets the deadline."""
    return bool(paid.min(axis=1).sum() > 1 + ROUNDING)
