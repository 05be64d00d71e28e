"""The commands `llmsched report` and `llmsched gantt`: studies and plans to pages, tables and pictures."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from llmsched_mip import console
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import readable, require_writable, write_bytes

FORMATS = {".html": "html", ".md": "md", ".csv": "csv", ".tex": "latex"}
PICTURES = (".svg", ".html")

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
) -> None:
    """Write one self-contained page (or tables) of studies and plans: gaps, convergence, schedules."""
    chosen = _format(form, output)
    if chosen == "html" and output is None:
        raise InvalidInputError("--output", "a page needs a file, e.g. -o report.html")
    require_writable(output)
    from llmsched_mip.report.data import read_report

    data = read_report(paths, instance_paths or [])
    for note in data.notes:
        console.note(f"llmsched report: {note}")
    if chosen == "html":
        from llmsched_mip.report.page import report_page

        text = report_page(data, _command())
    else:
        from llmsched_mip.report.formats import WRITERS, csv_text, data_columns
        from llmsched_mip.report.tables import all_tables

        text = csv_text(data_columns(data.rows)) if chosen == "csv" else WRITERS[chosen](all_tables(data))
    if output is None:
        console.emit(text.rstrip("\n"))
        return
    write_bytes(output, readable(text).encode())
    console.note(f"{output}: {_count(len(data.done), 'result')}, {_count(len(data.schedules), 'schedule')}")


def gantt(
    plan_path: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan file.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Picture to write, .svg or .html.")],
    instance_path: Annotated[
        Path | None,
        typer.Option("--instance", metavar="INSTANCE", help="Its instance; looked for near the plan without it."),
    ] = None,
) -> None:
    """Draw a plan: a lane a slot, a bar a request, prefill iterations, KV use and slots over time."""
    if output.suffix not in PICTURES:
        raise InvalidInputError("--output", f"expected a name that ends in {console.one_of(PICTURES)}, got {output}")
    require_writable(output)
    from llmsched_mip.report.data import MOST_BARS
    from llmsched_mip.report.gantt import gantt_document
    from llmsched_mip.report.gantt_svg import gantt_svg
    from llmsched_mip.report.sources import Instances, read_plan_and_instance

    plan, instance = read_plan_and_instance(plan_path, Instances([] if instance_path is None else [instance_path]))
    if instance is None:
        raise InvalidInputError(
            "instance_digest",
            f"no instance with {plan.instance_digest} beside the plan or in instances/, name it with --instance",
            None,
            str(plan_path),
        )
    if instance.n > MOST_BARS:
        raise InvalidInputError(
            "requests", f"a chart holds {MOST_BARS:,} requests, got {instance.n:,}", None, plan.instance
        )
    document = gantt_document(instance, plan)
    if output.suffix == ".svg":
        text = gantt_svg(document)
    else:
        from llmsched_mip.report.page import gantt_page

        text = gantt_page(document, _command())
    write_bytes(output, readable(text).encode())
    console.note(f"{output}: {document['title']}, {instance.n} requests")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _format(form: str | None, output: Path | None) -> str:
    known = tuple(FORMATS.values())
    if form is not None:
        if form not in known:
            raise InvalidInputError("--format", f"expected one of {console.one_of(known)}, got {form!r}")
        return form
    if output is None:
        raise InvalidInputError("--output", "a file is missing, e.g. -o report.html; tables alone: --format md")
    if output.suffix not in FORMATS:
        raise InvalidInputError("--output", f"expected a name that ends in {console.one_of(FORMATS)}, got {output}")
    return FORMATS[output.suffix]


def _command() -> str:
    """The command as it was given, without the folder of the program."""
    return readable(shlex.join(["llmsched", *sys.argv[1:]]))
