"""A user's own Pyomo model in place of ours: a file with `build(instance)` and `extract(model, instance)`."""

from __future__ import annotations

import importlib.util
import math
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pyomo.environ as pyo

from llmsched_mip.backends import Status, solve
from llmsched_mip.errors import InvalidInputError, InvalidPlanError, SchedulingError, UnreadableFileError
from llmsched_mip.evaluate import evaluate
from llmsched_mip.methods.search import Search
from llmsched_mip.plan import Plan

FUNCTIONS = ("build", "extract")


def load_model_file(path: str) -> ModuleType:
    """Execute the file and return it as a module.

    Raises
    ------
    UnreadableFileError
        The file is missing or not Python.
    InvalidInputError
        It raises an exception, or has no `build` or no `extract`.
    """
    if not Path(path).is_file():
        raise UnreadableFileError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location("llmsched_user_model", path)
    if spec is None or spec.loader is None:
        raise UnreadableFileError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    _guarded(path, "import", lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]
    missing = [name for name in FUNCTIONS if not callable(getattr(module, name, None))]
    if missing:
        raise InvalidInputError("", f"no function {' and no function '.join(missing)}", source=path)
    return module


def _guarded(path: str, step: str, action: Callable[[], Any]) -> Any:
    """Run a piece of the user's code; what it raises becomes one line with the place in the file."""
    try:
        return action()
    except SchedulingError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
        where = step if line is None else f"{step}, line {line}"
        raise InvalidInputError(where, f"{type(error).__name__}: {error}", source=path) from error


def build_user_model(path: str, instance: Any) -> tuple[ModuleType, pyo.ConcreteModel]:
    """The module and its model of an instance."""
    module = load_model_file(path)
    model = _guarded(path, "build", lambda: module.build(instance))
    if not isinstance(model, pyo.ConcreteModel):
        raise InvalidInputError("build", f"expected a Pyomo ConcreteModel, got {type(model).__name__}", source=path)
    return module, model


def solve_user_model(search: Search, path: str) -> None:
    """Solve the user's model with HiGHS and offer its plan.

    Its dual bound is not recorded: nothing proves that the file models the problem.

    Raises
    ------
    InvalidInputError, UnreadableFileError
        The file, see `load_model_file`.
    InvalidPlanError
        The plan that it extracts is infeasible, or the model has no solution.
    """
    module, model = build_user_model(path, search.instance)
    left = search.remaining if math.isfinite(search.remaining) else math.inf
    result = solve(
        model,
        time_limit_s=left,
        threads=search.threads,
        mip_rel_gap=search.gap_target,
        stop=lambda: search.interrupted,
    )
    if result.status in (Status.INFEASIBLE, Status.UNBOUNDED, Status.ERROR):
        raise InvalidPlanError(f"{path}: the model is {result.status.value} ({result.message})")
    if result.value is None:
        search.note(f"{Path(path).name}: {result.status.value}")
        return
    plan = _guarded(path, "extract", lambda: module.extract(model, search.instance))
    if not isinstance(plan, Plan):
        raise InvalidInputError("extract", f"expected a Plan, got {type(plan).__name__}", source=path)
    plan = replace(
        plan, objective=search.objective, method=Path(path).name, value=None, bound=None, gap=None, bounds={}
    )
    violations = evaluate(search.instance, replace(plan, status="feasible")).violations
    if violations:
        raise InvalidPlanError(f"{path}: extract made an infeasible plan: {violations[0]}")
    search.offer(plan)
