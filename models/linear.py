"""Linear models by blocks of rows: arrays in, a Pyomo model out.

A formulation states every block of variables and of constraints once, as NumPy arrays over its index; from the
blocks comes the Pyomo model, or (for the benchmark of the build alone) the bare matrix.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression
from scipy import sparse

from llmsched_mip.timing import FloatArray, IntArray

INFINITY = float("inf")
POLLED_ROWS = 2000


class BuildStoppedError(Exception):
    """The caller asked to stop while a model was built."""


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
        """Add the terms of `other`, its row r moved to ``row[r]`` and multiplied by `factor`."""
        for own, column, value in other.parts:
            self.parts.append((row[own], column, factor * value))
        return self

    def matrix(self, rows: int, columns: int) -> Any:
        """The rows as a sparse CSR array, equal places summed."""
        if not self.parts:
            return sparse.csr_array((rows, columns))
        row, column, value = (np.concatenate(own) for own in zip(*self.parts, strict=True))
        return sparse.csr_array((value, (row, column)), shape=(rows, columns))


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
        size = len(labels)
        bounds = [np.broadcast_to(np.asarray(own, dtype=np.float64), (size,)) for own in (lower, upper)]
        self.variables.append(VariableBlock(name, list(labels), self.columns, bounds[0], bounds[1], integer))
        self.columns += size
        return np.arange(self.columns - size, self.columns, dtype=np.int64)

    def add_rows(
        self, name: str, labels: Sequence[Any], terms: Terms, lower: Any = -INFINITY, upper: Any = INFINITY
    ) -> None:
        """Add a block of rows; nothing when it is empty."""
        if len(labels):
            bounds = [np.broadcast_to(np.asarray(own, dtype=np.float64), (len(labels),)) for own in (lower, upper)]
            self.rows.append(RowBlock(name, list(labels), terms, bounds[0], bounds[1]))

    def minimise(self, columns: Any, costs: Any) -> None:
        """Add to the objective."""
        self.objective.add(0, columns, costs)

    def set_integers(self, model: pyo.ConcreteModel, values: FloatArray) -> None:
        """Set the integer variables of the Pyomo model of these blocks, for a start; values by column."""
        for own in self.variables:
            if own.integer:
                given = values[own.first : own.first + len(own.labels)].tolist()
                for variable, value in zip(getattr(model, own.name).values(), given, strict=True):
                    variable.set_value(round(value), skip_validation=True)

    def matrix_form(self) -> dict[str, Any]:
        """Arrays of the whole model by the names of `llmsched_mip.solvers.ArrayModel`."""
        parts = [own.terms.matrix(len(own.labels), self.columns) for own in self.rows]
        return {
            "cost": self.objective.matrix(1, self.columns).toarray()[0],
            "matrix": sparse.csc_array(sparse.vstack(parts)) if parts else sparse.csc_array((0, self.columns)),
            "row_lower": np.concatenate([own.lower for own in self.rows]) if self.rows else np.zeros(0),
            "row_upper": np.concatenate([own.upper for own in self.rows]) if self.rows else np.zeros(0),
            "lower": np.concatenate([own.lower for own in self.variables]),
            "upper": np.concatenate([own.upper for own in self.variables]),
            "integer": np.concatenate([np.full(len(own.labels), own.integer) for own in self.variables]),
            "offset": self.offset,
        }

    def pyomo(self, name: str, stop: Callable[[], bool] | None = None) -> pyo.ConcreteModel:
        """The Pyomo model: a Var and a Constraint for each block, under the block's name.

        Raises
        ------
        BuildStoppedError
            `stop` turned true.
        """
        with _no_collection():
            model = pyo.ConcreteModel(name)
            columns = np.empty(self.columns, dtype=object)
            for own in self.variables:
                _poll(stop)
                columns[own.first : own.first + len(own.labels)] = _pyomo_variables(model, own)
            for block in self.rows:
                _pyomo_rows(model, block, columns, stop)
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


def _poll(stop: Callable[[], bool] | None) -> None:
    if stop is not None and stop():
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
    own = list(variable.values())
    for data, lower, upper in zip(own, block.lower.tolist(), block.upper.tolist(), strict=True):
        if domain is not pyo.Binary:
            data.setlb(lower if lower > -INFINITY else None)
            data.setub(upper if upper < INFINITY else None)
    return own


def _pyomo_rows(model: pyo.ConcreteModel, block: RowBlock, columns: Any, stop: Callable[[], bool] | None) -> None:
    matrix = block.terms.matrix(len(block.labels), len(columns))
    variables, values = columns[matrix.indices].tolist(), matrix.data.tolist()
    ends = matrix.indptr.tolist()
    limits = zip(block.lower.tolist(), block.upper.tolist(), strict=True)
    rules: dict[Any, Any] = {}
    for r, (label, (lower, upper)) in enumerate(zip(block.labels, limits, strict=True)):
        if r % POLLED_ROWS == 0:
            _poll(stop)
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
