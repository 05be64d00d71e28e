"""`llmsched solve`: a plan and a bound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import llmsched_mip
from llmsched_mip import clock, errors, methods
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import (
    AsJson,
    EngineName,
    InstancePath,
    ObjectiveName,
    Scheduler,
    Seed,
    TimeLimit,
    at_least,
    listed,
    objective_name,
    require_known,
)
from llmsched_mip.cli.hidden_lengths import HiddenLengths, Lengths, LengthsFrom, OverflowRisk, Scenarios
from llmsched_mip.cli.interrupts import Ending
from llmsched_mip.cli.solve_log import SolveLog, announced
from llmsched_mip.engines.engine import ENGINE_NAMES
from llmsched_mip.errors import InterruptedSearchError, NoPlanError
from llmsched_mip.io.storage import read_bytes, require_writable
from llmsched_mip.limits import MOST_THREADS
from llmsched_mip.methods import DEFAULT_TIME_LIMIT_S, METHODS

if TYPE_CHECKING:
    from llmsched_mip.instance import Instance
    from llmsched_mip.result import Result

PlanFile = Annotated[Path | None, typer.Option("--plan", metavar="PLAN", help="Plan file to write, also after Ctrl-C.")]
LogFile = Annotated[
    Path | None, typer.Option("--log", metavar="FILE", help="Write the log here as well, line by line.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No log on standard error; only what has failed.")]
FCFS_SHARE, LEAST_FCFS_S, INTERRUPTED_FCFS_S = 0.05, 1.0, 0.2
"""Of the run, for the comparison with first-come-first-served; where that takes longer it is left out."""


def solve(
    instance_path: InstancePath,
    objective: ObjectiveName = None,
    method: Annotated[str, typer.Option("--method", metavar="NAME", help="Method." + listed(METHODS))] = "auto",
    time_limit: TimeLimit = None,
    gap: Annotated[float, typer.Option("--gap", metavar="G", help="Stop at this (value - bound) / value.")] = 0.0,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", help="Processes of auto, by default all cores.")
    ] = None,
    seed: Seed = 0,
    work: Annotated[
        int | None,
        typer.Option("--work", metavar="N", help="End after N looks at the clock, not seconds: repeats exactly."),
    ] = None,
    solver: Annotated[
        str | None, typer.Option("--solver", metavar="NAME", help="For the full MIP: highs, cbc or a model file, .py.")
    ] = None,
    lengths: Lengths = "known",
    history_path: LengthsFrom = None,
    scenarios: Scenarios = None,
    overflow_risk: OverflowRisk = None,
    start_path: Annotated[
        Path | None, typer.Option("--start", metavar="PLAN", help="Plan to begin with; never made worse.")
    ] = None,
    engine: EngineName = "local",
    scheduler: Scheduler = None,
    plan_path: PlanFile = None,
    log_path: LogFile = None,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Find a plan and a bound; one log line per improvement on standard error."""
    for name, number in {"--time-limit": time_limit, "--gap": gap, "--seed": seed, "--work": work}.items():
        at_least(name, number, 0)
    at_least("--threads", threads, 1, MOST_THREADS)
    require_known("--method", method, METHODS)
    require_known("--engine", engine, ENGINE_NAMES)
    hidden = HiddenLengths(lengths, history_path, scenarios, overflow_risk)
    hidden.require_fits(
        method=method != "auto", solver=solver, start=start_path, engine=engine != "local", scheduler=scheduler
    )
    if solver is not None and solver.endswith(".py"):
        read_bytes(solver)
    require_writable(plan_path)
    require_writable(log_path)
    instance = llmsched_mip.read_instance(instance_path)
    instance = instance.with_objective(objective_name(objective, instance))
    start = None if start_path is None else llmsched_mip.read_plan(start_path, instance)
    chosen = method if solver is None else f"{_with_solver(method)}:{solver}"
    options: dict[str, Any] = {"method": chosen, "start": start, "engine": engine, "scheduler": scheduler}
    planner = hidden.planner(instance) or partial(methods.solve, instance, **options)
    limit, threads = _limit(time_limit, work), threads if work is None else 1
    log = SolveLog(_title(instance, method, limit), quiet, log_path)
    with _ending(instance, method, as_json) as ending:
        log.kept = ending.keep
        with log, announced(log), nullcontext() if work is None else clock.counting(clock.READING_S):
            result = planner(time_limit_s=limit, gap=gap, threads=threads, seed=seed, log=log)
        _solved(instance, result, log, plan_path, as_json)


@contextmanager
def _ending(instance: Instance, method: str, as_json: bool) -> Iterator[Ending]:
    """Signals, and the end without a plan: the bound is printed, and SIGTERM has an exit code of its own."""
    with Ending() as ending:
        try:
            yield ending
        except NoPlanError as error:
            _no_plan(error, instance, method, as_json)
            if isinstance(error, InterruptedSearchError) and ending.terminated:
                raise typer.Exit(errors.EXIT_TERMINATED) from None
            raise
        except KeyboardInterrupt:
            if ending.terminated:
                raise typer.Exit(errors.EXIT_TERMINATED) from None
            raise


def _limit(time_limit: float | None, work: int | None) -> float:
    """The limit in seconds, or in seconds of the clock that counts looks at it."""
    if work is not None:
        return work * clock.READING_S
    return DEFAULT_TIME_LIMIT_S if time_limit is None else time_limit


def _title(instance: Instance, method: str, limit: float) -> str:
    return (
        f"llmsched {llmsched_mip.__version__} solve {console.instance_text(instance)}, "
        f"objective {instance.objective}, method {method}, time limit {limit:g} s"
    )


def _with_solver(method: str) -> str:
    """The method that a solver goes with: by default the full MIP."""
    return "full" if method == "auto" else method


def _solved(instance: Instance, result: Result, log: SolveLog, path: Path | None, as_json: bool) -> None:
    for part, message in result.failures:
        console.note(f"llmsched solve: {part} failed and was left out: {message}")
    if result.interrupted:
        console.note("interrupted: this is the best plan so far")
    try:
        if path is not None:
            llmsched_mip.write_plan(result.plan, instance, path)
            log.say(f"plan written to {path}")
    finally:
        least_s = INTERRUPTED_FCFS_S if result.interrupted else LEAST_FCFS_S
        fcfs = methods.first_come_first_served(instance, max(least_s, FCFS_SHARE * result.seconds))
        document = console.solve_document(result, fcfs)
        table = console.table(result.rows())
        log.close(*table.splitlines(), document["verdict"])
        if as_json:
            console.emit_json(document)
        else:
            console.emit(f"{table}\n{document['verdict']}" if document["verdict"] else table)


def _no_plan(error: NoPlanError, instance: Instance, method: str, as_json: bool) -> None:
    bounds: dict[str, float] = dict(getattr(error, "bounds", {}))
    document = console.no_plan_document(instance.name, instance.objective, method, bounds)
    if as_json:
        console.emit_json(document)
    else:
        console.emit(console.no_plan_table(document))
