"""`llmsched schema`: the layout of the files."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from llmsched_mip import io
from llmsched_mip.cli import console
from llmsched_mip.errors import InvalidInputError


def schema(kind: Annotated[str, typer.Argument(metavar="instance|plan|worker", help="Which file format.")]) -> None:
    """Print the JSON schema of instance, plan or worker files."""
    if kind not in ("instance", "plan", "worker"):
        raise InvalidInputError("schema", f"expected one of instance, plan, worker, got {kind!r}")
    console.emit(json.dumps(io.json_schema(kind), indent=2))
