"""Mean start times of the round-indexed relaxation: estimates for ordering, not a bound.

Sets i = requests, b = 0..B-1 intervals of Δ rounds; x_ib = share of i that starts with the first round of interval b.

    minimise  Σ_i ω_i Σ_b (Δ b + d_i) x_ib
    such that Σ_b x_ib = 1                                            for every i
              Σ_i Σ_b use_i(b' - b) x_ib ≤ Δ M                        for every b'
              Σ_i Σ_b rounds_i(b' - b) x_ib ≤ Δ J                     for every b', where slots J are limited

use_i(k) = Σ of p_i + r over the rounds r = Δ k + 1 .. min(Δ (k + 1), d_i): the KV token-rounds of the interval, and
rounds_i(k) their number.  With Δ = 1 it is the linear relaxation of the unit-round problem.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.solvers import ArrayModel, solve_arrays
from llmsched_mip.spans import within
from llmsched_mip.timing import FloatArray, IntArray, request_kv_volume

MOST_ENTRIES = 300_000
MOST_COLUMNS = 100_000
LEAST_INTERVALS = 16
LARGEST_EXPONENT = 40


def mean_start_rounds(
    prompts: IntArray, lengths: IntArray, weight: FloatArray, capacity: int | None, slots: int
) -> FloatArray:
    """Σ_b Δ b x_ib of an optimal x: shape (n,), rounds.

    Parameters
    ----------
    prompts, lengths : int arrays, shape (n,)
        p and d in tokens, p + d at most `capacity`.
    weight : float array, shape (n,)
    capacity : int or None
    slots : int
        At least n: no limit.

    Raises
    ------
    InvalidInputError
        More requests than a relaxation of 16 intervals can hold within its limits of size.
    """
    n = len(prompts)
    step = _interval(lengths, int(_batches(prompts, lengths, capacity, slots).sum()))
    # A batch may begin only with an interval, so each takes whole ones.
    count = int(np.sum(-(-_batches(prompts, lengths, capacity, slots) // step)))
    owner, begin = _columns(lengths, step, count)
    rows = [sparse.csr_array((np.ones(len(owner)), (owner, np.arange(len(owner)))), shape=(n, len(owner)))]
    lower, upper = [np.ones(n)], [np.ones(n)]
    limits = [(prompts, capacity), (None, slots if slots < n else None)]
    for held, limit in limits:
        if limit is not None:
            room = float(step * limit)
            unit = _unit(room)
            rows.append(_usage(held, lengths, step, count, owner, begin) * unit)
            lower.append(np.full(count, -np.inf))
            upper.append(np.full(count, room * unit))
    columns = len(owner)
    # Doubled weights must not lead the solver to another of several optima.
    cost = np.ldexp(weight, 1 - np.frexp(weight.mean())[1])[owner] * (step * begin + lengths[owner])
    model = ArrayModel(
        cost=cost * _unit(cost.max()),
        matrix=sparse.csc_array(sparse.vstack(rows)),
        row_lower=np.concatenate(lower),
        row_upper=np.concatenate(upper),
        lower=np.zeros(columns),
        upper=np.full(columns, np.inf),
        integer=np.zeros(columns, dtype=bool),
    )
    found = solve_arrays(model, threads=1)
    if found.x is None:
        raise InvalidInputError("policy", f"the relaxation was not solved: {found.message}")
    mean: FloatArray = np.bincount(owner, weights=begin * found.x, minlength=n).astype(np.float64)
    return step * mean


def _unit(largest: float) -> float:
    """A power of two that takes a number down to one that HiGHS accepts; 1 for all but huge ones."""
    return float(np.ldexp(1.0, min(0, LARGEST_EXPONENT - int(np.frexp(largest)[1]))))


def _batches(prompts: IntArray, lengths: IntArray, capacity: int | None, slots: int) -> IntArray:
    """Rounds of each batch of a plan in batches, longest first, one after the other: the relaxation has room for it."""
    peaks = (prompts + lengths).tolist()
    rounds: list[int] = []
    held = count = 0
    for i in np.argsort(-lengths, kind="stable").tolist():
        if not count or count == slots or (capacity is not None and held + peaks[i] > capacity):
            rounds.append(int(lengths[i]))
            held = count = 0
        held, count = held + peaks[i], count + 1
    return np.array(rounds, dtype=np.int64)


def _interval(lengths: IntArray, horizon: int) -> int:
    """Least Δ within the limits of size."""
    n, step = len(lengths), 1
    while True:
        count = -(-horizon // step) + 1
        entries = count * (n + float(np.sum(-(-lengths // step) + 1)))
        if entries <= MOST_ENTRIES and n * count <= MOST_COLUMNS:
            return step
        if count <= LEAST_INTERVALS:
            raise InvalidInputError(
                "policy",
                f"the relaxation of {n} requests is too large ({entries:.1e} entries, {n * count} columns "
                f"with {LEAST_INTERVALS} intervals; at most {MOST_ENTRIES:.0e}, {MOST_COLUMNS}): use sorted-f or svf",
            )
        step = step + max(1, step // 8)


def _columns(lengths: IntArray, step: int, count: int) -> tuple[IntArray, IntArray]:
    """Request and interval of every start that ends by the horizon (the first one always)."""
    starts = np.maximum(1, (count * step - lengths) // step + 1)
    owner = np.repeat(np.arange(len(lengths)), starts)
    return owner, within(starts)


def _usage(
    prompts: IntArray | None, lengths: IntArray, step: int, count: int, owner: IntArray, begin: IntArray
) -> sparse.csr_array:
    """KV token-rounds (without prompts: rounds) in every interval by every column."""
    spans = -(-lengths // step)
    span = spans[owner]
    column = np.repeat(np.arange(len(owner)), span)
    k = within(span)
    d = lengths[owner][column]
    first, last = np.minimum(step * k, d), np.minimum(step * (k + 1), d)
    if prompts is None:
        value = last - first
    else:
        p = prompts[owner][column]
        value = request_kv_volume(p, last) - request_kv_volume(p, first)
    row = begin[column] + k
    inside = row < count
    return sparse.csr_array((value[inside].astype(float), (row[inside], column[inside])), shape=(count, len(owner)))
