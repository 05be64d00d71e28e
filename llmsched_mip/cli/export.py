"""`llmsched export`: a model of an instance as an MPS or LP file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import llmsched_mip
from llmsched_mip import methods, solvers
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, InstancePath, ObjectiveName, listed, objective_name, require_known
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import require_writable
from llmsched_mip.models import MODELS


def export(
    instance_path: InstancePath,
    model: Annotated[
        str,
        typer.Option("--model", metavar="NAME", help="Model, or a .py file of yours." + listed(MODELS)),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write, .mps or .lp.")],
    objective: ObjectiveName = None,
    as_json: AsJson = False,
) -> None:
    """Write a model for any solver, with readable names; its optimum is the best plan's value."""
    if not model.endswith(".py"):
        require_known("--model", model, MODELS)
    if output.suffix not in solvers.FORMATS:
        raise InvalidInputError("--output", f"expected a name that ends in {', '.join(solvers.FORMATS)}, got {output}")
    require_writable(output)
    instance = llmsched_mip.read_instance(instance_path)
    built = methods.model_for_export(instance.with_objective(objective_name(objective, instance)), model)
    rows, columns, nonzeros = solvers.write_model(built, output)
    console.note(f"{output}: model {model}, {rows} rows, {columns} columns, {nonzeros} nonzeros")
    if as_json:
        size = {"rows": rows, "columns": columns, "nonzeros": nonzeros}
        console.emit_json({"file": str(output), "instance": instance.name, "model": model, **size})
