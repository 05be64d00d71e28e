"""`llmsched import`: an instance of a trace file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import llmsched_mip
from llmsched_mip import workload
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, Output, at_least, listed, require_known
from llmsched_mip.io.storage import require_writable
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.workload import DEPLOYMENTS, IMPORTERS


def import_(
    trace_format: Annotated[str, typer.Argument(metavar="FORMAT", help="Format." + listed(IMPORTERS))],
    trace: Annotated[Path, typer.Argument(metavar="FILE", help="Trace file.")],
    output: Output,
    worker: Annotated[
        str,
        typer.Option("--worker", metavar="PROFILE", help="Deployment or file." + listed(DEPLOYMENTS)),
    ],
    decode_column: Annotated[
        str, typer.Option("--decode-column", metavar="NAME", help="Column of decode tokens.")
    ] = "decode_tokens",
    prefill_column: Annotated[
        str, typer.Option("--prefill-column", metavar="NAME", help="Column of prompt tokens.")
    ] = "prefill_tokens",
    arrival_column: Annotated[
        str, typer.Option("--arrival-column", metavar="NAME", help="Column of arrival times, seconds.")
    ] = "arrival_s",
    backlog: Annotated[bool, typer.Option("--backlog", help="All requests arrive at 0.")] = False,
    id_column: Annotated[str | None, typer.Option("--id-column", metavar="NAME", help="Column of request ids.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the instance; default the file's.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="Only the first N rows.")] = None,
    slots: Annotated[int | None, typer.Option("--slots", metavar="N", help="Slots for the worker's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an instance of a trace file on one worker."""
    require_known("FORMAT", trace_format, IMPORTERS)
    at_least("--limit", limit, 1)
    at_least("--slots", slots, 1, MOST_LIMIT)
    require_writable(output)
    columns = workload.Columns(prefill_column, decode_column, None if backlog else arrival_column, id_column)
    instance = IMPORTERS[trace_format](trace, worker, columns, name=name, limit=limit, slots=slots)
    llmsched_mip.write_instance(instance, output)
    console.wrote_instance(output, instance, as_json)
