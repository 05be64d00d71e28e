"""Results to text: tables, the solve log, JSON objects, one-line errors."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from llmsched_mip.io import streams
from llmsched_mip.texts import long_text, percent_text, seconds_text, verdict_text

if TYPE_CHECKING:
    from llmsched_mip.instance import Instance, Worker
    from llmsched_mip.measures import Measures
    from llmsched_mip.result import Result


def note(text: str) -> None:
    """One line on standard error."""
    streams.say(" ".join(text.splitlines()))


def emit(text: str) -> None:
    """Text on standard output; raises `OutputError` where it can't be written."""
    streams.put(text)


def emit_json(document: dict[str, Any]) -> None:
    """One JSON object on standard output; what is not finite becomes null, what can't be written is escaped."""
    text = json.dumps(_finite(document), indent=1, ensure_ascii=False, allow_nan=False)
    emit(text if streams.writes(text) else json.dumps(json.loads(text), indent=1))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(rows: Sequence[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Aligned text columns, the first to the left, numbers to the right."""
    sides = ["right" if all(map(_numeric, column)) else "left" for column in zip(*rows, strict=True)]
    form = "simple" if head else "plain"
    text = tabulate(rows, head, form, disable_numparse=True, colalign=sides, preserve_whitespace=True)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _numeric(cell: str) -> bool:
    return cell in ("", "-") or cell[:1].isdigit() or cell[:1] == "-"


def worker_text(workers: Sequence[Worker]) -> str:
    """Workers with their slots and KV capacity in a few words."""
    first = workers[0]
    slots = "no slot limit" if first.slots is None else f"{first.slots} slots"
    kv = "no KV limit" if first.kv_capacity is None else f"KV {first.kv_capacity} tokens"
    if len(workers) == 1:
        return f"1 worker ({slots}, {kv})"
    return f"{len(workers)} workers"


def instance_text(instance: Instance) -> str:
    """Name and size of an instance in one line."""
    return f"{instance.name}: {instance.n} requests, {worker_text(instance.workers)}"


def workers_table(workers: Sequence[Worker]) -> str:
    """Limits and times of workers, one a line; times in milliseconds."""
    head = ["worker", "slots", "KV tokens", "prefill cap", "decode round ms", "prefill ms, of 1000 tokens"]
    rows = []
    for worker in workers:
        limits = [
            "-" if limit is None else str(limit)
            for limit in (worker.slots, worker.kv_capacity, worker.prefill_token_cap)
        ]
        decode_ms = 1000 * worker.decode_time.round_seconds(1, 0)
        rows.append([worker.name, *limits, f"{decode_ms:.2f}", f"{1000 * worker.prefill_time.seconds(1000):.1f}"])
    return str(tabulate(rows, headers=head, disable_numparse=True, colalign=("left", *["right"] * 5)))


def wrote_instance(path: Path, instance: Instance, as_json: bool, **more: Any) -> None:
    """Say which instance was written, and `more` of it in the JSON object."""
    note(f"{path}: {instance_text(instance)}")
    if as_json:
        size = {"requests": instance.n, "workers": len(instance.workers)}
        emit_json({"file": str(path), "instance": instance.name, "instance_digest": instance.digest, **size, **more})


def solve_document(result: Result, fcfs: float | None) -> dict[str, Any]:
    """The JSON object of `solve`; `failures` are the parts that failed on the way, `fcfs` is the rule's value."""
    plan = {key: getattr(result.plan, key) for key in ("instance", "objective", "method")}
    found = {key: getattr(result, key) for key in ("status", "value", "bound", "gap", "bounds", "seconds")}
    verdict = verdict_text(result.plan.objective, result.value, result.bound, result.status == "optimal", fcfs)
    more = {
        "above_bound": result.above_bound,
        "fcfs": fcfs,
        "faster_than_fcfs": (fcfs - result.value) / fcfs if fcfs else None,
        "verdict": verdict,
        "interrupted": result.interrupted,
        "measures": result.measures.as_dict(),
        "trace": [event._asdict() for event in result.trace],
        "stochastic": None if result.plan.stochastic is None else asdict(result.plan.stochastic),
    }
    return {**plan, **found, "failures": [failure._asdict() for failure in result.failures], **more}


def no_plan_document(instance: str, objective: str, method: str, bounds: dict[str, float]) -> dict[str, Any]:
    """The JSON object of a `solve` that ended without a plan: the bounds stand, there is no value."""
    head = {"instance": instance, "objective": objective, "method": method, "status": "no plan"}
    bound = max(bounds.values(), default=None)
    found: dict[str, Any] = {
        "value": None,
        "bound": bound,
        "gap": None,
        "bounds": bounds,
        "seconds": None,
        "failures": [],
    }
    more = ("above_bound", "fcfs", "faster_than_fcfs", "verdict", "interrupted", "measures")
    return {**head, **found, **dict.fromkeys(more), "trace": [], "stochastic": None}


def no_plan_table(document: dict[str, Any]) -> str:
    """The table of a `solve` that ended without a plan."""
    names = ("instance", "method", "status")
    return table([*([n, document[n]] for n in names), ["bound", f"{seconds_text(document['bound'])} s"]])


def measures_table(measures: Measures, more: Sequence[Sequence[str]] = ()) -> str:
    """All measures of a schedule, one a line, and `more` rows."""
    times = {
        "makespan": measures.makespan,
        "total completion": measures.total_completion,
        "mean latency": measures.mean_latency,
        "p99 latency": measures.p99_latency,
        "mean time to first token": measures.mean_time_to_first_token,
        "p99 time to first token": measures.p99_time_to_first_token,
    }
    rows = [[name, f"{seconds_text(value)} s"] for name, value in times.items()]
    rows += [["utilization", percent_text(measures.utilization, 2)]]
    if len(measures.worker_utilization) > 1:
        rows += [[f"  {name}", percent_text(share, 2)] for name, share in measures.worker_utilization.items()]
    rows += [
        ["prefill iterations", str(measures.prefill_iterations)],
        ["decode rounds", str(measures.decode_rounds)],
        ["KV peak", f"{measures.kv_peak} tokens"],
    ]
    # Of a total, which is a sum over requests, hours say nothing.
    beside = {name: long_text(value) for name, value in times.items() if name != "total completion"}
    if not any(beside.values()):
        return table([*rows, *more])
    return table([[*row, beside.get(row[0], "")] for row in [*rows, *more]])


def plain_certificate(certificate: dict[str, Any]) -> dict[str, Any]:
    """The counts, names and figures of a certificate; what is longer is left out."""
    return {key: value for key, value in certificate.items() if isinstance(value, int | float | str)}


def proof_text(certificate: dict[str, Any]) -> str:
    """The counts and names of a certificate in a few words."""
    parts = [f"{key.replace('_', ' ')} {v}" for key, v in certificate.items() if isinstance(v, int | str)]
    return ", ".join(parts)
