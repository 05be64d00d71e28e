"""The Minimizing Makespan Bin Packing relaxation (MMBPP), assignment form.

Each request is given to one client (bin); the fullest client decides.  It is P||Cmax: prefill
synchronisation and the KV cache are dropped, so its optimum is a lower bound on the decode rounds.

Sets
    I   requests, 0..n-1
    J   clients of the worker, 0..bins-1

Parameters
    d[i]   decode rounds of request i

Variables
    y[i, j]   1 when request i is given to client j, binary
    T         decode rounds of the fullest client (makespan), T >= max(ceil(sum_i d[i] / |J|), max_i d[i])

Objective
    minimise T

Constraints
    assign[i]   sum_j y[i, j] = 1                for i in I
    fill[j]     sum_i d[i] * y[i, j] <= T        for j in J
    first[i]    y[i, j] = 0 for j > i            the clients are alike: request i uses one of the first i + 1

The lower bound of T states what the LP relaxation knows of the area and of the longest request anyway.
`first` removes copies of an assignment that differ in the numbering of the clients only: number them by
the smallest index of a request that they hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance
from llmsched_mip.timing import IntArray


def build(instance: Instance) -> pyo.ConcreteModel:
    """Model of an instance with one worker: its clients are its slots, or one a request without a slot limit.

    Raises
    ------
    InvalidInputError
        The instance has several workers.
    """
    if len(instance.workers) != 1:
        raise InvalidInputError("workers", f"the MMBPP needs an instance with one worker, got {len(instance.workers)}")
    slots = instance.workers[0].slots
    return build_packing(instance.requests.decode_tokens, instance.n if slots is None else slots)


def build_packing(lengths: IntArray, bins: int) -> pyo.ConcreteModel:
    """Model of lengths d[i] (int array, shape (n,), rounds); bins beyond n are left out."""
    d = np.asarray(lengths, dtype=np.int64)
    n, bins = len(d), min(int(bins), len(d))
    model = pyo.ConcreteModel("mmbpp")
    model.I, model.J = pyo.RangeSet(0, n - 1), pyo.RangeSet(0, bins - 1)
    model.y = pyo.Var(model.I, model.J, domain=pyo.Binary)
    model.T = pyo.Var(bounds=(max(-(-int(d.sum()) // bins), int(d.max())), int(d.sum())))
    y = np.fromiter(model.y.values(), dtype=object, count=n * bins).reshape(n, bins)
    ones = [1.0] * bins
    coefficients = [*d.astype(float).tolist(), -1.0]
    model.assign = pyo.Constraint(model.I, rule=lambda _, i: _sum(ones, y[i]) == 1)
    model.fill = pyo.Constraint(model.J, rule=lambda m, j: _sum(coefficients, [*y[:, j], m.T]) <= 0)
    for i, j in zip(*np.triu_indices(min(n, bins), 1), strict=True):
        y[i, j].fix(0)
    model.objective = pyo.Objective(expr=model.T, sense=pyo.minimize)
    return model


def _sum(coefficients: Any, variables: Any) -> LinearExpression:
    return LinearExpression(constant=0, linear_coefs=list(coefficients), linear_vars=list(variables))


def extract(model: pyo.ConcreteModel, instance: Instance | None = None) -> IntArray:
    """Bin of each request from a solved model: int array, shape (n,)."""
    n, bins = len(model.I), len(model.J)
    y = np.array([variable.value or 0.0 for variable in model.y.values()]).reshape(n, bins)
    return np.asarray(np.argmax(y, axis=1))


def start(model: pyo.ConcreteModel, lengths: IntArray, assignment: IntArray) -> None:
    """Set the variables to an assignment (int array, shape (n,)), bins renumbered as `first` wants them."""
    used, first = np.unique(assignment, return_index=True)
    number = np.empty(int(used.max()) + 1, dtype=np.int64)
    number[used[np.argsort(first)]] = np.arange(len(used))
    bin_of = number[assignment]
    y = np.zeros((len(model.I), len(model.J)))
    y[np.arange(len(bin_of)), bin_of] = 1.0
    for variable, value in zip(model.y.values(), y.ravel().tolist(), strict=True):
        variable.set_value(value, skip_validation=True)
    model.T.set_value(float(np.bincount(bin_of, weights=lengths).max()), skip_validation=True)
