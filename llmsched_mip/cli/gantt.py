"""`llmsched gantt`: a picture of a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsched_mip import report
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, given_command
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import readable, require_writable, write_bytes

PICTURES = (".svg", ".html")


def gantt(
    plan_path: Annotated[Path, typer.Argument(metavar="PLAN", help="Plan file.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Picture to write, .svg or .html.")],
    instance_path: Annotated[
        Path | None,
        typer.Option("--instance", metavar="INSTANCE", help="Its instance; looked for near the plan without it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw a plan: a lane a slot, a bar a request, prefill iterations, KV use and slots over time."""
    if output.suffix not in PICTURES:
        raise InvalidInputError("--output", f"expected a name that ends in {', '.join(PICTURES)}, got {output}")
    require_writable(output)
    plan, instance = report.require_plan_and_instance(plan_path, instance_path)
    if instance.n > report.MOST_BARS:
        raise InvalidInputError(
            "requests", f"a chart holds {report.MOST_BARS:,} requests, got {instance.n:,}", None, plan.instance
        )
    document = report.gantt_document(instance, plan)
    svg = output.suffix == ".svg"
    text = report.gantt_svg(document) if svg else report.gantt_page(document, given_command())
    write_bytes(output, readable(text).encode())
    console.note(f"{output}: {document['title']}, {instance.n} requests")
    if as_json:
        console.emit_json({"file": str(output), "instance": instance.name, "requests": instance.n})
