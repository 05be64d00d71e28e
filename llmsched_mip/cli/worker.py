"""`llmsched worker`: named deployments and worker files of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsched_mip import io, workload
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, KvCapacity, PrefillCap, at_least, limit_of, require_known
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import require_writable
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.workload import DEPLOYMENTS

ACTIONS = ("list", "show", "new")
PREFILL, DECODE = "SECONDS:SECONDS_PER_TOKEN", "SECONDS[:PER_SEQUENCE[:PER_KV_TOKEN]]"

Action = Annotated[str, typer.Argument(metavar="list|show|new", help="What to do.")]
Profile = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="show: deployment or worker file; new: name of the worker."),
]
NewFile = Annotated[Path | None, typer.Option("--output", "-o", metavar="WORKER", help="new: worker file to write.")]
Like = Annotated[str | None, typer.Option("--like", metavar="PROFILE", help="new: what is not given is as there.")]
Slots = Annotated[int | None, typer.Option("--slots", metavar="N", help="new: most requests in decode at once.")]
Prefill = Annotated[str | None, typer.Option("--prefill", metavar=PREFILL, help="new: time of a prefill iteration.")]
Decode = Annotated[str | None, typer.Option("--decode", metavar=DECODE, help="new: time of a decode round.")]
Source = Annotated[str | None, typer.Option("--source", metavar="TEXT", help="new: where the figures come from.")]


def worker(
    action: Action,
    name: Profile = None,
    output: NewFile = None,
    like: Like = None,
    slots: Slots = None,
    kv_capacity: KvCapacity = None,
    prefill_cap: PrefillCap = None,
    prefill: Prefill = None,
    decode: Decode = None,
    source: Source = None,
    as_json: AsJson = False,
) -> None:
    """List the named deployments, show one or a worker file, or write a new worker file."""
    require_known("worker", action, ACTIONS)
    given = {
        "--output": output,
        "--like": like,
        "--slots": slots,
        "--kv-capacity": kv_capacity,
        "--prefill-cap": prefill_cap,
        "--prefill": prefill,
        "--decode": decode,
        "--source": source,
    }
    if action != "new" and (idle := [option for option, value in given.items() if value is not None]):
        raise InvalidInputError(idle[0], f"is an option of worker new, not of worker {action}")
    if action == "list":
        _list(name, as_json)
        return
    if name is None:
        what = "expected a deployment or a worker file" if action == "show" else "expected a name for the worker"
        raise InvalidInputError("NAME", what)
    if action == "show":
        _show(name, as_json)
        return
    at_least("--slots", slots, 1, MOST_LIMIT)
    require_writable(output)
    parts = workload.NewWorker(
        like,
        slots,
        limit_of("--kv-capacity", kv_capacity),
        limit_of("--prefill-cap", prefill_cap),
        _numbers("--prefill", prefill, (2, 2), PREFILL),
        _numbers("--decode", decode, (1, 3), DECODE),
        source,
    )
    made = workload.new_worker(name, parts)
    text = io.worker_file_text(*made)
    if output is None and as_json:
        console.emit_json({"workers": [io.worker_file_document(*made)], "output": None})
        return
    if output is None:
        console.emit(text.rstrip("\n"))
        return
    io.write_bytes(output, text.encode())
    if as_json:
        console.emit_json({"workers": [io.worker_file_document(*made)], "output": str(output)})
    else:
        console.note(f"{output}: worker {name}")


def _list(name: str | None, as_json: bool) -> None:
    if name is not None:
        raise InvalidInputError("worker list", f"takes no name, got {name!r}; worker show NAME shows one")
    known = [io.read_worker_file(workload.deployment_file(one)) for one in DEPLOYMENTS]
    if as_json:
        shown = [io.worker_file_document(worker, source) for worker, source in known]
        console.emit_json({"workers": shown, "output": None})
    else:
        console.emit(console.workers_table([worker for worker, _ in known]))


def _show(name: str, as_json: bool) -> None:
    """The worker file, which is one JSON object, or that among the results of the command."""
    workload.deployment(name)
    if as_json:
        found = io.read_worker_file(workload.deployment_file(name))
        console.emit_json({"workers": [io.worker_file_document(*found)], "output": None})
        return
    console.emit(io.worker_file_text(*io.read_worker_file(workload.deployment_file(name))).rstrip("\n"))


def _numbers(option: str, text: str | None, counts: tuple[int, int], form: str) -> tuple[float, ...] | None:
    """Numbers with colons between them."""
    if text is None:
        return None
    parts = text.split(":")
    try:
        values = tuple(float(part) for part in parts)
    except ValueError:
        values = ()
    if not counts[0] <= len(values) <= counts[1]:
        raise InvalidInputError(option, f"expected {form}, got {text!r}")
    for value in values:
        at_least(option, value, 0)
    return values
