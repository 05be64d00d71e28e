"""CBC through PuLP: a second opinion that shares nothing with HiGHS but the model."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pulp
from scipy import sparse

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.errors import SchedulingError
from llmsched_mip.solvers.arrays import ArrayModel, PyomoForm, cost_exponent, in_unit, standard_form, tells_apart
from llmsched_mip.solvers.result import Seconds, SolveResult, Status

if TYPE_CHECKING:
    import pyomo.environ as pyo

# Rows, reduced costs and integers to 1e-9; a node may be dropped only where it is not better by 1e-9 (CBC's own: 1e-5).
EXACT = ("primalTolerance 1e-9", "dualTolerance 1e-9", "integerTolerance 1e-9", "increment 1e-9")


def require_cbc() -> None:
    """Raise `SchedulingError` unless PuLP's CBC can be run."""
    if not pulp.PULP_CBC_CMD(msg=False).available():
        raise SchedulingError("CBC is not available: PuLP's bundled solver does not run on this machine")


def solve_with_cbc(
    model: pyo.ConcreteModel | ArrayModel,
    *,
    budget: Budget | None = None,
    mip_rel_gap: float = 0.0,
    threads: int | None = None,
    log: bool = False,
    load: bool = True,
) -> SolveResult:
    """Solve a linear model with CBC through PuLP.

    PuLP hands back no dual bound: `bound` is the value where CBC proved it optimal, and infinite
    otherwise. PuLP's status is "Optimal" for any run that ends with an incumbent, at the time limit too;
    what is proven is read from its `sol_status`.

    Parameters
    ----------
    model : pyomo.environ.ConcreteModel or ArrayModel
    budget : Budget, optional
        CBC looks at the time left in it when it begins, not at interrupts.
    mip_rel_gap : float
        Relative gap at which CBC may stop; the result is then never called optimal.
    threads : int, optional
    log : bool
        Whether CBC writes its log to standard output.
    load : bool
        Whether to write the incumbent into the Pyomo variables.

    Raises
    ------
    SchedulingError
        CBC is not available.
    """
    began = clock.now()
    form = PyomoForm(model, [], []) if isinstance(model, ArrayModel) else standard_form(model)
    if form is None or not _consistent(form.model):
        bound = -math.inf if form is not None and form.model.maximise else math.inf
        seconds, message = Seconds(clock.now() - began, 0.0, 0.0), "a constraint without variables cannot hold"
        return SolveResult.without_solution(Status.INFEASIBLE, bound, seconds, message)
    solver = pulp.PULP_CBC_CMD(
        msg=log,
        timeLimit=None if budget is None or math.isinf(budget.seconds) else budget.remaining,
        gapRel=mip_rel_gap if mip_rel_gap > 0 else None,
        threads=threads,
        timeMode="elapsed",
        options=list(EXACT),
    )
    require_cbc()
    result = _run(form.model, solver, began, mip_rel_gap)
    result = replace(result, columns=form.columns, rows=form.rows)
    if load and form.columns:
        result.load()
    return result


def _run(model: ArrayModel, solver: pulp.PULP_CBC_CMD, began: float, mip_rel_gap: float) -> SolveResult:
    """Hand the model over in a unit that suits CBC's tolerances, run it, and read what came out."""
    built = clock.now()
    unit = cost_exponent(model)
    arrays = in_unit(model, unit)
    problem, variables = _problem(_with_two_costs(arrays))
    handed = clock.now()
    try:
        problem.solve(solver)
    except pulp.PulpSolverError as error:
        raise SchedulingError(f"CBC failed: {' '.join(str(error).split())}") from error
    seconds = Seconds(built - began, handed - built, clock.now() - handed)
    result = _read(problem, variables[: arrays.matrix.shape[1]], arrays, mip_rel_gap, seconds)
    value = None if result.value is None else math.ldexp(result.value, unit)
    return replace(result, value=value, bound=math.ldexp(result.bound, unit))


def _consistent(arrays: ArrayModel) -> bool:
    """Whether 0 lies within each row without coefficients (CBC does not read these), and lower <= upper."""
    matrix = sparse.csr_array(arrays.matrix, copy=True)
    matrix.eliminate_zeros()
    empty = np.diff(matrix.indptr) == 0
    rows_hold = ((arrays.row_lower <= 0) & (arrays.row_upper >= 0))[empty].all()
    return bool(rows_hold and (arrays.lower <= arrays.upper).all())


def _with_two_costs(arrays: ArrayModel) -> ArrayModel:
    """The model with half of the cost on a twin, if one continuous column carries it all.

    From a single continuous variable in the objective CBC 2.10.3 derives steps of about 1 between values where
    there are none ("Cutoff increment increased"), and then calls a plan optimal that is not.  The twin is the last
    column and the last row: at least the column where its cost counts as a minimum, at most where as a maximum.
    """
    free = np.flatnonzero((arrays.cost != 0) & (arrays.lower < arrays.upper))
    if len(free) != 1 or arrays.integer[free[0]]:
        return arrays
    j, (rows, columns) = int(free[0]), arrays.matrix.shape
    cost = np.append(arrays.cost, 0.5 * arrays.cost[j])
    cost[j] *= 0.5
    row = sparse.csc_array(([-1.0, 1.0], ([0, 0], [j, columns])), shape=(1, columns + 1))
    wide = sparse.hstack([arrays.matrix, sparse.csc_array((rows, 1))])
    above = (arrays.cost[j] > 0) != arrays.maximise
    return ArrayModel(
        cost,
        sparse.csc_array(sparse.vstack([wide, row])),
        np.append(arrays.row_lower, 0.0 if above else -math.inf),
        np.append(arrays.row_upper, math.inf if above else 0.0),
        np.append(arrays.lower, arrays.lower[j]),
        np.append(arrays.upper, arrays.upper[j]),
        np.append(arrays.integer, False),
        arrays.offset,
        arrays.maximise,
    )


def _problem(arrays: ArrayModel) -> tuple[pulp.LpProblem, list[pulp.LpVariable]]:
    """The model in PuLP; a variable that stands in no row and not in the objective is left out of it."""
    problem = pulp.LpProblem("model", pulp.LpMaximize if arrays.maximise else pulp.LpMinimize)
    variables = [
        pulp.LpVariable(
            f"x{k}",
            low if math.isfinite(low) else None,
            high if math.isfinite(high) else None,
            pulp.LpInteger if integer else pulp.LpContinuous,
        )
        for k, (low, high, integer) in enumerate(
            zip(arrays.lower.tolist(), arrays.upper.tolist(), arrays.integer.tolist(), strict=True)
        )
    ]
    used = np.flatnonzero(arrays.cost)
    terms = [(variables[k], arrays.cost[k]) for k in used.tolist()]
    problem.setObjective(pulp.LpAffineExpression(terms, constant=arrays.offset))
    matrix = sparse.csr_array(arrays.matrix, copy=True)
    matrix.eliminate_zeros()
    for r in np.flatnonzero(np.diff(matrix.indptr)).tolist():
        span = slice(matrix.indptr[r], matrix.indptr[r + 1])
        pairs = zip(matrix.indices[span].tolist(), matrix.data[span].tolist(), strict=True)
        body = pulp.LpAffineExpression([(variables[k], value) for k, value in pairs])
        _add_row(problem, body, float(arrays.row_lower[r]), float(arrays.row_upper[r]), f"c{r}")
    if not problem.constraints():
        # CBC does not read a file without rows.
        one = pulp.LpVariable("one", 0, 1)
        problem.addConstraint(pulp.LpConstraint(one + 0, pulp.LpConstraintLE, "row", 1))
    return problem, variables


def _add_row(problem: pulp.LpProblem, body: pulp.LpAffineExpression, low: float, high: float, name: str) -> None:
    if low == high:
        problem.addConstraint(pulp.LpConstraint(body, pulp.LpConstraintEQ, name, low))
        return
    if math.isfinite(high):
        problem.addConstraint(pulp.LpConstraint(body, pulp.LpConstraintLE, f"{name}u", high))
    if math.isfinite(low):
        problem.addConstraint(pulp.LpConstraint(body, pulp.LpConstraintGE, f"{name}l", low))


def _read(
    problem: pulp.LpProblem,
    variables: list[pulp.LpVariable],
    arrays: ArrayModel,
    mip_rel_gap: float,
    seconds: Seconds,
) -> SolveResult:
    worst = math.inf if arrays.maximise else -math.inf
    message = f"{pulp.LpStatus[problem.status]}, {pulp.LpSolution[problem.sol_status]}"
    if problem.status == pulp.LpStatusInfeasible or problem.sol_status == pulp.LpSolutionInfeasible:
        return SolveResult.without_solution(Status.INFEASIBLE, -worst, seconds, message)
    if problem.status == pulp.LpStatusUnbounded or problem.sol_status == pulp.LpSolutionUnbounded:
        return SolveResult.without_solution(Status.UNBOUNDED, worst, seconds, message)
    if problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        status = Status.TIME_LIMIT_NO_INCUMBENT if problem.status == pulp.LpStatusNotSolved else Status.ERROR
        return SolveResult.without_solution(status, worst, seconds, message)
    # A variable that stands nowhere comes back without a value.
    x = np.array([np.nan if variable.varValue is None else variable.varValue for variable in variables])
    x = np.where(np.isnan(x), np.clip(0.0, arrays.lower, arrays.upper), x)
    value = float(arrays.cost @ x + arrays.offset)
    status, bound = Status.OPTIMAL, value
    if problem.sol_status == pulp.LpSolutionIntegerFeasible:
        status, bound = Status.TIME_LIMIT_INCUMBENT, worst
    elif (mip_rel_gap > 0 and arrays.integer.any()) or not tells_apart(arrays, value):
        status, bound = Status.GAP_LIMIT, worst
    return SolveResult(status, value, bound, x, None, None, seconds, message=message)
