"""A linear model as arrays, and the way there from Pyomo."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.timing import FloatArray

if TYPE_CHECKING:
    import pyomo.environ as pyo

LEAST_COST, MOST_COST = 2.0**-10, 2.0**40
# An objective below this is as small as the errors that the solver's absolute tolerances allow.
LEAST_VALUE = 1e-3


@dataclass(frozen=True, eq=False)
class ArrayModel:
    """``min or max  cost x + offset,  row_lower <= matrix x <= row_upper,  lower <= x <= upper``.

    Parameters
    ----------
    cost, lower, upper : float arrays, shape (columns,)
        Bounds may be infinite.
    matrix : scipy.sparse array, shape (rows, columns)
    row_lower, row_upper : float arrays, shape (rows,)
        Equal for an equation; either may be infinite.
    integer : bool array, shape (columns,)
    offset : float
    maximise : bool
    """

    cost: FloatArray
    matrix: Any
    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: np.ndarray
    offset: float = 0.0
    maximise: bool = False

    def __post_init__(self) -> None:
        rows, columns = self.matrix.shape
        sizes = {"cost": columns, "lower": columns, "upper": columns, "integer": columns}
        for name, size in {**sizes, "row_lower": rows, "row_upper": rows}.items():
            if np.shape(getattr(self, name)) != (size,):
                raise InvalidInputError(name, f"expected {size} values, got {np.shape(getattr(self, name))}")
        for name in ("cost", "lower", "upper", "row_lower", "row_upper"):
            if np.isnan(getattr(self, name)).any():
                raise InvalidInputError(name, "expected numbers, got NaN")
        if not (np.isfinite(self.matrix.data).all() and np.isfinite(self.cost).all()):
            raise InvalidInputError("matrix", "expected finite coefficients")


@dataclass(frozen=True, eq=False)
class PyomoForm:
    """A Pyomo model as arrays; `columns` and `rows` are its variables and constraints in that order."""

    model: ArrayModel
    columns: list[Any]
    rows: list[Any]


def standard_form(model: pyo.ConcreteModel) -> PyomoForm | None:
    """Arrays of a linear Pyomo model; None when a constraint without variables cannot hold.

    Parameters
    ----------
    model : pyomo.environ.ConcreteModel
        At most one active objective; without one any feasible solution is optimal.

    Raises
    ------
    InvalidInputError
        The model is not linear, or has more than one objective.
    """
    import pyomo.environ as pyo
    from pyomo.common.errors import InfeasibleConstraintException, PyomoException
    from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

    try:
        form = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
    except InfeasibleConstraintException:
        return None
    except (PyomoException, ValueError) as error:
        raise InvalidInputError("model", f"cannot be written as a linear model: {error}") from error
    if len(form.objectives) > 1:
        raise InvalidInputError("model", f"expected one objective, got {len(form.objectives)}")
    matrix, row_lower, row_upper, rows = _rows(form)
    columns = form.columns
    bounds = [variable.bounds for variable in columns]
    has_objective = bool(form.objectives)
    return PyomoForm(
        ArrayModel(
            form.c.toarray()[0] if has_objective else np.zeros(len(columns)),
            matrix,
            row_lower,
            row_upper,
            np.array([-math.inf if low is None else low for low, _ in bounds], dtype=float),
            np.array([math.inf if high is None else high for _, high in bounds], dtype=float),
            np.array([not variable.is_continuous() for variable in columns], dtype=bool),
            float(form.c_offset[0]) if has_objective else 0.0,
            has_objective and form.objectives[0].sense == pyo.maximize,
        ),
        columns,
        rows,
    )


def _rows(form: Any) -> tuple[Any, FloatArray, FloatArray, list[Any]]:
    """Row bounds; the two rows that Pyomo writes for a range (upper, then lower) become one."""
    kind = np.array([row.bound_type for row in form.rows], dtype=np.int64)
    rhs = np.asarray(form.rhs, dtype=np.float64)
    lower = np.where(kind <= 0, rhs, -math.inf)
    upper = np.where(kind >= 0, rhs, math.inf)
    constraints = [row.constraint for row in form.rows]
    same = np.array([a is b for a, b in pairwise(constraints)], dtype=bool)
    ranges = np.flatnonzero(same)
    lower[ranges] = rhs[ranges + 1]
    keep = np.ones(len(kind), dtype=bool)
    keep[ranges + 1] = False
    matrix = form.A if keep.all() else sparse.csc_array(sparse.csr_array(form.A)[keep])
    return matrix, lower[keep], upper[keep], [constraints[k] for k in np.flatnonzero(keep)]


def cost_exponent(model: ArrayModel) -> int:
    """k, where the costs go to the solver divided by ``2**k``: its tolerances are absolute.

    0 where the largest cost is of an order that suits them.
    """
    largest = float(np.abs(model.cost).max(initial=0.0))
    return 0 if largest == 0 or LEAST_COST <= largest <= MOST_COST else math.frexp(largest)[1] - 1


def in_unit(model: ArrayModel, exponent: int) -> ArrayModel:
    """The model with its objective divided by ``2**exponent``, which is exact."""
    if exponent == 0:
        return model
    return replace(model, cost=np.ldexp(model.cost, -exponent), offset=math.ldexp(model.offset, -exponent))


def tells_apart(model: ArrayModel, value: float) -> bool:
    """Whether an objective of this size is beyond what a solver's absolute tolerances can make of any value.

    A small one is believed where the rows of the model have no small coefficients: it is then no matter of units.
    """
    if not model.integer.any() or abs(value) >= LEAST_VALUE:
        return True
    coefficients = np.abs(model.matrix.data)
    return bool((coefficients[coefficients > 0] >= LEAST_VALUE).all())
