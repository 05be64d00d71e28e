"""`llmsched generate`: an instance of a family."""

from __future__ import annotations

from typing import Annotated

import typer

import llmsched_mip
from llmsched_mip import workload
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import (
    AsJson,
    DropUnfit,
    KvCapacity,
    Output,
    PrefillCap,
    Seed,
    Workers,
    at_least,
    limit_of,
    listed,
    require_known,
)
from llmsched_mip.io.storage import require_writable
from llmsched_mip.limits import MOST_LIMIT, MOST_REQUESTS, MOST_WORKERS
from llmsched_mip.workload import DEPLOYMENTS, FAMILIES


def generate(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="Family." + listed(FAMILIES))],
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
            help="Deployment or worker file for the family's." + listed(DEPLOYMENTS),
        ),
    ] = None,
    slots: Annotated[int | None, typer.Option("--slots", metavar="N", help="Slots for the worker's.")] = None,
    workers: Workers = 1,
    kv_capacity: KvCapacity = None,
    prefill_cap: PrefillCap = None,
    drop_unfit: DropUnfit = False,
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
    as_json: AsJson = False,
) -> None:
    """Generate an instance of a family; equal arguments give equal files."""
    require_known("FAMILY", family, FAMILIES)
    at_least("--requests", requests, 1, MOST_REQUESTS)
    at_least("--seed", seed, 0)
    at_least("--slots", slots, 1, MOST_LIMIT)
    at_least("--workers", workers, 1, MOST_WORKERS)
    require_writable(output)
    instance = workload.generate(
        family,
        requests,
        seed,
        worker=worker,
        slots=slots,
        workers=workers,
        kv_capacity=limit_of("--kv-capacity", kv_capacity),
        prefill_cap=limit_of("--prefill-cap", prefill_cap),
        drop_unfit=drop_unfit,
        rate=rate,
        intervals=intervals,
        predictions=predictions,
    )
    llmsched_mip.write_instance(instance, output)
    console.wrote_instance(output, instance, as_json)
