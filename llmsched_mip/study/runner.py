"""Runs one case: a function from a `Case` to the ledger's rows, the same in every engine."""

from __future__ import annotations

import json
import platform
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from llmsched_mip import clock
from llmsched_mip.bounds import compute
from llmsched_mip.errors import NoPlanError, error_text
from llmsched_mip.evaluation import evaluate
from llmsched_mip.execution import replay
from llmsched_mip.instance import Instance
from llmsched_mip.io.files import plan_document
from llmsched_mip.measures import Measures
from llmsched_mip.methods import QUICK_BOUNDS, solve
from llmsched_mip.methods.estimates import solve_estimated
from llmsched_mip.plan import Plan, relative_gap
from llmsched_mip.result import Event, Result
from llmsched_mip.study.cases import Case, Row
from llmsched_mip.study.layout import FAILED, NO_PLAN

PACKAGES = ("highspy", "numpy", "scipy", "numba", "pyomo", "pulp", "pandas")
MOST_TRACE_POINTS = 200
MEASURES = ("makespan", "total_completion", "mean_latency", "p99_latency", "utilization")
COUNTS = ("prefill_iterations", "decode_rounds", "kv_peak")


class CaseInterruptedError(Exception):
    """Ctrl-C reached a worker: what its case found is not to be recorded."""


@dataclass
class RowResult:
    """What one row found: the ledger's columns, and the plan file's text where one is to be kept."""

    key: str
    columns: dict[str, Any]
    plan: str | None = None


@dataclass
class _Solved:
    """An offline solve that rows share; `error` where it failed."""

    plan: Plan | None = None
    trace: list[list[float | None]] = field(default_factory=list)
    bounds: dict[str, float] = field(default_factory=dict)
    error: Exception | None = None
    seconds: float = 0.0

    def required(self) -> Plan:
        """The plan, or the error that kept it away."""
        if self.error is not None:
            raise self.error
        assert self.plan is not None
        return self.plan


def run_case(case: Case) -> list[RowResult]:
    """Run every row of a case; a row that raises is a failed row, and none of the others.

    Raises
    ------
    CaseInterruptedError
        Ctrl-C came while a solve ran.
    """
    started = now()
    try:
        run = _Run(case)
    except Exception as error:
        return failed_case(case, error_text(error), started)
    return [run.row(key, row, started) for key, row in zip(case.keys, case.rows, strict=True)]


def failed_case(case: Case, error: str, started: str | None = None) -> list[RowResult]:
    """The same error for every row of a case."""
    columns = _frame(started or now()) | {"status": FAILED, "error": error, "finished": now()}
    return [RowResult(key, dict(columns)) for key in case.keys]


def now() -> str:
    """Time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@cache
def versions() -> dict[str, str]:
    """Versions of the program, of Python and of the packages that results depend on."""
    found = {"llmsched_mip": _version("llmsched-mip"), "python": platform.python_version()}
    return found | {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _frame(started: str) -> dict[str, Any]:
    return {"started": started, "versions": json.dumps(versions()), "host": socket.gethostname()}


class _Run:
    """One case in work: its instance, its offline solves (each made once), its bounds."""

    def __init__(self, case: Case):
        instance = case.source.load()
        objective = case.objective
        self.case, self.objective = case, objective
        self.instance: Instance = instance.with_objective(objective)
        self.solves: dict[tuple[str, str], _Solved] = {}
        for row in case.rows:
            method = row.method or row.plan
            if method is not None and (method, row.plan_lengths) not in self.solves:
                self.solves[method, row.plan_lengths] = self._solve(method, row.plan_lengths)
        self.bounds = self._best_bounds()

    def _solve(self, method: str, lengths: str) -> _Solved:
        events: list[Event] = []
        options: dict[str, Any] = {
            "method": method,
            "time_limit_s": self.case.time_limit_s,
            "gap": self.case.gap,
            "threads": self.case.threads,
            "seed": self.case.source.seed,
        }
        found, began = _Solved(), clock.now()
        try:
            if lengths == "known":
                result = solve(self.instance, log=events.append, **options)
                _refuse_interrupted(result)
                found.plan, found.bounds = result.plan, dict(result.bounds)
            else:
                found.plan = solve_estimated(self.instance, lengths, **options)
        except CaseInterruptedError:
            raise
        except Exception as error:
            found.error = error
            found.bounds = dict(getattr(error, "bounds", {}))
        found.seconds = clock.now() - began
        found.trace = thinned(events)
        return found

    def _best_bounds(self) -> dict[str, float]:
        """The best value of every bound that was proven for this instance, by any of the solves."""
        merged: dict[str, float] = {}
        for found in self.solves.values():
            for name, value in found.bounds.items():
                merged[name] = max(value, merged.get(name, value))
        if not merged:
            quick = compute(self.instance, names=QUICK_BOUNDS)
            merged = {bound.name: bound.value for bound in quick}
        return merged

    def row(self, key: str, row: Row, started: str) -> RowResult:
        """Result of one row, whatever happens in it."""
        result = RowResult(key, _frame(started))
        result.columns |= {"instance": self.instance.name, "instance_digest": self.instance.digest}
        try:
            (self._method_row if row.method else self._policy_row)(result, row)
        except NoPlanError as error:
            result.columns |= {"status": NO_PLAN, "error": error_text(error), **self._against(None)}
        except Exception as error:
            result.columns |= {"status": FAILED, "error": error_text(error)}
        result.columns["finished"] = now()
        return result

    def _method_row(self, result: RowResult, row: Row) -> None:
        found = self.solves[row.method or "", row.plan_lengths]
        result.columns |= {"seconds": found.seconds, "trace": json.dumps(found.trace)}
        plan = found.required()
        measures = evaluate(self.instance, plan).measures
        result.columns |= {
            "status": plan.claims.status,
            "seconds": plan.claims.seconds,
            "evictions": 0,
            **_measured(measures),
        }
        result.columns |= self._against(plan.claims.value)
        self._keep(result, plan)

    def _policy_row(self, result: RowResult, row: Row) -> None:
        plan = None if row.plan is None else self.solves[row.plan, row.plan_lengths].required()
        outcome = replay(self.instance, row.policy or "", plan=plan, lengths=row.lengths, seed=self.case.source.seed)
        value = outcome.measures.objective(self.objective)
        mixed = outcome.prefix_hit_tokens is not None
        # The bounds of plans do not hold for chunked prefill.
        against = {**self._against(None), "value": value, "bound": None} if mixed else self._against(value)
        result.columns |= {"status": "feasible", "seconds": outcome.seconds, "evictions": outcome.evictions}
        result.columns |= {"trace": "[]", **_measured(outcome.measures), **against}
        if not outcome.evictions and not mixed:
            executed = outcome.to_plan(self.instance, row.label)
            executed = executed.with_claims(value, self.bounds, outcome.seconds)
            result.columns["status"] = executed.claims.status
            self._keep(result, executed)

    def _against(self, value: float | None) -> dict[str, Any]:
        """Value, best bound and gap, the bound never above the value by rounding."""
        name = max(self.bounds, key=lambda bound_name: self.bounds[bound_name], default=None)
        bound = None if name is None else self.bounds[name]
        gap = None
        if value is not None and bound is not None:
            gap = max(0.0, relative_gap(value, bound))
        return {"value": value, "bound": bound, "bound_name": name, "gap": gap, "bounds": json.dumps(self.bounds)}

    def _keep(self, result: RowResult, plan: Plan) -> None:
        if not self.case.keep_plans:
            return
        violations = evaluate(self.instance, plan).violations
        if violations:
            raise AssertionError(f"the plan breaks the model: {violations[0]}")
        result.plan = json.dumps(plan_document(plan, self.instance), separators=(", ", ": ")) + "\n"


def _refuse_interrupted(result: Result) -> None:
    if result.interrupted:
        raise CaseInterruptedError


def _measured(measures: Measures) -> dict[str, Any]:
    values = measures.as_dict()
    return {name: values[name] for name in (*MEASURES, *COUNTS)}


def thinned(events: list[Event], most: int = MOST_TRACE_POINTS) -> list[list[float | None]]:
    """Seconds, incumbent and bound of events where one of the two changed; evenly thinned, the last one kept."""
    points: list[list[float | None]] = []
    for event in events:
        point = [round(event.seconds, 6), event.incumbent, event.bound]
        if not points or points[-1][1:] != point[1:]:
            points.append(point)
    if len(points) <= most:
        return points
    return [points[k] for k in np.linspace(0, len(points) - 1, most).round().astype(int)]
