"""`llmsched size`: how many workers a deadline takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import llmsched_mip
from llmsched_mip import errors, report, workload
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, InstancePath, at_least, listed
from llmsched_mip.cli.interrupts import Ending
from llmsched_mip.durations import read_duration
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import require_writable, write_bytes
from llmsched_mip.limits import MOST_LIMIT, MOST_THREADS
from llmsched_mip.operations import running_cost, sizing
from llmsched_mip.texts import duration_text, percent_text, seconds_text
from llmsched_mip.worker import Cost, base_name
from llmsched_mip.workload import DEPLOYMENTS

if TYPE_CHECKING:
    from llmsched_mip.instance import Instance
    from llmsched_mip.operations.running_cost import RunningCost
    from llmsched_mip.operations.sizing import Sizing, Step
    from llmsched_mip.worker import Worker

MOST_COST = 1e9
HEAD = ["workers", "at least", "plan", "deadline"]
COSTS = {"gpu_hours": "GPU h", "price": "price", "energy_kwh": "kWh"}

Threads = Annotated[int | None, typer.Option("--threads", metavar="N", help="Processes of a search.")]
Gpus = Annotated[int, typer.Option("--gpus", metavar="N", help="GPUs of one worker, for GPU hours.")]
Price = Annotated[float | None, typer.Option("--price-per-hour", metavar="P", help="Of one worker, for the file's.")]
WattsIdle = Annotated[
    float | None, typer.Option("--watts-idle", metavar="W", help="Of one worker that waits, for the file's.")
]
WattsBusy = Annotated[
    float | None, typer.Option("--watts-busy", metavar="W", help="Of one worker at work, for the file's.")
]
PlanPath = Annotated[Path | None, typer.Option("--plan", metavar="PLAN", help="Plan of the fewest workers, to write.")]
FleetPath = Annotated[
    Path | None, typer.Option("--fleet", metavar="INSTANCE", help="Instance with the fewest workers, to write.")
]
ChartPath = Annotated[
    Path | None, typer.Option("--chart", metavar="FILE", help="Picture to write: .svg, .png or .pdf.")
]


def size(
    instance_path: InstancePath,
    deadline: Annotated[
        str, typer.Option("--deadline", metavar="D", help="Time for all requests: 8h, 90m, 2h13m, 3600 (seconds).")
    ],
    worker: Annotated[
        str | None,
        typer.Option(
            "--worker", metavar="PROFILE", help="Worker to count; default the instance's." + listed(DEPLOYMENTS)
        ),
    ] = None,
    time_limit: Annotated[
        float, typer.Option("--time-limit", metavar="S", help="Wall time for all plans, seconds.")
    ] = sizing.DEFAULT_TIME_LIMIT_S,
    threads: Threads = None,
    gpus: Gpus = 1,
    price_per_hour: Price = None,
    watts_idle: WattsIdle = None,
    watts_busy: WattsBusy = None,
    plan_path: PlanPath = None,
    fleet_path: FleetPath = None,
    chart_path: ChartPath = None,
    as_json: AsJson = False,
) -> None:
    """How many workers a deadline takes: the fewest with a plan, the most that provably cannot, cost and energy."""
    deadline_s = read_duration(deadline, "--deadline")
    at_least("--time-limit", time_limit, 0)
    at_least("--threads", threads, 1, MOST_THREADS)
    at_least("--gpus", gpus, 1, MOST_LIMIT)
    given = {"price_per_hour": price_per_hour, "watts_idle": watts_idle, "watts_busy": watts_busy}
    for name, value in given.items():
        at_least(f"--{name.replace('_', '-')}", value, 0.0)
    if chart_path is not None and chart_path.suffix not in report.SIZE_CHARTS:
        raise InvalidInputError(
            "--chart", f"expected a name that ends in {', '.join(report.SIZE_CHARTS)}, got {chart_path}"
        )
    for path in (plan_path, fleet_path, chart_path):
        require_writable(path)
    instance = llmsched_mip.read_instance(instance_path)
    counted = _only_worker(instance) if worker is None else _named_worker(instance, worker)
    with Ending() as ending:
        found = sizing.size(instance, counted, deadline_s, time_limit_s=time_limit, threads=threads, log=console.note)
    best = found.best
    if best is not None and best.result is not None:
        fleet = sizing.fleet_of(instance, counted, best.workers)
        if fleet_path is not None:
            llmsched_mip.write_instance(fleet, fleet_path)
        if plan_path is not None:
            llmsched_mip.write_plan(best.result.plan, fleet, plan_path)
    costs = _costs(instance, counted, found, _cost(counted, given), gpus)
    if chart_path is not None:
        title = f"{instance.name} on {counted.name}"
        write_bytes(chart_path, report.size_chart(found, title, chart_path.suffix))
    if as_json:
        console.emit_json(_document(instance, counted, found, costs))
    else:
        _emit(instance, counted, found, costs)
    if best is None:
        code = errors.EXIT_TERMINATED if ending.terminated else errors.EXIT_INTERRUPTED
        raise typer.Exit(code if ending.number else errors.EXIT_NO_PLAN)


def _only_worker(instance: Instance) -> Worker:
    """The worker of an instance whose workers are all of one kind, without the number in its name."""
    if len(instance.worker_kinds) > 1:
        raise InvalidInputError("--worker", f"needed: the workers of {instance.name} are of several kinds")
    return replace(instance.workers[0], name=base_name(instance.workers))


def _named_worker(instance: Instance, name: str) -> Worker:
    """A deployment or a worker file, as `import` makes a worker of it for these requests."""
    requests = instance.requests
    return workload.Fleet(name).workers(requests.prefill_tokens, requests.decode_tokens)[0]


def _cost(worker: Worker, given: dict[str, float | None]) -> Cost:
    """What the worker's file says, and in its place what the options say."""
    known = {} if worker.cost is None else worker.cost.document()
    return Cost(**{**known, **{name: value for name, value in given.items() if value is not None}})


def _costs(instance: Instance, worker: Worker, found: Sizing, cost: Cost, gpus: int) -> dict[int, RunningCost]:
    return {
        step.workers: running_cost.running_cost(
            sizing.fleet_of(instance, worker, step.workers), step.result.plan, cost, gpus
        )
        for step in found.steps
        if step.result is not None
    }


def _document(instance: Instance, worker: Worker, found: Sizing, costs: dict[int, RunningCost]) -> dict[str, Any]:
    return {
        "instance": instance.name,
        "worker": worker.name,
        "deadline_s": found.deadline_s,
        "deadline": duration_text(found.deadline_s),
        "fewest": found.fewest,
        "impossible": found.impossible,
        "steps": [
            {
                "workers": step.workers,
                "bound": step.bound,
                "value": step.value,
                "meets": _verdict(step, found),
                "cost": costs[step.workers].document() if step.workers in costs else None,
            }
            for step in found.steps
        ],
    }


def _verdict(step: Step, found: Sizing) -> bool | None:
    """Whether so many workers meet the deadline; None where nobody knows."""
    if step.workers <= found.impossible:
        return False
    return True if found.fewest is not None and step.workers >= found.fewest else None


def _emit(instance: Instance, worker: Worker, found: Sizing, costs: dict[int, RunningCost]) -> None:
    deadline = duration_text(found.deadline_s)
    console.emit(f"{instance.name}: {instance.n} requests on {worker.name}, deadline {deadline}")
    shown = [name for name in COSTS if any(getattr(cost, name) is not None for cost in costs.values())]
    head = [*HEAD, *(text for name in shown for text in (COSTS[name], f"{COSTS[name]} / M tokens"))]
    said = {True: "met", False: "provably missed", None: "?"}
    rows = []
    for step in found.steps:
        cost = costs.get(step.workers)
        figures = [(getattr(cost, name), cost.per_million(name)) if cost else (None, None) for name in shown]
        row = [str(step.workers), duration_text(step.bound), duration_text(step.value), said[_verdict(step, found)]]
        rows.append([*row, *(_figure(value) for pair in figures for value in pair)])
    console.emit(console.table(rows, head))
    if shown:
        console.emit("per million tokens of prompts and outputs together; --json has those of outputs alone")
    best = found.best
    if best is None:
        console.emit(f"no plan was found that meets {deadline} in this time")
    else:
        late = percent_text(best.value / found.deadline_s, 1) if best.value is not None else "-"
        text = f"{best.workers} worker{'s' * (best.workers > 1)} meet{'s' * (best.workers == 1)} {deadline}"
        console.emit(f"{text}: {duration_text(best.value)} ({seconds_text(best.value)} s), {late} of it")
    if found.impossible:
        what = "1 provably cannot" if found.impossible == 1 else f"{found.impossible} or fewer provably cannot"
        console.emit(what)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
