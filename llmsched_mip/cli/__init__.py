"""The command line (docs/problem.md, section 8): arguments to calls and results to text.

Solvers and registries are imported inside the commands that need them, so that help and checks start at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmsched_mip import __version__, console, errors
from llmsched_mip.budget import Budget
from llmsched_mip.cli.arguments import (
    AsJson,
    InstancePath,
    ObjectiveName,
    Seed,
    TimeLimit,
    at_least,
    hyphens,
    listed,
    objective_name,
    require_known,
)
from llmsched_mip.cli.exit_code import answer
from llmsched_mip.cli.export_command import export
from llmsched_mip.cli.report_command import gantt, report
from llmsched_mip.cli.study_command import study
from llmsched_mip.cli.workload_commands import generate, import_
from llmsched_mip.errors import InterruptedSearchError, InvalidInputError, NoPlanError, SchedulingError
from llmsched_mip.interrupts import Ending
from llmsched_mip.io import streams
from llmsched_mip.io.storage import read_bytes, require_writable
from llmsched_mip.limits import MOST_THREADS
from llmsched_mip.names import LENGTHS

if TYPE_CHECKING:
    from llmsched_mip.instance import Instance
    from llmsched_mip.plan import Plan
    from llmsched_mip.result import Result

PLAN_POLICIES = ("plan", "plan-order", "lagrangian", "lagrangian-stochastic")
OPTION_HELP = " With an option: sorted-f:exact|scaled|swap|quantile, mc-sf:MARGIN, lagrangian-stochastic:RISK."
OFFLINE_SECONDS, OFFLINE_GAP = 8.0, 0.005

app = typer.Typer(
    name="llmsched",
    help="Offline MIP optimization for LLM inference scheduling: plans, proven bounds, gaps and replays.",
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _read(path: Path) -> Instance:
    from llmsched_mip.io.files import read_instance

    return read_instance(path)


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        console.emit(f"llmsched {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise InvalidInputError("", "a command is missing, see llmsched --help")


@app.command()
def solve(
    instance_path: InstancePath,
    objective: ObjectiveName = None,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="Method." + listed("methods", "METHODS"))
    ] = "auto",
    time_limit: TimeLimit = None,
    gap: Annotated[float, typer.Option("--gap", metavar="G", help="Stop at this (value - bound) / value.")] = 0.0,
    threads: Annotated[int | None, typer.Option("--threads", metavar="N", help="Threads of the solver.")] = None,
    seed: Seed = 0,
    solver: Annotated[
        str | None,
        typer.Option("--solver", metavar="NAME", help="For the full MIP: highs, cbc or a model file of yours, .py."),
    ] = None,
    plan_path: Annotated[
        Path | None, typer.Option("--plan", metavar="PLAN", help="Plan file to write, also after Ctrl-C.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find a plan and a bound; one log line per improvement on standard error."""
    from llmsched_mip import methods

    at_least("--time-limit", time_limit, 0.0)
    at_least("--gap", gap, 0.0)
    at_least("--threads", threads, 1, MOST_THREADS)
    at_least("--seed", seed, 0)
    if method != "auto":
        require_known("--method", method, "methods", "METHODS")
    if solver is not None and solver.endswith(".py"):
        read_bytes(solver)
    require_writable(plan_path)
    instance = _read(instance_path)
    instance = instance.with_objective(objective_name(objective, instance))
    limit = methods.DEFAULT_TIME_LIMIT_S if time_limit is None else time_limit
    title = (
        f"llmsched {__version__} solve {console.instance_text(instance)}, "
        f"objective {instance.objective}, method {method}, time limit {limit:g} s"
    )
    with Ending() as ending:
        try:
            result = methods.solve(
                instance,
                method=method,
                time_limit_s=limit,
                gap=gap,
                threads=threads,
                seed=seed,
                log=ending.something_to_keep(console.SolveLog(title)),
                solver=solver,
            )
            _solved(instance, result, plan_path, as_json)
        except NoPlanError as error:
            _no_plan(error, instance, method, as_json)
            if isinstance(error, InterruptedSearchError) and ending.terminated:
                raise typer.Exit(errors.EXIT_TERMINATED) from None
            raise
        except KeyboardInterrupt:
            if ending.terminated:
                raise typer.Exit(errors.EXIT_TERMINATED) from None
            raise


def _solved(instance: Instance, result: Result, path: Path | None, as_json: bool) -> None:
    from llmsched_mip.io.files import write_plan

    for part, message in result.failures:
        console.note(f"llmsched solve: {part} failed and was left out: {message}")
    if result.interrupted:
        console.note("interrupted: this is the best plan so far")
    try:
        if path is not None:
            write_plan(result.plan, instance, path)
            console.note(f"plan written to {path}")
    finally:
        if as_json:
            console.emit_json(console.solve_document(result))
        else:
            console.emit(console.table(result.rows()))


def _no_plan(error: NoPlanError, instance: Instance, method: str, as_json: bool) -> None:
    bounds: dict[str, float] = dict(getattr(error, "bounds", {}))
    document = console.no_plan_document(instance.name, instance.objective, method, bounds)
    if as_json:
        console.emit_json(document)
    else:
        console.emit(console.no_plan_table(document))


@app.command()
def bound(
    instance_path: InstancePath,
    objective: ObjectiveName = None,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
) -> None:
    """Print every proven lower bound and say which one binds."""
    from llmsched_mip.bounds import best, compute

    at_least("--time-limit", time_limit, 0.0)
    instance = _read(instance_path)
    instance = instance.with_objective(objective_name(objective, instance))
    failures: dict[str, Exception] = {}
    found = compute(instance, Budget() if time_limit is None else Budget(time_limit), failed=failures.__setitem__)
    for name, error in failures.items():
        console.note(f"llmsched bound: {name} failed and was left out: {errors.error_text(error)}")
    if not found:
        raise SchedulingError(f"{instance.name}: no bound could be computed")
    binding = best(found)
    if as_json:
        values = {own.name: own.value for own in found}
        console.emit_json(
            {"instance": instance.name, "objective": instance.objective, "bounds": values, "best": binding.value}
        )
        return
    rows = [
        [
            own.name + (" *" if own is binding else ""),
            console.seconds_text(own.value),
            f"{own.seconds:.3f}",
            console.proof_text(own.certificate),
        ]
        for own in sorted(found, key=lambda own: -own.value)
    ]
    console.emit(f"{console.instance_text(instance)}, objective {instance.objective}")
    console.emit(console.table(rows, ["bound", "seconds", "time s", "certificate"]))
    console.emit(f"{binding.name} binds: {instance.objective} ≥ {console.seconds_text(binding.value)} s")


@app.command()
def replay(
    instance_path: InstancePath,
    policy: Annotated[
        str,
        typer.Option(
            "--policy", metavar="NAME[:OPTION]", help="Online policy." + listed("policies", "POLICIES") + OPTION_HELP
        ),
    ],
    plan_path: Annotated[
        Path | None, typer.Option("--plan", metavar="PLAN", help="Plan file for policies that follow one.")
    ] = None,
    lengths: Annotated[
        str, typer.Option("--lengths", metavar="WHAT", help="What a policy sees: known, interval or unknown.")
    ] = "known",
    seed: Seed = 0,
    events: Annotated[Path | None, typer.Option("--events", metavar="CSV", help="Event log to write.")] = None,
    slot_timetable: Annotated[
        Path | None,
        typer.Option(
            "--slot-timetable",
            metavar="CSV",
            help="Slots that open and close: columns time_s, worker, slots. Closing drains: what runs finishes.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Execute a policy event by event and measure the schedule."""
    from llmsched_mip.execution import SlotTimetable
    from llmsched_mip.execution import replay as execute
    from llmsched_mip.io.files import read_plan
    from llmsched_mip.policies import require_option, split_option

    base = split_option(policy)[0]
    require_known("--policy", base, "policies", "POLICIES")
    require_option(policy)
    if lengths not in LENGTHS:
        raise InvalidInputError("--lengths", f"expected one of {console.one_of(LENGTHS)}, got {lengths!r}")
    at_least("--seed", seed, 0)
    require_writable(events)
    instance = _read(instance_path)
    plan = None if plan_path is None else read_plan(plan_path, instance)
    if plan is None and base in PLAN_POLICIES and lengths == "known":
        plan = _offline_plan(instance, policy, seed)
    timetable = None if slot_timetable is None else SlotTimetable.read(slot_timetable)
    outcome = execute(instance, policy, plan=plan, lengths=lengths, seed=seed, events=events, slot_timetable=timetable)
    if not as_json:
        console.emit(f"{console.instance_text(instance)}, policy {policy}, lengths {lengths}")
        more = [["evictions", str(outcome.evictions)], ["time", f"{outcome.seconds:.4f} s"]]
        console.emit(console.measures_table(outcome.measures, more))
        return
    measures = outcome.measures.as_dict()
    timed = ("makespan", "total_completion", "mean_latency", "p99_latency", "utilization")
    counted = ("prefill_iterations", "decode_rounds")
    console.emit_json(
        {
            "instance": instance.name,
            "policy": policy,
            **{key: measures[key] for key in timed + counted},
            "evictions": outcome.evictions,
            "kv_peak": measures["kv_peak"],
            "seconds": outcome.seconds,
        }
    )


def _offline_plan(instance: Instance, policy: str, seed: int) -> Plan:
    """The offline half of the hybrid method, where no plan is given and the lengths are known."""
    from llmsched_mip.methods import solve as plan_offline

    console.note(f"policy {policy} without --plan: planning offline for up to {OFFLINE_SECONDS:g} s")
    result = plan_offline(instance, time_limit_s=OFFLINE_SECONDS, gap=OFFLINE_GAP, seed=seed)
    plan = result.plan
    console.note(f"planned with method {plan.method}: {plan.objective} {result.value:.4f}")
    return plan


@app.command()
def check(
    instance_path: InstancePath,
    plan_path: Annotated[Path | None, typer.Argument(metavar="[PLAN]", help="Plan file to check.")] = None,
) -> None:
    """Validate an instance, or a plan for it: every violation, or the measures."""
    from llmsched_mip.evaluation import evaluate
    from llmsched_mip.io.files import read_plan

    try:
        instance = _read(instance_path)
        plan = None if plan_path is None else read_plan(plan_path, instance)
    except InvalidInputError as error:
        console.note(f"llmsched check: {error}")
        raise typer.Exit(errors.EXIT_INVALID) from None
    if plan is None:
        console.emit(f"valid: {console.instance_text(instance)}, objective {instance.objective}")
        return
    result = evaluate(instance, plan)
    if result.violations:
        for violation in result.violations:
            console.emit(str(violation))
        count = len(result.violations)
        console.note(f"llmsched check: {plan_path}: {count} violation{'s' if count > 1 else ''}")
        raise typer.Exit(errors.EXIT_INVALID)
    console.emit(f"valid: plan {plan_path} for {console.instance_text(instance)}")
    console.emit(console.measures_table(result.measures))


app.command()(generate)
app.command("import")(import_)
app.command()(export)
app.command()(report)
app.command()(gantt)
app.command()(study)


@app.command()
def schema(kind: Annotated[str, typer.Argument(metavar="instance|plan", help="Which file format.")]) -> None:
    """Print the JSON schema of instance or plan files."""
    from llmsched_mip.io.files import json_schema

    if kind not in ("instance", "plan"):
        raise InvalidInputError("schema", f"expected one of instance, plan, got {kind!r}")
    console.emit(json.dumps(json_schema(kind), indent=2))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (see `llmsched_mip.errors`)."""
    with streams.standing():
        code = answer(lambda: _run(hyphens(sys.argv[1:] if arguments is None else arguments)))
        lost = answer(streams.finish)
        return lost or code


def _run(arguments: list[str]) -> int:
    try:
        code = app(arguments, prog_name="llmsched", standalone_mode=False)
    except SystemExit as error:
        # What prints help texts ends the program with code 1 when nobody reads them.
        if isinstance(error.__context__, BrokenPipeError):
            raise errors.OutputError from None
        raise
    if code == errors.EXIT_INTERRUPTED:
        raise KeyboardInterrupt
    return code if isinstance(code, int) else errors.EXIT_DONE
