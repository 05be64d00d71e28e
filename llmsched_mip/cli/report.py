"""`llmsched report`: studies and plans to a page or to tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsched_mip import report as reports
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, given_command
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import readable, require_writable, write_bytes

FORMATS = {".html": "html", ".md": "md", ".csv": "csv", ".tex": "latex"}

InstanceFiles = Annotated[
    list[Path] | None,
    typer.Option("--instance", metavar="INSTANCE", help="Instance file of a plan; may be given several times."),
]


def report(
    paths: Annotated[list[Path], typer.Argument(metavar="DIR_OR_PLAN...", help="Folders of studies, plan files.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write; tables go to standard output without it."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="html, md, csv or latex; by the file's name without it."),
    ] = None,
    instance_paths: InstanceFiles = None,
    as_json: AsJson = False,
) -> None:
    """Write one self-contained page (or tables) of studies and plans: gaps, convergence, schedules."""
    chosen = _format(form, output)
    if chosen == "html" and output is None:
        raise InvalidInputError("--output", "a page needs a file, e.g. -o report.html")
    if as_json and output is None:
        raise InvalidInputError("--json", "the tables go to standard output; write them to a file with -o")
    require_writable(output)
    data = reports.read_report(paths, instance_paths or [])
    for note in data.notes:
        console.note(f"llmsched report: {note}")
    if chosen == "html":
        text = reports.report_page(data, given_command())
    elif chosen == "csv":
        text = reports.csv_text(reports.data_columns(data.rows))
    else:
        text = reports.WRITERS[chosen](reports.all_tables(data))
    if output is None:
        console.emit(text.rstrip("\n"))
        return
    write_bytes(output, readable(text).encode())
    console.note(f"{output}: {_count(len(data.done), 'result')}, {_count(len(data.schedules), 'schedule')}")
    if as_json:
        sizes = {"results": len(data.done), "schedules": len(data.schedules)}
        console.emit_json({"file": str(output), "format": chosen, **sizes, "notes": list(data.notes)})


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _format(form: str | None, output: Path | None) -> str:
    known = tuple(FORMATS.values())
    if form is not None:
        if form not in known:
            raise InvalidInputError("--format", f"expected one of {', '.join(known)}, got {form!r}")
        return form
    if output is None:
        raise InvalidInputError("--output", "a file is missing, e.g. -o report.html; tables alone: --format md")
    if output.suffix not in FORMATS:
        raise InvalidInputError("--output", f"expected a name that ends in {', '.join(FORMATS)}, got {output}")
    return FORMATS[output.suffix]
