"""The command `llmsched export`: a model of an instance as an MPS or LP file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmsched_mip import console
from llmsched_mip.cli.arguments import InstancePath, ObjectiveName, listed, objective_name, require_known
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import require_writable

if TYPE_CHECKING:
    from llmsched_mip.instance import Instance

SECONDS = 10.0
SLACK = 1e-6


def export(
    instance_path: InstancePath,
    model: Annotated[
        str,
        typer.Option("--model", metavar="NAME", help="Model, or a .py file of yours." + listed("models", "MODELS")),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write, .mps or .lp.")],
    objective: ObjectiveName = None,
) -> None:
    """Write a model for any solver, with readable names; its optimum is the best plan's value."""
    from llmsched_mip.io.files import read_instance
    from llmsched_mip.solvers import write_model
    from llmsched_mip.solvers.export import FORMATS

    if not model.endswith(".py"):
        require_known("--model", model, "models", "MODELS")
    if output.suffix not in FORMATS:
        raise InvalidInputError("--output", f"expected a name that ends in {console.one_of(FORMATS)}, got {output}")
    require_writable(output)
    instance = read_instance(instance_path)
    built = _build(instance.with_objective(objective_name(objective, instance)), model)
    rows, columns, nonzeros = write_model(built, output)
    console.note(f"{output}: model {model}, {rows} rows, {columns} columns, {nonzeros} nonzeros")


def _build(instance: Instance, model: str) -> Any:
    """The model; what a list schedule needs bounds the rounds of the indexed ones."""
    from llmsched_mip.methods.full import MOST_NONZEROS
    from llmsched_mip.methods.lists import list_schedules
    from llmsched_mip.methods.search import Search
    from llmsched_mip.methods.user_model import build_user_model
    from llmsched_mip.models import MODELS, SIZES
    from llmsched_mip.models.horizon import horizon_from_value

    if model.endswith(".py"):
        return build_user_model(model, instance)[1]
    if model not in SIZES:
        return MODELS[model](instance)
    with Search(instance, SECONDS) as search:
        list_schedules(search)
    horizon = None
    if search.value is not None:
        horizon = horizon_from_value(instance, search.value * (1 + SLACK) + SLACK)
    size = SIZES[model](instance, horizon)
    if size["nonzeros"] > MOST_NONZEROS:
        raise InvalidInputError(
            "--model",
            f"{model} of this instance has about {size['columns']:,} columns and {size['nonzeros']:,} nonzeros, "
            f"at most {MOST_NONZEROS:,} are written",
        )
    return MODELS[model](instance, horizon=horizon)
