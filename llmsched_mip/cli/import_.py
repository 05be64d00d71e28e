"""`llmsched import`: an instance of a trace file."""

from __future__ import annotations

from pathlib import Path
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
    Workers,
    at_least,
    limit_of,
    listed,
    require_known,
)
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import require_writable
from llmsched_mip.limits import MOST_LIMIT, MOST_WORKERS
from llmsched_mip.workload import DEPLOYMENTS, IMPORTERS

FormatName = Annotated[
    str,
    typer.Argument(metavar="[FORMAT]", help="Format; found by itself without it." + listed(IMPORTERS)),
]
Profile = Annotated[
    str,
    typer.Option("--worker", metavar="PROFILE", help="Deployment or worker file." + listed(DEPLOYMENTS)),
]
TraceFile = Annotated[str | None, typer.Argument(metavar="FILE", help="Trace file, - for standard input.")]
DecodeColumn = Annotated[
    str | None,
    typer.Option("--decode-column", metavar="NAME", help="csv: column of decode tokens; openai-batch: field."),
]
PrefillColumn = Annotated[str, typer.Option("--prefill-column", metavar="NAME", help="csv: column of prompt tokens.")]
ArrivalColumn = Annotated[
    str, typer.Option("--arrival-column", metavar="NAME", help="csv: column of arrivals, seconds or dates.")
]
Backlog = Annotated[bool, typer.Option("--backlog", help="All requests arrive at 0.")]
IdColumn = Annotated[
    str | None, typer.Option("--id-column", metavar="NAME", help="csv: column of request ids; default id.")
]
Name = Annotated[str | None, typer.Option("--name", help="Name of the instance; default the file's.")]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", help="Only the first N requests.")]
Slots = Annotated[int | None, typer.Option("--slots", metavar="N", help="Slots for the worker's.")]
IntervalQuantile = Annotated[
    float | None,
    typer.Option(
        "--interval-quantile",
        metavar="Q",
        help="Prediction intervals from the (1 - Q)- to the Q-quantile of all output lengths, 0.5 < Q ≤ 1.",
    ),
]
DecodeQuantile = Annotated[
    float | None,
    typer.Option("--decode-quantile", metavar="Q", help="openai-batch: output length as part of max_tokens; 1."),
]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", metavar="N", help="openai-batch: for lines without max_tokens.")
]
Tokenizer = Annotated[
    Path | None,
    typer.Option("--tokenizer", metavar="FILE", help="openai-batch: tokenizer.json; else characters / 4."),
]
PrefixBlocks = Annotated[
    bool, typer.Option("--prefix-blocks/--no-prefix-blocks", help="mooncake: keep the ids of the prompts' blocks.")
]


def import_(
    trace_format: FormatName,
    output: Output,
    worker: Profile,
    trace: TraceFile = None,
    decode_column: DecodeColumn = None,
    prefill_column: PrefillColumn = "prefill_tokens",
    arrival_column: ArrivalColumn = "arrival_s",
    backlog: Backlog = False,
    id_column: IdColumn = None,
    name: Name = None,
    limit: Limit = None,
    slots: Slots = None,
    workers: Workers = 1,
    kv_capacity: KvCapacity = None,
    prefill_cap: PrefillCap = None,
    drop_unfit: DropUnfit = False,
    interval_quantile: IntervalQuantile = None,
    decode_quantile: DecodeQuantile = None,
    max_tokens: MaxTokens = None,
    tokenizer: Tokenizer = None,
    prefix_blocks: PrefixBlocks = True,
    as_json: AsJson = False,
) -> None:
    """Make an instance of a trace file; what is ignored, left out or assumed is said on standard error."""
    given, file = (None, trace_format) if trace is None else (trace_format, trace)
    if given is not None:
        require_known("FORMAT", given, IMPORTERS)
    at_least("--limit", limit, 1)
    at_least("--slots", slots, 1, MOST_LIMIT)
    at_least("--workers", workers, 1, MOST_WORKERS)
    at_least("--max-tokens", max_tokens, 1)
    at_least("--decode-quantile", decode_quantile, 0, 1)
    if decode_quantile is not None and decode_column is not None:
        raise InvalidInputError("--decode-quantile", "the length is a quantile or --decode-column, not both")
    require_writable(output)
    workload.deployment(worker)
    columns = workload.Columns(
        prefill_column,
        "decode_tokens" if decode_column is None else decode_column,
        None if backlog else arrival_column,
        id_column,
    )
    reading = workload.Reading(
        columns,
        limit,
        backlog,
        decode_column,
        1.0 if decode_quantile is None else decode_quantile,
        max_tokens,
        None if tokenizer is None else str(tokenizer),
        interval_quantile,
        prefix_blocks,
    )
    fleet = workload.Fleet(
        worker, workers, slots, limit_of("--kv-capacity", kv_capacity), limit_of("--prefill-cap", prefill_cap)
    )
    done = workload.import_trace(file, fleet, given, reading, name=name, drop_unfit=drop_unfit)
    llmsched_mip.write_instance(done.instance, output)
    _report(done, output, as_json)


def _report(done: workload.Imported, output: Path, as_json: bool) -> None:
    instance = done.instance
    for note in done.notes:
        console.note(f"{done.format}: {note}")
    if done.unfit:
        console.note(workload.unfit_note(done.unfit, instance.n + len(done.unfit)))
    console.wrote_instance(
        output, instance, as_json, format=done.format, notes=list(done.notes), unfit=list(done.unfit)
    )
