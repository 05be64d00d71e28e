"""The time-indexed linear relaxation, solved by HiGHS.

Letters as in `relaxation`; x[i,s] = 1 when i starts after s rounds, s = 0..T, relaxed to x ≥ 0:

    minimise  Σ_i ω_i e_i + Σ_{i,s} ω_i max(a s, r_i) x[i,s]
    start[i]  Σ_s x[i,s] = 1
    count[t]  active[t] = active[t-1] + Σ_i x[i,t-1] - Σ_i x[i,t-1-d_i]
    held[t]   kv[t] = kv[t-1] + active[t] + Σ_i p_i x[i,t-1] - Σ_i (p_i + d_i) x[i,t-1-d_i]
    0 ≤ kv[t] ≤ M for t = 1..T

so that kv[t] is the KV load of round t and the matrix has about 4 n T numbers, whatever the d_i.  Rounds after T have
no limit.

Proof that its optimum is a lower bound.  The starts of a plan, those after T put to T, satisfy the `relaxation` in
rounds 1..T at no larger cost: a start at T holds nothing in them.  The value that is returned does not lean on the
tolerances of HiGHS: its dual prices λ_t of kv[t] ≤ M go into L(λ) of `kv_prices`, a bound for any λ ≥ 0 and, by
duality, the optimum of this model for the best ones.

With unit rounds, no slots, no arrivals and T so large that no start is put to T, it is at least the bound "kv_volume":
the mean time at which the KV tokens of i are held in a solution is Σ_s x[i,s] a (s + d_i) less the h_i of
`relaxations.fluid.completion`, a round holds M tokens at most, so Σ ω_i times these means is at least what the
fast machine of that bound has, as it is for a plan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.time_indexed.kv_prices import value_of_prices
from llmsched_mip.relaxations.time_indexed.relaxation import StartRelaxation
from llmsched_mip.solvers import ArrayModel, solve_arrays
from llmsched_mip.solvers.arrays import in_unit
from llmsched_mip.timing import FloatArray, request_kv_peak

DEFAULT_TIME_LIMIT_S = 30.0
MOST_STARTS = 30_000


@dataclass(frozen=True, eq=False)
class StartLP:
    """Solution of the linear relaxation.

    Parameters
    ----------
    value : float
        Lower bound, weighted seconds.
    starts : float array, shape (n,)
        Mean start Σ_s s x[i,s] of every request, rounds, in the order of the relaxation.
    prices : float array, shape (T,)
    """

    value: float
    starts: FloatArray
    prices: FloatArray


def build(problem: StartRelaxation, horizon: int) -> ArrayModel:
    """The model as arrays; columns x[i,s] by i, then active[1..T], then kv[1..T]."""
    p, d, n, T = problem.p, problem.d, problem.n, horizon
    s = np.arange(T + 1)
    start = np.arange(n * (T + 1)).reshape(n, T + 1)
    active, held = n * (T + 1) + np.arange(T), n * (T + 1) + T + np.arange(T)
    count_row, held_row = n + np.arange(T), n + T + np.arange(T)
    ones = np.ones(T)
    parts = [(np.repeat(np.arange(n), T + 1), start.ravel(), np.ones(n * (T + 1)))]
    begins = np.tile(s[:T], n)
    parts.append((n + begins, start[:, :T].ravel(), -np.ones(n * T)))
    parts.append((n + T + begins, start[:, :T].ravel(), -np.repeat(p, T).astype(float)))
    ends = s[None, :T] + d[:, None]
    kept = ends < T
    peak = np.broadcast_to(request_kv_peak(p, d)[:, None].astype(float), kept.shape)[kept]
    parts.append((n + ends[kept], start[:, :T][kept], np.ones(int(kept.sum()))))
    parts.append((n + T + ends[kept], start[:, :T][kept], peak))
    parts += [(count_row, active, ones), (count_row[1:], active[:-1], -ones[1:])]
    parts += [(held_row, held, ones), (held_row[1:], held[:-1], -ones[1:]), (held_row, active, -ones)]
    rows, columns, values = (np.concatenate([part[k] for part in parts]) for k in range(3))
    size = n * (T + 1) + 2 * T
    waits = np.maximum(problem.round_s * s[None, :], problem.arrival[:, None])
    limit = np.concatenate((np.ones(n), np.zeros(2 * T)))
    upper = np.full(size, np.inf)
    upper[held] = problem.capacity
    return ArrayModel(
        np.concatenate(((problem.weight[:, None] * waits).ravel(), np.zeros(2 * T))),
        sparse.csc_array((values, (rows, columns)), shape=(n + 2 * T, size)),
        limit,
        limit,
        np.zeros(size),
        upper,
        np.zeros(size, dtype=bool),
        problem.alone_s,
    )


def solve_start_lp(
    problem: StartRelaxation,
    horizon: int | None = None,
    budget: Budget | None = None,
    most_starts: int = MOST_STARTS,
) -> StartLP | None:
    """Solve the relaxation; None where it has more than `most_starts` starts or does not end in time."""
    T = horizon or problem.horizon
    if problem.n * (T + 1) > most_starts:
        return None
    model = build(problem, T)
    # The largest cost goes to the solver as about 2^10: its tolerances are absolute.
    unit = math.frexp(float(model.cost.max()))[1] - 10
    result = solve_arrays(in_unit(model, unit), budget=budget or Budget(DEFAULT_TIME_LIMIT_S), threads=1)
    if result.value is None or result.x is None or result.reduced_costs is None or not result.status.proven:
        return None
    starts = result.x[: problem.n * (T + 1)].reshape(problem.n, T + 1) @ np.arange(T + 1.0)
    prices = np.ldexp(np.maximum(0.0, -result.reduced_costs[-T:]), unit)
    return StartLP(value_of_prices(problem, prices), starts, prices)
