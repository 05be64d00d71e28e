"""`llmsched schema`: the layout of the files, and of what commands print."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from llmsched_mip import io
from llmsched_mip.cli import console
from llmsched_mip.cli.results import RESULTS
from llmsched_mip.errors import InvalidInputError

FILES = ("instance", "plan", "worker", "policy")


def schema(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A file: instance, plan, worker, policy; or a command, for its --json; or results."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Nothing else: it is JSON anyway.")] = False,
) -> None:
    """Print the JSON schema of a kind of files, or of a command's --json; results: of all of them."""
    if kind in FILES:
        found = io.json_schema(kind)
    elif kind in RESULTS:
        found = RESULTS[kind].model_json_schema()
    elif kind == "results":
        found = {name: model.model_json_schema() for name, model in RESULTS.items()}
    else:
        raise InvalidInputError("schema", f"expected one of {', '.join([*FILES, *RESULTS, 'results'])}, got {kind!r}")
    console.emit(json.dumps(found, indent=2))
