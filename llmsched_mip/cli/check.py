"""`llmsched check`: whether an instance is valid, and a plan for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import llmsched_mip
from llmsched_mip import errors
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import InstancePath
from llmsched_mip.errors import InvalidInputError


def check(
    instance_path: InstancePath,
    plan_path: Annotated[Path | None, typer.Argument(metavar="[PLAN]", help="Plan file to check.")] = None,
) -> None:
    """Validate an instance, or a plan for it: every violation, or the measures."""
    try:
        instance = llmsched_mip.read_instance(instance_path)
        plan = None if plan_path is None else llmsched_mip.read_plan(plan_path, instance)
    except InvalidInputError as error:
        console.note(f"llmsched check: {error}")
        raise typer.Exit(errors.EXIT_INVALID) from None
    if plan is None:
        console.emit(f"valid: {console.instance_text(instance)}, objective {instance.objective}")
        return
    result = llmsched_mip.evaluate(instance, plan)
    if result.violations:
        for violation in result.violations:
            console.emit(str(violation))
        count = len(result.violations)
        console.note(f"llmsched check: {plan_path}: {count} violation{'s' if count > 1 else ''}")
        raise typer.Exit(errors.EXIT_INVALID)
    console.emit(f"valid: plan {plan_path} for {console.instance_text(instance)}")
    console.emit(console.measures_table(result.measures))
