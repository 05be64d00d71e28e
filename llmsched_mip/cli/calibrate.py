"""`llmsched calibrate`: a worker file from measured iterations."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmsched_mip import io, operations, report
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, at_least, limit_of
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io import streams
from llmsched_mip.io.storage import readable, require_writable, write_bytes
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.texts import percent_text, range_text

if TYPE_CHECKING:
    from llmsched_mip.mixed_engine import Collective
    from llmsched_mip.operations.calibration import Calibration, EngineLimits

COLLECTIVE = "SECONDS:SECONDS_PER_TOKEN"
STANDARD_STREAM = "-"
HEAD = ["iterations", "rows", "left out", "R2", "median error", "worst"]
REGION_HEAD = ["iterations", "by", "from to", "rows", "median error", "worst", "bias"]


def calibrate(
    tables: Annotated[
        list[Path], typer.Argument(metavar="TIMING...", help="Timing tables, CSV, also gzipped; - for standard input.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="WORKER", help="Worker file to write, - for standard output.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Of the worker; default that of its file.")
    ] = None,
    slots: Annotated[
        int | None, typer.Option("--slots", metavar="N", help="Most requests that the engine runs at once.")
    ] = None,
    kv_capacity: Annotated[
        str | None, typer.Option("--kv-capacity", metavar="N", help="KV-cache size, tokens; none: no limit.")
    ] = None,
    token_budget: Annotated[
        int, typer.Option("--token-budget", metavar="N", help="Most tokens of an iteration.")
    ] = 2048,
    collective: Annotated[
        str | None,
        typer.Option(
            "--collective",
            metavar=COLLECTIVE,
            help="Collectives of an iteration, all layers together, which the tables leave out: tensor parallelism.",
        ),
    ] = None,
    plot_path: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Picture of the fit to write: .svg, .png, .pdf or .html."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a worker to measured iterations: the engine of a mixed replay and the exclusive times of plans."""
    to_stream = str(output) == STANDARD_STREAM
    _require_files(tables, output, plot_path, as_json)
    limits = _limits(slots, kv_capacity, token_budget, collective)
    found = operations.calibrate(
        [operations.read_timings(path) for path in tables], _name(name, output, tables[0]), limits
    )
    text = io.worker_file_text(found.worker, found.source)
    io.parse_worker(str(output), text.encode())
    if plot_path is not None:
        write_bytes(plot_path, report.fit_chart(found, plot_path.suffix))
    if to_stream:
        streams.put(text.removesuffix("\n"))
    else:
        write_bytes(output, text.encode())
    _say(found, output, as_json, to_stream)
    if as_json:
        console.emit_json(_document(found, output, plot_path))


def _require_files(tables: list[Path], output: Path, plot_path: Path | None, as_json: bool) -> None:
    """Each stream is used once, and what is to be written can be."""
    to_stream = str(output) == STANDARD_STREAM
    if to_stream and as_json:
        raise InvalidInputError("--output", "expected a file, --json has standard output")
    if plot_path is not None and plot_path.suffix not in report.FIT_CHARTS:
        expected = ", ".join(report.FIT_CHARTS)
        raise InvalidInputError("--plot", f"expected a name that ends in {expected}, got {plot_path}")
    for path in (None if to_stream else output, plot_path):
        require_writable(path)
    if sum(str(path) == STANDARD_STREAM for path in tables) > 1:
        raise InvalidInputError("TIMING", "standard input can be read once, got - twice")


def _limits(slots: int | None, kv_capacity: str | None, token_budget: int, collective: str | None) -> EngineLimits:
    at_least("--slots", slots, 1, MOST_LIMIT)
    at_least("--token-budget", token_budget, 1, MOST_LIMIT)
    kv_tokens = limit_of("--kv-capacity", kv_capacity)
    added = None if collective is None else _collective(collective)
    return operations.EngineLimits(slots, kv_tokens if isinstance(kv_tokens, int) else None, token_budget, added)


def _collective(text: str) -> Collective:
    parts = text.split(":")
    try:
        base_s, per_token_s = (float(part) for part in parts)
    except ValueError:
        raise InvalidInputError("--collective", f"expected {COLLECTIVE}, got {text!r}") from None
    for value in (base_s, per_token_s):
        at_least("--collective", value, 0)
    return operations.Collective(base_s, per_token_s)


def _name(given: str | None, output: Path, table: Path) -> str:
    """The given name, else that of the worker file, or of the first table where there is no file."""
    if given is not None:
        return given
    for path in (output, table):
        if str(path) != STANDARD_STREAM:
            return readable(path.name.removesuffix(".gz").removesuffix(".json").removesuffix(".csv") or path.name)
    return "worker"


def _say(found: Calibration, output: Path, as_json: bool, to_stream: bool) -> None:
    """The quality of the fit on standard output, unless the worker file or an object is there; the rest is notes."""
    for table in found.tables:
        console.note(f"{table.path}: {'; '.join(table.notes)}")
    if not (as_json or to_stream):
        console.emit(_text(found))
    warnings = [f"iterations {operations.REGIMES[one.name]}: {w}" for one in found.regimes for w in one.warnings]
    for warning in (*warnings, *found.warnings):
        console.note(f"warning: {warning}")
    if not to_stream:
        console.note(f"{output}: worker {found.worker.name}")


def _text(found: Calibration) -> str:
    rows, regions = [], []
    for one in found.regimes:
        q, said = one.quality, operations.REGIMES[one.name]
        errors = [f"{q.r2:.4f}", percent_text(q.median, 1), percent_text(q.worst, 1)]
        rows.append([said, str(len(one.fit.timings)), str(one.dropped), *errors])
        for region in q.regions:
            shares = [percent_text(round(value, 4) + 0.0, 1) for value in (region.median, region.worst, region.bias)]
            ends = range_text([region.least, region.most])
            regions.append([said, operations.REGIONS[region.by], ends, str(region.rows), *shares])
    worker = found.worker
    times = [[f"iteration {operations.REGIMES[one.name]}", one.fit.time.text()] for one in found.regimes]
    times.append(["prefill iteration of plans", worker.prefill_time.text()])
    times.append(["decode round of plans", dict(worker.rows())["decode round"]])
    return "\n\n".join([console.table(rows, HEAD), console.table(regions, REGION_HEAD), console.table(times)])


def _document(found: Calibration, output: Path, plot_path: Path | None) -> dict[str, Any]:
    return {
        "worker": io.worker_file_document(found.worker, found.source),
        "output": str(output),
        "plot": None if plot_path is None else str(plot_path),
        "tables": [
            {"file": table.path, "rows": len(table.timings), "notes": list(table.notes)} for table in found.tables
        ],
        "regimes": [
            {
                "name": one.name,
                "rows": len(one.fit.timings),
                "left_out": one.dropped,
                "r2": one.quality.r2,
                "median_error": one.quality.median,
                "worst_error": one.quality.worst,
                "affine_error_left_out_rows": one.fit.affine_error,
                "error_left_out_rows": one.fit.error,
                "regions": [asdict(region) for region in one.quality.regions],
                "warnings": list(one.warnings),
            }
            for one in found.regimes
        ],
        "warnings": list(found.warnings),
    }
