"""Linear models by blocks of rows: arrays in, a Pyomo model out.

A formulation states every block of variables and of constraints once, as NumPy arrays over its index; from the
blocks comes the Pyomo model, or (for the benchmark of the build alone) the bare matrix.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression
from scipy import sparse

from llmsched_mip.budget import Budget
from llmsched_mip.timing import FloatArray, IntArray

INFINITY = float("inf")
POLLED_ROWS = 2000


class BuildStoppedError(Exception):
    """The budget was spent while a model was built."""


class Terms:
    """Coefficients of a block of rows in coordinate form; `row` counts from 0 within the block."""

    def __init__(self) -> None:
        self.parts: list[tuple[IntArray, IntArray, FloatArray]] = []

    def add(self, row: Any, column: Any, value: Any = 1.0) -> Terms:
        """Add coefficients; the three are broadcast against each other.  Returns itself."""
        row, column, value = np.broadcast_arrays(row, column, np.asarray(value, dtype=np.float64))
        self.parts.append((row.ravel(), column.ravel(), value.ravel()))
        return self

    def add_terms(self, other: Terms, row: IntArray, factor: float = 1.0) -> Terms:
        """Add the terms of `other` times `factor`, row r moved to ``row[r]``, or left out where that is negative."""
        for place, column, value in other.parts:
            to = row[place]
            keep = slice(None) if to.min(initial=0) >= 0 else to >= 0
            self.parts.append((to[keep], column[keep], factor * value[keep]))
        return self

    def scaled(self, factor: FloatArray) -> Terms:
        """The terms with row r multiplied by ``factor[r]``."""
        scaled = Terms()
        for row, column, value in self.parts:
            scaled.add(row, column, value * factor[row])
        return scaled

    def matrix(self, rows: int, columns: int) -> Any:
        """The rows as a sparse CSR array, equal places summed."""
        if not self.parts:
            return sparse.csr_array((rows, columns))
        row, column, value = (np.concatenate(part) for part in zip(*self.parts, strict=True))
        return sparse.csr_array((value, (row, column)), shape=(rows, columns))


def places(chosen: IntArray, size: int) -> IntArray:
    """Number of every one of `size` things among the chosen ones, -1 for the others: shape (size,)."""
    place = np.full(size, -1, dtype=np.int64)
    place[chosen] = np.arange(len(chosen))
    return place


@dataclass(frozen=True, eq=False)
class VariableBlock:
    """Variables `name[label]` that stand in columns first..first + len(labels) - 1."""

    name: str
    labels: list[Any]
    first: int
    lower: FloatArray
    upper: FloatArray
    integer: bool


@dataclass(frozen=True, eq=False)
class RowBlock:
    """Constraints `name[label]`: lower ≤ terms ≤ upper."""

    name: str
    labels: list[Any]
    terms: Terms
    lower: FloatArray
    upper: FloatArray

    @classmethod
    def of(
        cls, name: str, labels: Sequence[Any], terms: Terms, lower: Any = -INFINITY, upper: Any = INFINITY
    ) -> RowBlock:
        """A block of rows; the limits are broadcast."""
        return cls(name, list(labels), terms, _each(lower, len(labels)), _each(upper, len(labels)))


def _each(limit: Any, size: int) -> FloatArray:
    return np.broadcast_to(np.asarray(limit, dtype=np.float64), (size,))


@dataclass(eq=False)
class LinearBlocks:
    """A minimisation given by blocks of variables and rows."""

    variables: list[VariableBlock] = field(default_factory=list)
    rows: list[RowBlock] = field(default_factory=list)
    objective: Terms = field(default_factory=Terms)
    offset: float = 0.0
    columns: int = 0

    def add_variables(
        self, name: str, labels: Sequence[Any], lower: Any = 0.0, upper: Any = INFINITY, integer: bool = False
    ) -> IntArray:
        """Add a block of variables; returns their columns, shape (len(labels),)."""
        first, size = self.columns, len(labels)
        self.variables.append(VariableBlock(name, list(labels), first, _each(lower, size), _each(upper, size), integer))
        self.columns += size
        return np.arange(first, self.columns, dtype=np.int64)

    def add(self, *blocks: RowBlock | None) -> None:
        """Add blocks of rows, those that are there and not empty."""
        self.rows += [block for block in blocks if block is not None and block.labels]

    def cut(self, bound: float | None) -> RowBlock | None:
        """`objective_cut`: the objective is at least a proven `bound`; None where there is no bound."""
        if bound is None:
            return None
        slack = 1e-9 * max(1.0, abs(bound))
        return RowBlock.of("objective_cut", ["bound"], self.objective, lower=bound - self.offset - slack)

    def set_integers(self, model: pyo.ConcreteModel, values: FloatArray | None) -> bool:
        """Set the integer variables of the Pyomo model of these blocks, for a start; values by column.

        False, and nothing set, without values.
        """
        if values is None:
            return False
        for block in self.variables:
            if block.integer:
                given = values[block.first : block.first + len(block.labels)].tolist()
                for variable, value in zip(getattr(model, block.name).values(), given, strict=True):
                    variable.set_value(round(value), skip_validation=True)
        return True

    def matrix_form(self) -> dict[str, Any]:
        """Arrays of the whole model by the names of `llmsched_mip.solvers.ArrayModel`."""
        parts = [block.terms.matrix(len(block.labels), self.columns) for block in self.rows]
        return {
            "cost": self.objective.matrix(1, self.columns).toarray()[0],
            "matrix": sparse.csc_array(sparse.vstack(parts)) if parts else sparse.csc_array((0, self.columns)),
            "row_lower": np.concatenate([block.lower for block in self.rows]) if self.rows else np.zeros(0),
            "row_upper": np.concatenate([block.upper for block in self.rows]) if self.rows else np.zeros(0),
            "lower": np.concatenate([block.lower for block in self.variables]),
            "upper": np.concatenate([block.upper for block in self.variables]),
            "integer": np.concatenate([np.full(len(block.labels), block.integer) for block in self.variables]),
            "offset": self.offset,
        }

    def pyomo(self, name: str, budget: Budget | None = None) -> pyo.ConcreteModel:
        """The Pyomo model: a Var and a Constraint for each block, under the block's name.

        Raises
        ------
        BuildStoppedError
            The budget is spent.
        """
        with _no_collection():
            model = pyo.ConcreteModel(name)
            columns = np.empty(self.columns, dtype=object)
            for variables in self.variables:
                _poll(budget)
                last = variables.first + len(variables.labels)
                columns[variables.first : last] = _pyomo_variables(model, variables)
            for rows in self.rows:
                _pyomo_rows(model, rows, columns, budget)
            cost = self.objective.matrix(1, self.columns)
            model.objective = pyo.Objective(
                expr=LinearExpression(
                    constant=self.offset,
                    linear_coefs=cost.data.tolist(),
                    linear_vars=columns[cost.indices].tolist(),
                ),
                sense=pyo.minimize,
            )
        return model


def _poll(budget: Budget | None) -> None:
    if budget is not None and budget.spent():
        raise BuildStoppedError


def _index(labels: list[Any]) -> pyo.Set:
    return pyo.Set(initialize=labels, dimen=len(labels[0]) if labels and isinstance(labels[0], tuple) else 1)


def _pyomo_variables(model: pyo.ConcreteModel, block: VariableBlock) -> list[Any]:
    setattr(model, f"{block.name}_index", _index(block.labels))
    domain: Any = pyo.Reals
    if block.integer:
        domain = pyo.Binary if np.all(block.upper == 1) and np.all(block.lower == 0) else pyo.Integers
    variable = pyo.Var(getattr(model, f"{block.name}_index"), domain=domain)
    setattr(model, block.name, variable)
    columns = list(variable.values())
    for data, lower, upper in zip(columns, block.lower.tolist(), block.upper.tolist(), strict=True):
        if domain is not pyo.Binary:
            data.setlb(lower if lower > -INFINITY else None)
            data.setub(upper if upper < INFINITY else None)
    return columns


def _pyomo_rows(model: pyo.ConcreteModel, block: RowBlock, columns: Any, budget: Budget | None) -> None:
    matrix = block.terms.matrix(len(block.labels), len(columns))
    variables, values = columns[matrix.indices].tolist(), matrix.data.tolist()
    ends = matrix.indptr.tolist()
    limits = zip(block.lower.tolist(), block.upper.tolist(), strict=True)
    rules: dict[Any, Any] = {}
    for r, (label, (lower, upper)) in enumerate(zip(block.labels, limits, strict=True)):
        if r % POLLED_ROWS == 0:
            _poll(budget)
        span = slice(ends[r], ends[r + 1])
        body = LinearExpression(constant=0, linear_coefs=values[span], linear_vars=variables[span])
        if lower == upper:
            rules[label] = (body, lower)
        else:
            rules[label] = (
                lower if lower > -INFINITY else None,
                body,
                upper if upper < INFINITY else None,
            )
    setattr(model, f"{block.name}_index", _index(block.labels))
    rule = (lambda _, *label: rules[label]) if isinstance(block.labels[0], tuple) else (lambda _, label: rules[label])
    setattr(model, block.name, pyo.Constraint(getattr(model, f"{block.name}_index"), rule=rule))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without garbage collection: nothing of a growing model is garbage, and each collection walks all of it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
