"""The one driver that takes a model to HiGHS and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import highspy
import numpy as np
from scipy import sparse

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.solvers.arrays import ArrayModel, PyomoForm, cost_exponent, in_unit, standard_form, tells_apart
from llmsched_mip.solvers.result import Seconds, SolveResult, Status, TracePoint
from llmsched_mip.tolerance import same

if TYPE_CHECKING:
    import pyomo.environ as pyo

Ended = highspy.HighsModelStatus
FEASIBLE_POINT = 2
# For models whose bound is a proof: rows and integers hold to 1e-9, reduced costs to 1e-10 (HiGHS takes a tenth), and
# nodes are dropped only where they cannot be better by 1e-9.  The least that HiGHS takes is 1e-10.
EXACT = {"mip_feasibility_tolerance": 1e-9, "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}
OTHER_LIMITS = (
    Ended.kSolutionLimit,
    Ended.kIterationLimit,
    Ended.kObjectiveTarget,
    Ended.kObjectiveBound,
    Ended.kMemoryLimit,
)


@dataclass(frozen=True)
class Limits:
    """Options of a run; see `solve`."""

    budget: Budget = field(default_factory=Budget)
    mip_rel_gap: float = 0.0
    mip_abs_gap: float = 0.0
    threads: int | None = None
    log: Callable[[str], None] | None = None
    on_trace: Callable[[TracePoint], None] | None = None
    options: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name in ("mip_rel_gap", "mip_abs_gap"):
            if not getattr(self, name) >= 0:
                raise InvalidInputError(name, f"expected a number ≥ 0, got {getattr(self, name)}")
        if self.threads is not None and self.threads < 1:
            raise InvalidInputError("threads", f"expected an integer ≥ 1, got {self.threads}")


def solve(
    model: pyo.ConcreteModel,
    *,
    start: Mapping[Any, float] | bool = False,
    load: bool = True,
    **limits: Any,
) -> SolveResult:
    """Solve a linear Pyomo model with HiGHS.

    Parameters
    ----------
    model : pyomo.environ.ConcreteModel
    start : mapping of variable to value, or bool
        Start solution; it may be partial.  True: the variables' current values.
    load : bool
        Whether to write the incumbent into the variables; without an incumbent they keep their values.
    budget : Budget
        Wall time for everything, the standard form included; interrupted, the run ends as interrupted.  Ctrl-C does
        the same.  HiGHS polls its clock at a pace that it chooses; the driver watches it too, at every interrupt
        callback.  Between two callbacks nothing can stop it, and inside one LP or one sub-MIP of the branch and
        bound HiGHS makes none.
    mip_rel_gap, mip_abs_gap : float
        Stop when the gap, relative to the incumbent's value or absolute, is at most this; default 0.
    threads : int, optional
        Default: HiGHS chooses.
    log : callable, optional
        Takes each line of HiGHS's log; silent without it.
    on_trace : callable, optional
        Takes each new `TracePoint`.
    options : mapping, optional
        Further HiGHS options by name.

    Returns
    -------
    SolveResult
        A run without an incumbent is a result, not an error.

    Raises
    ------
    InvalidInputError
        The model is not linear, an option is unknown to HiGHS or has a wrong value.
    """
    checked = Limits(**limits)
    began = clock.now()
    form = standard_form(model)
    build = clock.now() - began
    if form is None:
        message = "a constraint without variables cannot hold"
        return SolveResult.without_solution(Status.INFEASIBLE, math.inf, Seconds(build, 0.0, 0.0), message)
    values = _start_values(form, start)
    result = _Highs(form.model, checked).run(values)
    result = replace(result, columns=form.columns, rows=form.rows, seconds=result.seconds._replace(build=build))
    if load:
        result.load()
    return result


def solve_arrays(model: ArrayModel, *, start: Mapping[int, float] | None = None, **limits: Any) -> SolveResult:
    """Solve a model given as arrays with HiGHS; `start` maps columns to values, the rest is as in `solve`."""
    return _Highs(model, Limits(**limits)).run(dict(start or {}))


def _start_values(form: PyomoForm, start: Mapping[Any, float] | bool) -> dict[int, float]:
    if start is False:
        return {}
    if start is True:
        return {k: float(v.value) for k, v in enumerate(form.columns) if v.value is not None}
    from pyomo.common.collections import ComponentMap

    given = start if isinstance(start, ComponentMap) else ComponentMap(start.items())
    return {k: float(given[v]) for k, v in enumerate(form.columns) if v in given}


def highs_model(model: ArrayModel) -> highspy.HighsLp:
    """The arrays as HiGHS takes them."""
    lp = highspy.HighsLp()
    matrix = sparse.csc_array(model.matrix)
    rows, columns = matrix.shape
    lp.num_col_, lp.num_row_ = columns, rows
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = model.cost, model.lower, model.upper
    lp.row_lower_, lp.row_upper_ = model.row_lower, model.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = columns, rows
    lp.a_matrix_.start_ = matrix.indptr.astype(np.int32)
    lp.a_matrix_.index_ = matrix.indices.astype(np.int32)
    lp.a_matrix_.value_ = matrix.data.astype(np.float64)
    lp.offset_ = model.offset
    lp.sense_ = highspy.ObjSense.kMaximize if model.maximise else highspy.ObjSense.kMinimize
    if model.integer.any():
        kinds = np.array([highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger])
        lp.integrality_ = kinds[model.integer.astype(np.int64)].tolist()
    return lp


class _Highs:
    """One run: hand-over, callbacks, and the reading of what came out."""

    last_threads: int | None = None

    def __init__(self, model: ArrayModel, limits: Limits):
        self.unit = cost_exponent(model)
        self.model = in_unit(model, self.unit)
        self.limits = limits
        self.began = clock.now()
        self.highs = highspy.Highs()
        self.trace: list[TracePoint] = []
        self.stopped = self.out_of_time = self.costless = False
        self.error: BaseException | None = None

    @property
    def is_mip(self) -> bool:
        return bool(self.model.integer.any())

    def run(self, start: Mapping[int, float]) -> SolveResult:
        self._options()
        self._pass_model()
        self._subscribe()
        if start:
            self._pass_start(start)
        handover = clock.now() - self.began
        left = self.limits.budget.remaining
        if left <= 0 and not start:
            worst = math.inf if self.model.maximise else -math.inf
            seconds = Seconds(0.0, handover, 0.0)
            return SolveResult.without_solution(
                Status.TIME_LIMIT_NO_INCUMBENT, worst, seconds, "no time left for the solver"
            )
        self._set("time_limit", left if clock.is_real() else math.inf)
        self._run_solver()
        if self.highs.getModelStatus() == Ended.kUnboundedOrInfeasible:
            self._set("presolve", "off")
            self._run_solver()
        if self._gave_up():
            self._set("solver", "ipm")
            self._run_solver()
        status = self._unambiguous(self.highs.getModelStatus())
        result = self._read(status)
        seconds = Seconds(0.0, handover, clock.now() - self.began - handover)
        self.highs.clear()
        return replace(result, seconds=seconds)

    def _gave_up(self) -> bool:
        """Whether the simplex method ended an LP for numerical reasons; the interior point method often does not."""
        ended = self.stopped or self.out_of_time or self.is_mip or "solver" in (self.limits.options or {})
        return not ended and self.highs.getModelStatus() in (Ended.kNotset, Ended.kSolveError, Ended.kUnknown)

    def _set(self, name: str, value: Any) -> None:
        if self.highs.setOptionValue(name, value) != highspy.HighsStatus.kOk:
            raise InvalidInputError(f"options.{name}", f"HiGHS does not take {value!r}")

    def _options(self) -> None:
        self._set("output_flag", self.limits.log is not None)
        self._set("log_to_console", False)
        self._set("mip_rel_gap", self.limits.mip_rel_gap)
        self._set("mip_abs_gap", self.limits.mip_abs_gap)
        threads = 0 if self.limits.threads is None else self.limits.threads
        if threads != _Highs.last_threads:
            # The scheduler keeps its threads for the life of the process and refuses any other number.
            highspy.Highs.resetGlobalScheduler(True)
            _Highs.last_threads = threads
        self._set("threads", threads)
        for name, value in (self.limits.options or {}).items():
            self._set(name, value)

    def _pass_model(self) -> None:
        if self.highs.passModel(highs_model(self.model)) == highspy.HighsStatus.kError:
            raise InvalidInputError("model", "HiGHS refuses it")

    def _pass_start(self, start: Mapping[int, float]) -> None:
        index = np.fromiter(start.keys(), dtype=np.int32, count=len(start))
        values = np.fromiter(start.values(), dtype=np.float64, count=len(start))
        self.highs.setSolution(len(start), index, values)

    def _subscribe(self) -> None:
        highs = self.highs
        for event in (highs.cbMipInterrupt, highs.cbSimplexInterrupt, highs.cbIpmInterrupt):
            event.subscribe(self._guarded(self._on_interrupt))
        if self.is_mip:
            highs.cbMipImprovingSolution.subscribe(self._guarded(self._on_progress))
            highs.cbMipLogging.subscribe(self._guarded(self._on_progress))
        if self.limits.log is not None:
            highs.cbLogging.subscribe(self._guarded(self._on_log))

    def _guarded(self, handler: Callable[[Any], None]) -> Callable[[Any], None]:
        """An exception must not pass through HiGHS: it is kept, the run stopped, and raised afterwards."""

        def guarded(event: Any) -> None:
            try:
                handler(event)
            except KeyboardInterrupt:
                self.stopped = True
            except BaseException as error:
                self.error = self.error or error

        return guarded

    def _on_interrupt(self, event: Any) -> None:
        budget = self.limits.budget
        self.stopped = self.stopped or budget.interrupted()
        self.out_of_time = self.out_of_time or budget.elapsed > budget.seconds
        if self.stopped or self.out_of_time or self.error is not None:
            event.data_in.user_interrupt = True

    def _on_progress(self, event: Any) -> None:
        out = event.data_out
        incumbent = out.mip_primal_bound if abs(out.mip_primal_bound) < highspy.kHighsInf else math.nan
        incumbent, bound = math.ldexp(incumbent, self.unit), math.ldexp(out.mip_dual_bound, self.unit)
        if not self.trace or (incumbent, bound) != self.trace[-1][1:]:
            point = TracePoint(clock.now() - self.began, incumbent, bound)
            self.trace.append(point)
            if self.limits.on_trace is not None:
                self.limits.on_trace(point)

    def _on_log(self, event: Any) -> None:
        assert self.limits.log is not None
        for line in event.message.rstrip("\n").split("\n"):
            self.limits.log(line)

    def _run_solver(self) -> None:
        try:
            self.highs.run()
        except KeyboardInterrupt:
            # Ctrl-C after the last callback, or in a run that has none: what HiGHS has is kept.
            self.stopped = True
        if self.error is not None:
            raise self.error

    def _unambiguous(self, status: Any) -> Any:
        """Tell "unbounded or infeasible" apart: without costs the model is feasible or not."""
        if status != Ended.kUnboundedOrInfeasible:
            return status
        columns, self.costless = self.model.matrix.shape[1], True
        self.highs.changeColsCost(columns, np.arange(columns, dtype=np.int32), np.zeros(columns))
        self._run_solver()
        ended = self.highs.getModelStatus()
        return Ended.kUnbounded if ended == Ended.kOptimal else ended

    def _read(self, ended: Any) -> SolveResult:
        info = self.highs.getInfo()
        message = self.highs.modelStatusToString(ended)
        worst = math.inf if self.model.maximise else -math.inf
        nowhere = Seconds(0.0, 0.0, 0.0)
        if ended == Ended.kInfeasible:
            return SolveResult.without_solution(Status.INFEASIBLE, -worst, nowhere, message)
        if ended == Ended.kUnbounded:
            return SolveResult.without_solution(Status.UNBOUNDED, worst, nowhere, message)
        known = info.valid and ended != Ended.kNotset and not self.costless
        incumbent = known and info.primal_solution_status == FEASIBLE_POINT
        value = float(info.objective_function_value) if incumbent else None
        solution = self.highs.getSolution()
        proven = ended in (Ended.kOptimal, Ended.kModelEmpty)
        bound = worst
        if known and self.is_mip and math.isfinite(info.mip_dual_bound):
            bound = float(info.mip_dual_bound)
        elif proven and value is not None:
            bound = value
        duals = incumbent and not self.is_mip and proven
        return SolveResult(
            self._status(ended, value, bound),
            None if value is None else math.ldexp(value, self.unit),
            math.ldexp(bound, self.unit),
            np.array(solution.col_value) if incumbent else None,
            np.ldexp(solution.row_dual, self.unit) if duals else None,
            np.ldexp(solution.col_dual, self.unit) if duals else None,
            nowhere,
            max(0, int(info.mip_node_count)),
            self.trace,
            message,
        )

    def _status(self, ended: Any, value: float | None, bound: float) -> Status:
        if ended in (Ended.kOptimal, Ended.kModelEmpty) and value is not None:
            return Status.OPTIMAL if same(value, bound) and tells_apart(self.model, value) else Status.GAP_LIMIT
        if ended == Ended.kTimeLimit or (self.out_of_time and not self.stopped):
            return Status.TIME_LIMIT_NO_INCUMBENT if value is None else Status.TIME_LIMIT_INCUMBENT
        if ended == Ended.kInterrupt or self.stopped:
            return Status.INTERRUPTED_NO_INCUMBENT if value is None else Status.INTERRUPTED_INCUMBENT
        if ended in OTHER_LIMITS:
            return Status.OTHER_LIMIT_NO_INCUMBENT if value is None else Status.OTHER_LIMIT_INCUMBENT
        return Status.ERROR
