"""A user's own Pyomo model in place of ours: a file with `build(instance)` and `extract(model, instance)`.

Its code runs in this process: whatever it raises, prints or returns ends in one line, but a file that ends the process
(`os._exit`, a crash in compiled code) or never returns is beyond us.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

import pyomo.environ as pyo

from llmsched_mip.errors import InvalidInputError, InvalidPlanError, SchedulingError, UnreadableFileError
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.methods.search import Search
from llmsched_mip.plan import Plan
from llmsched_mip.solvers import Status, solve

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


def _guarded(path: str, step: str, action: Callable[[], Any], instance: Instance | None = None) -> Any:
    """Run a piece of the user's code; what it raises, exits included, becomes one line with the place in the file.

    What it prints goes to standard error: standard output may be a JSON object.

    Raises
    ------
    InvalidInputError
        It raises anything (but a Ctrl-C from outside, which goes on), or it changes `instance`.
    """
    before = None if instance is None else _content(instance)
    try:
        with _output_on_stderr():
            result = action()
    except SchedulingError:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and _from_outside(error, path):
            raise
        raise InvalidInputError(_place(error, step, path), _text(error), source=path) from error
    if instance is not None and _content(instance) != before:
        raise InvalidInputError(step, "it changed the instance", source=path)
    return result


@contextmanager
def _output_on_stderr() -> Iterator[None]:
    """Standard output, of Python and of the process, goes to standard error."""
    try:
        sys.stdout.flush()
        kept = os.dup(1)
    except (OSError, ValueError):
        kept = None
    try:
        if kept is not None:
            os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if kept is not None:
            os.dup2(kept, 1)
            os.close(kept)


def _from_outside(error: KeyboardInterrupt, path: str) -> bool:
    """Whether a signal raised it, not a statement of the file."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = bool(frames) and frames[-1].filename == os.path.abspath(path)
    return not inside or signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _place(error: BaseException, step: str, path: str) -> str:
    # Modules know their file by its absolute path.
    file = os.path.abspath(path)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
    return step if line is None else f"{step}, line {line}"


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}".removesuffix(": ")
    except Exception:
        return type(error).__name__


def _content(instance: Instance) -> tuple[Any, ...]:
    """What the user's code must leave as it is."""
    try:
        return instance.name, instance.objective, instance.fresh_digest()
    except Exception as error:
        return (type(error),)


def build_user_model(path: str, instance: Instance) -> tuple[ModuleType, pyo.ConcreteModel]:
    """The module and its model of an instance."""
    module = load_model_file(path)
    model = _guarded(path, "build", lambda: module.build(instance), instance)
    if not isinstance(model, pyo.ConcreteModel):
        raise InvalidInputError("build", f"expected a Pyomo ConcreteModel, got {type(model).__name__}", source=path)
    objectives = len(list(model.component_data_objects(pyo.Objective, active=True)))
    if objectives != 1:
        raise InvalidInputError("build", f"expected a model with one active objective, got {objectives}", source=path)
    return module, model


def extract_user_plan(path: str, module: ModuleType, model: pyo.ConcreteModel, instance: Instance) -> Plan:
    """The plan that the file extracts from its solved model, for the instance's objective; not evaluated."""
    plan = _guarded(path, "extract", lambda: module.extract(model, instance), instance)
    if not isinstance(plan, Plan):
        raise InvalidInputError("extract", f"expected a Plan, got {type(plan).__name__}", source=path)
    return Plan(plan.instance, plan.instance_digest, instance.objective, Path(path).name, plan.workers)


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
    # The user's file sees the instance as it was given, in seconds.
    instance = search.form.original
    module, model = build_user_model(path, instance)
    try:
        result = solve(
            model,
            budget=search.budget,
            threads=search.threads,
            mip_rel_gap=search.gap_target,
        )
    except InvalidInputError as error:
        raise error.located(path) from None
    except Exception as error:
        # Not linear, a value that is no number: Pyomo finds out when the model is turned into rows.
        raise InvalidInputError("build", f"not a model that HiGHS solves: {_text(error)}", source=path) from error
    if result.status in (Status.INFEASIBLE, Status.UNBOUNDED, Status.ERROR):
        raise InvalidPlanError(f"{path}: the model is {result.status.value} ({result.message})")
    if result.value is None:
        search.note(f"{Path(path).name}: {result.status.value}")
        return
    plan = extract_user_plan(path, module, model, instance)
    violations = evaluate(instance, plan).violations
    if violations:
        raise InvalidPlanError(f"{path}: extract made an infeasible plan: {violations[0]}")
    search.offer(search.form.plan_of_normal_form(plan))
