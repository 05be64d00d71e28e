"""The commands `llmsched generate` and `llmsched import`: instances of a family or of a trace file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsched_mip import console
from llmsched_mip.cli.arguments import Output, Seed, at_least, listed, require_known
from llmsched_mip.io.storage import require_writable
from llmsched_mip.limits import MOST_LIMIT, MOST_REQUESTS


def generate(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="Family." + listed("workload", "FAMILIES"))],
    output: Output,
    requests: Annotated[
        int | None, typer.Option("--requests", metavar="N", help="Number of requests; default the family's.")
    ] = None,
    seed: Seed = 0,
    worker: Annotated[
        str | None,
        typer.Option(
            "--worker",
            metavar="PROFILE",
            help="Deployment for the family's." + listed("workload", "DEPLOYMENTS"),
        ),
    ] = None,
    slots: Annotated[int | None, typer.Option("--slots", metavar="N", help="Slots for the worker's.")] = None,
    rate: Annotated[
        float | None, typer.Option("--rate", metavar="R", help="Arrivals per second; default a backlog.")
    ] = None,
    intervals: Annotated[
        float | None,
        typer.Option("--intervals", metavar="U", help="Prediction intervals of ratio u / l = U."),
    ] = None,
    predictions: Annotated[
        str | None,
        typer.Option(
            "--predictions",
            metavar="KIND:NUMBERS",
            help="Other predictions: biased:U:FACTOR, wrong:U:SHARE (length outside) or lognormal:SIGMA.",
        ),
    ] = None,
) -> None:
    """Generate an instance of a family; equal arguments give equal files."""
    from llmsched_mip.io.files import write_instance
    from llmsched_mip.workload import generate as make

    require_known("FAMILY", family, "workload", "FAMILIES")
    at_least("--requests", requests, 1, MOST_REQUESTS)
    at_least("--seed", seed, 0)
    at_least("--slots", slots, 1, MOST_LIMIT)
    require_writable(output)
    instance = make(
        family,
        requests,
        seed,
        worker=worker,
        slots=slots,
        rate=rate,
        intervals=intervals,
        predictions=predictions,
    )
    write_instance(instance, output)
    console.note(f"{output}: {console.instance_text(instance)}")


def import_(
    trace_format: Annotated[str, typer.Argument(metavar="FORMAT", help="Format." + listed("workload", "IMPORTERS"))],
    trace: Annotated[Path, typer.Argument(metavar="FILE", help="Trace file.")],
    output: Output,
    worker: Annotated[
        str,
        typer.Option("--worker", metavar="PROFILE", help="Deployment or file." + listed("workload", "DEPLOYMENTS")),
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
) -> None:
    """Make an instance of a trace file on one worker."""
    from llmsched_mip.io.files import write_instance
    from llmsched_mip.workload import IMPORTERS

    require_known("FORMAT", trace_format, "workload", "IMPORTERS")
    at_least("--limit", limit, 1)
    at_least("--slots", slots, 1, MOST_LIMIT)
    require_writable(output)
    instance = IMPORTERS[trace_format](
        trace,
        worker,
        name=name,
        limit=limit,
        slots=slots,
        prefill_column=prefill_column,
        decode_column=decode_column,
        arrival_column=None if backlog else arrival_column,
        id_column=id_column,
    )
    write_instance(instance, output)
    console.note(f"{output}: {console.instance_text(instance)}")
