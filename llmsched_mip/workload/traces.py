"""From a trace file to an instance: the format, the workers, what does not fit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance, Requests, Worker
from llmsched_mip.io.lines import STANDARD_INPUT, Lines
from llmsched_mip.io.storage import readable
from llmsched_mip.limits import MOST_REQUESTS
from llmsched_mip.names import DEPLOYMENTS
from llmsched_mip.workload.deployments import deployment
from llmsched_mip.workload.detection import trace_format
from llmsched_mip.workload.family import request_ids
from llmsched_mip.workload.fleet import Fleet, fitting
from llmsched_mip.workload.importer import Columns, Reading, Trace
from llmsched_mip.workload.mooncake import expanded
from llmsched_mip.workload.registry import IMPORTERS

BLOCK_TOKENS = 16
"""Tokens of a KV block: vLLM's default."""
ENDINGS = (".gz", ".csv", ".tsv", ".txt", ".jsonl", ".json")
TABLES = ("csv", "azure", "burstgpt")


@dataclass(frozen=True)
class Imported:
    """What an import gives.

    Parameters
    ----------
    instance : Instance
    format : str
        Name of the format in `IMPORTERS`.
    notes : tuple of str
        What was ignored, left out or assumed, a line each.
    unfit : tuple of str
        Ids of the requests that fit no worker and were left out.
    """

    instance: Instance
    format: str
    notes: tuple[str, ...]
    unfit: tuple[str, ...]


def import_trace(
    path: str | os.PathLike[str],
    fleet: Fleet,
    format: str | None = None,
    reading: Reading = Reading(),
    *,
    name: str | None = None,
    drop_unfit: bool = False,
) -> Imported:
    """Make an instance of a trace file, plain or gzipped; ``-`` is standard input.

    Parameters
    ----------
    path : path
    fleet : Fleet
        The workers.
    format : str, optional
        One of `IMPORTERS`; found from the beginning of the file by default.
    reading : Reading
        How the file is read.
    name : str, optional
        Of the instance; by default the file's, without its ending.
    drop_unfit : bool
        Leave out what fits no worker.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        One line: file, line, field, what was expected.
    InfeasibleInstanceError
        When a request fits no worker.
    """
    _require(format, reading)
    with Lines(path) as lines:
        format = trace_format(lines) if format is None else format
        trace = IMPORTERS[format](lines, reading)
    workers = fleet.workers(trace.prefill_tokens, trace.decode_tokens)
    engine = workers[0].engine
    semantics = "exclusive" if engine is None else "mixed"
    requests, notes = _requests(trace, reading, BLOCK_TOKENS if engine is None else engine.block_tokens)
    file = "standard input" if lines.source == STANDARD_INPUT else readable(Path(lines.source).name)
    kept, unfit = fitting(requests, workers, semantics) if drop_unfit else (requests, ())
    if not len(kept):
        raise InvalidInputError("", "no request fits a worker", None, lines.shown)
    given = None if isinstance(fleet.worker, Worker) else fleet.worker
    try:
        instance = Instance(
            name=name if name is not None else _stem(file),
            requests=kept,
            workers=workers,
            semantics=semantics,
            description=f"{len(kept)} {'rows' if format in TABLES else 'requests'} of {file}, {trace.fields}.",
            source=f"Imported from {file}; worker {_first_name(workers, fleet.count)}.",
        )
    except InvalidInputError as error:
        raise error.located(lines.shown) from None
    mixed = () if engine is None else (f"semantics mixed, for worker {workers[0].name} has an engine",)
    return Imported(instance, format, (*trace.notes, *notes, *mixed, *_cap_note(given, workers[0])), unfit)


def import_csv(
    path: str | os.PathLike[str],
    worker: Worker | str,
    columns: Columns = Columns(),
    *,
    name: str | None = None,
    limit: int | None = None,
    slots: int | None = None,
) -> Instance:
    """Make an instance of the rows of a CSV file on one worker; `import_trace` has all formats and options.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        One line: file, line, column, what was expected.
    InfeasibleInstanceError
        When a request does not fit the worker.
    """
    reading = Reading(columns, limit, backlog=columns.arrival is None)
    return import_trace(path, Fleet(worker, slots=slots), "csv", reading, name=name).instance


def _require(format: str | None, reading: Reading) -> None:
    if format is not None and format not in IMPORTERS:
        raise InvalidInputError("format", f"unknown {format!r}, expected one of {', '.join(IMPORTERS)}")
    if reading.limit is not None and reading.limit < 1:
        raise InvalidInputError("limit", f"expected an integer ≥ 1, got {reading.limit}")
    quantile = reading.interval_quantile
    if quantile is not None and not 0.5 < quantile <= 1:
        raise InvalidInputError("interval_quantile", f"expected a number above 0.5 and at most 1, got {quantile}")


def _requests(trace: Trace, reading: Reading, block_tokens: int) -> tuple[Requests, tuple[str, ...]]:
    count, notes = len(trace.prefill_tokens), []
    if count > MOST_REQUESTS:
        raise InvalidInputError("requests", f"expected at most {MOST_REQUESTS} (--limit N), got {count}")
    blocks = None
    if trace.blocks is not None and reading.prefix_blocks:
        pairs = zip(trace.blocks, trace.prefill_tokens.tolist(), strict=True)
        blocks = [expanded(ids, p, trace.block_tokens, block_tokens) for ids, p in pairs]
        if trace.block_tokens != block_tokens:
            notes.append(f"blocks are expanded from {trace.block_tokens} to {block_tokens} tokens")
    lower, upper = trace.decode_lower, trace.decode_upper
    if reading.interval_quantile is not None:
        q = reading.interval_quantile
        ends = np.quantile(trace.decode_tokens, [1 - q, q], method="inverted_cdf")
        lower, upper = (np.full(count, int(end), dtype=np.int64) for end in ends)
        notes.append(f"prediction intervals {int(ends[0])} to {int(ends[1])}: the quantiles {1 - q:g} and {q:g}")
    return Requests(
        request_ids(count) if trace.id is None else trace.id,
        trace.prefill_tokens,
        trace.decode_tokens,
        trace.arrival_s,  # type: ignore[arg-type]
        lower,
        upper,
        trace.weight,  # type: ignore[arg-type]
        blocks,
    ), tuple(notes)


def _stem(file: str) -> str:
    for ending in ENDINGS:
        file = file.removesuffix(ending) or file
    return file


def _first_name(workers: Sequence[Worker], count: int) -> str:
    return workers[0].name if count == 1 else f"{workers[0].name.removesuffix('-1')}, {count} of them"


def _cap_note(given: str | None, worker: Worker) -> tuple[str, ...]:
    cap = worker.prefill_token_cap
    if given not in DEPLOYMENTS or cap is None or cap == deployment(given).prefill_token_cap:
        return ()
    return (f"the prefill cap is {cap} tokens, the longest prompt, in place of {deployment(given).prefill_token_cap}",)
