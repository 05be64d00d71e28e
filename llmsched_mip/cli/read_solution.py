"""`llmsched read-solution`: the plan in a solution that another solver wrote."""

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
from llmsched_mip.texts import percent_text, seconds_text


def read_solution(
    instance_path: InstancePath,
    solution_path: Annotated[
        Path, typer.Argument(metavar="FILE", help="Solution file of HiGHS (style 0, 1 or 4) or CBC.")
    ],
    model: Annotated[
        str,
        typer.Option("--model", metavar="NAME", help="The exported model, or a .py file of yours." + listed(MODELS)),
    ],
    plan_path: Annotated[Path | None, typer.Option("--plan", metavar="PLAN", help="Plan file to write.")] = None,
    objective: ObjectiveName = None,
    as_json: AsJson = False,
) -> None:
    """Read the solution of an exported model, solved elsewhere, as a plan."""
    if not model.endswith(".py"):
        require_known("--model", model, MODELS)
    require_writable(plan_path)
    instance = llmsched_mip.read_instance(instance_path)
    instance = instance.with_objective(objective_name(objective, instance))
    solution = solvers.read_solution_file(solution_path)
    try:
        found = methods.plan_of_solution(instance, model, solution)
    except InvalidInputError as error:
        raise error if error.source else error.located(str(solution_path)) from None
    plan, claims = found.plan, found.plan.claims
    if plan_path is not None:
        llmsched_mip.write_plan(plan, instance, plan_path)
        console.note(f"plan written to {plan_path}")
    if as_json:
        head = {"instance": instance.name, "objective": instance.objective, "model": model, "method": plan.method}
        said = {"solver_status": solution.status, "solver_objective": solution.objective}
        worth = {key: getattr(claims, key) for key in ("status", "value", "bound", "gap", "bounds")}
        console.emit_json({**head, **said, "model_objective": found.objective, **worth})
        return
    rows = [
        ["instance", instance.name],
        ["model", model],
        ["solver", f"{solution.status}, objective {seconds_text(solution.objective)}"],
        [instance.objective, f"{seconds_text(claims.value)} s"],
        ["bound", f"{seconds_text(claims.bound)} s (quick bounds; the solver's word proves nothing here)"],
        ["gap", percent_text(claims.gap, 3)],
    ]
    console.emit(console.table(rows))
