"""`llmsched check`: whether an instance is valid, and a plan for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import llmsched_mip
from llmsched_mip import errors
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, InstancePath
from llmsched_mip.errors import InvalidInputError

if TYPE_CHECKING:
    from llmsched_mip.evaluation import Evaluation
    from llmsched_mip.instance import Instance


def check(
    instance_path: InstancePath,
    plan_path: Annotated[Path | None, typer.Argument(metavar="[PLAN]", help="Plan file to check.")] = None,
    as_json: AsJson = False,
) -> None:
    """Validate an instance, or a plan for it: every violation, or the measures."""
    instance: Instance | None = None
    try:
        instance = llmsched_mip.read_instance(instance_path)
        plan = None if plan_path is None else llmsched_mip.read_plan(plan_path, instance)
    except InvalidInputError as error:
        console.note(f"llmsched check: {error}")
        if as_json:
            console.emit_json(_document(instance, plan_path, error=str(error)))
        raise typer.Exit(errors.EXIT_INVALID) from None
    if plan is None:
        if as_json:
            console.emit_json(_document(instance, None))
            return
        console.emit(f"valid: {console.instance_text(instance)}, objective {instance.objective}")
        return
    result = llmsched_mip.evaluate(instance, plan)
    if as_json:
        console.emit_json(_document(instance, plan_path, result))
    if result.violations:
        for violation in result.violations:
            if not as_json:
                console.emit(str(violation))
        count = len(result.violations)
        console.note(f"llmsched check: {plan_path}: {count} violation{'s' if count > 1 else ''}")
        raise typer.Exit(errors.EXIT_INVALID)
    if as_json:
        return
    console.emit(f"valid: plan {plan_path} for {console.instance_text(instance)}")
    console.emit(console.measures_table(result.measures))


def _document(
    instance: Instance | None, plan: Path | None, result: Evaluation | None = None, error: str | None = None
) -> dict[str, Any]:
    """The JSON object."""
    violations = [] if result is None else [str(violation) for violation in result.violations]
    return {
        "instance": None if instance is None else instance.name,
        "plan": None if plan is None else str(plan),
        "valid": error is None and not violations,
        "error": error,
        "violations": violations,
        "measures": None if result is None else result.measures.as_dict(),
    }
