"""`llmsched handover`: the order of a plan for those who run it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsched_mip import report
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, listed, require_known
from llmsched_mip.errors import InvalidInputError, UnreadableFileError
from llmsched_mip.io import streams
from llmsched_mip.io.storage import read_bytes, require_writable, unwritable, write_bytes
from llmsched_mip.operations import handover as orders

STANDARD_OUTPUT = "-"


def handover(
    plan_path: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan file.")],
    order_format: Annotated[
        str, typer.Option("--format", metavar="NAME", help="What to write." + listed(orders.FORMATS))
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="OUT", help="File to write, - for standard output; openai-batch: a folder."
        ),
    ],
    instance_path: Annotated[
        Path | None,
        typer.Option("--instance", metavar="INSTANCE", help="Its instance; looked for near the plan without it."),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="openai-batch: the batch file, JSONL, whose lines are ordered."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hand over the order of a plan: a table, priorities for vLLM, or the lines of a batch file, a file a worker."""
    require_known("--format", order_format, orders.FORMATS)
    to_batch, to_stream = order_format == "openai-batch", str(output) == STANDARD_OUTPUT
    if to_batch != (batch is not None):
        raise InvalidInputError("--input", f"goes with --format openai-batch, which needs it, got {order_format}")
    if to_stream and (to_batch or as_json):
        raise InvalidInputError("--output", "expected a folder" if to_batch else "expected a file, --json has -")
    if not (to_batch or to_stream):
        require_writable(output)
    plan, instance = report.require_plan_and_instance(plan_path, instance_path)
    found = orders.turns(instance, plan)
    written: dict[str, str]
    if batch is not None:
        written = _write_batch(found, batch, output)
    else:
        text = orders.csv_table(found)
        if order_format == "vllm":
            text = orders.vllm_priorities(found, ".json" in output.suffixes)
        if to_stream:
            streams.put(text.removesuffix("\n"))
            return
        write_bytes(output, text.encode())
        written = dict.fromkeys(found, str(output))
    if as_json:
        workers = [{"name": name, "requests": len(order), "file": written[name]} for name, order in found.items()]
        console.emit_json({"instance": instance.name, "format": order_format, "workers": workers})
    console.note(f"{output}: {order_format}, {instance.n} requests on {len(found)} worker{'s' * (len(found) > 1)}")


def _write_batch(found: dict[str, list[orders.Turn]], batch: Path, folder: Path) -> dict[str, str]:
    """All is checked before the first file is written."""
    files = orders.batch_files(found, read_bytes(batch), str(batch))
    paths = {worker: folder / name for worker, name in orders.file_names(list(found)).items()}
    try:
        if folder.exists() and not folder.is_dir():
            raise UnreadableFileError(f"{folder}: cannot be written: is not a directory")
        if any(path.exists() and path.samefile(batch) for path in paths.values()):
            raise InvalidInputError("--output", f"{folder} holds the input {batch} under the name of a worker's file")
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise unwritable(folder, error) from None
    for worker, path in paths.items():
        write_bytes(path, files[worker])
    return {worker: str(path) for worker, path in paths.items()}
