"""What a solver run ended with: a status that says what is proven, values, bound, duals and times."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llmsched_mip.timing import FloatArray

if TYPE_CHECKING:
    import pyomo.environ as pyo
    from pyomo.common.collections import ComponentMap

    from llmsched_mip.budget import Budget


class Status(Enum):
    """How a run ended; solvers' own words are not precise enough (HiGHS calls a gap stop "Optimal")."""

    OPTIMAL = "optimal"
    GAP_LIMIT = "gap limit"
    TIME_LIMIT_INCUMBENT = "time limit with incumbent"
    TIME_LIMIT_NO_INCUMBENT = "time limit without incumbent"
    INTERRUPTED_INCUMBENT = "interrupted with incumbent"
    INTERRUPTED_NO_INCUMBENT = "interrupted without incumbent"
    OTHER_LIMIT_INCUMBENT = "other limit with incumbent"
    OTHER_LIMIT_NO_INCUMBENT = "other limit without incumbent"
    INFEASIBLE = "infeasible"
    UNBOUNDED = "unbounded"
    ERROR = "error"

    @property
    def proven(self) -> bool:
        """Whether the question is settled: optimal, infeasible or unbounded."""
        return self in (Status.OPTIMAL, Status.INFEASIBLE, Status.UNBOUNDED)


class TracePoint(NamedTuple):
    """Incumbent and dual bound at a moment of the search; the incumbent is NaN while there is none."""

    seconds: float
    incumbent: float
    bound: float


class Seconds(NamedTuple):
    """Wall time of a run: standard form of the model, hand-over to the solver, and the solver itself."""

    build: float
    handover: float
    solve: float


@dataclass(frozen=True, eq=False)
class SolveResult:
    """Result of a solver run.

    Parameters
    ----------
    status : Status
    value : float or None
        Objective value of the incumbent, in the sense and with the constant of the model; None: no incumbent.
    bound : float
        Proven dual bound: at most the optimum when minimising, at least when maximising; infinite when there
        is none (an empty feasible set is bounded by +inf when minimising).
    x : float array or None, shape (columns,)
        Values of the incumbent.
    row_duals, reduced_costs : float array or None
        Of a solved LP: change of the objective with the right-hand side of a row, or the bound of a column.
    seconds : Seconds
    nodes : int
        Branch-and-bound nodes.
    trace : list of TracePoint
    message : str
        The solver's own word for the end.
    columns, rows : list
        Pyomo variables and constraints behind `x` and `row_duals`; empty for models given as arrays.
    """

    status: Status
    value: float | None
    bound: float
    x: FloatArray | None
    row_duals: FloatArray | None
    reduced_costs: FloatArray | None
    seconds: Seconds
    nodes: int = 0
    trace: list[TracePoint] = field(default_factory=list)
    message: str = ""
    columns: list[Any] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)

    @classmethod
    def without_solution(cls, status: Status, bound: float, seconds: Seconds, message: str) -> SolveResult:
        """A run that ended without an incumbent."""
        return cls(status, None, bound, None, None, None, seconds, message=message)

    @property
    def gap(self) -> float:
        """|value - bound| / |value|; infinite without an incumbent or a bound, 0 when both are 0."""
        if self.value is None or not math.isfinite(self.bound):
            return math.inf
        distance = abs(self.value - self.bound)
        return 0.0 if distance == 0 else distance / max(abs(self.value), 1e-300)

    @property
    def duals(self) -> ComponentMap:
        """Dual value of each Pyomo constraint of a solved LP; empty otherwise."""
        from pyomo.common.collections import ComponentMap

        return ComponentMap() if self.row_duals is None else ComponentMap(_pairs(self.rows, self.row_duals))

    def load(self) -> None:
        """Write the incumbent into the Pyomo variables, integers rounded."""
        if self.x is not None:
            for variable, value in zip(self.columns, self.x.tolist(), strict=True):
                variable.set_value(value if variable.is_continuous() else round(value), skip_validation=True)


class Solver(Protocol):
    """The way to a solver: `highs.solve` and `cbc.solve_with_cbc`, each with more options than these."""

    def __call__(
        self,
        model: pyo.ConcreteModel,
        *,
        budget: Budget = ...,
        mip_rel_gap: float = ...,
        threads: int | None = ...,
        load: bool = ...,
    ) -> SolveResult:
        """Solve a linear Pyomo model within the budget and, with `load`, write the incumbent into its variables."""


def _pairs(rows: list[Any], duals: FloatArray) -> list[tuple[Any, float]]:
    return list(zip(rows, duals.tolist(), strict=True))
