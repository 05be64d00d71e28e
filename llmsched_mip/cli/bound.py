"""`llmsched bound`: the proven lower bounds of an instance."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

import llmsched_mip
from llmsched_mip import errors
from llmsched_mip.bounds.hidden_lengths import HiddenBound, hidden_bound
from llmsched_mip.budget import Budget
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, InstancePath, ObjectiveName, TimeLimit, at_least, objective_name
from llmsched_mip.errors import InfeasibleInstanceError, InvalidInputError, SchedulingError
from llmsched_mip.names import LENGTHS
from llmsched_mip.texts import long_text, seconds_text

if TYPE_CHECKING:
    from llmsched_mip.instance import Instance
    from llmsched_mip.lower_bound import Bound

HiddenLengths = Annotated[
    str,
    typer.Option(
        "--lengths", metavar="WHAT", help="With interval or unknown: also what policies that see no more can reach."
    ),
]


def bound(
    instance_path: InstancePath,
    objective: ObjectiveName = None,
    time_limit: TimeLimit = None,
    lengths: HiddenLengths = "known",
    as_json: AsJson = False,
) -> None:
    """Print every proven lower bound and say which one binds."""
    at_least("--time-limit", time_limit, 0.0)
    if lengths not in LENGTHS:
        raise InvalidInputError("--lengths", f"expected one of {', '.join(LENGTHS)}, got {lengths!r}")
    instance = llmsched_mip.read_instance(instance_path)
    instance = instance.with_objective(objective_name(objective, instance))
    budget = Budget() if time_limit is None else Budget(time_limit)
    failures: dict[str, Exception] = {}
    found = llmsched_mip.bounds.compute(instance, budget, failed=failures.__setitem__)
    of_plans = _of_plans(instance, budget, failures)
    for name, error in failures.items():
        console.note(f"llmsched bound: {name} failed and was left out: {errors.error_text(error)}")
    if not found:
        raise SchedulingError(f"{instance.name}: no bound could be computed")
    binding = llmsched_mip.bounds.best(found)
    hidden = None if lengths == "known" else hidden_bound(instance.exclusive(), lengths)
    if as_json:
        values = {proven.name: proven.value for proven in found}
        document = {"instance": instance.name, "objective": instance.objective, "bounds": values}
        times = {proven.name: proven.seconds for proven in found}
        proofs = {proven.name: console.plain_certificate(proven.certificate) for proven in found}
        failed = [{"part": name, "message": errors.error_text(error)} for name, error in failures.items()]
        more = {"best": binding.value, "binding": binding.name, "seconds": times, "certificates": proofs}
        plans = {proven.name: proven.value for proven in of_plans}
        beside = {"semantics": instance.semantics, "bounds_of_plans": plans or None}
        beside["hidden"] = None if hidden is None else asdict(hidden)
        console.emit_json({**document, **more, **beside, "failures": failed})
        return
    console.emit(f"{console.instance_text(instance)}, objective {instance.objective}")
    _emit(found, binding)
    long = long_text(binding.value) if instance.objective == "makespan" else ""
    beside_s = f" ({long})" if long else ""
    whose = "of every mixed execution " if instance.semantics == "mixed" else ""
    console.emit(f"{binding.name} binds: {instance.objective} {whose}≥ {seconds_text(binding.value)} s{beside_s}")
    if of_plans:
        console.emit("\nBounds of its plans, executed exclusively; a mixed replay may be below them:")
        _emit(of_plans, llmsched_mip.bounds.best(of_plans))
    if hidden is not None:
        console.emit(_hidden_text(hidden, lengths))


def _hidden_text(hidden: HiddenBound, lengths: str) -> str:
    error = f" ± {seconds_text(hidden.error)} s (standard error of {hidden.draws} draws)" if hidden.draws else ""
    sees = "sees their intervals alone" if lengths == "interval" else "does not see lengths"
    return (
        f"\nNo policy that {sees} and never evicts is below {seconds_text(hidden.value)} s{error} on average,\n"
        f"of {hidden.model}."
    )


def _of_plans(instance: Instance, budget: Budget, failures: dict[str, Exception]) -> list[Bound]:
    """Of an instance with mixed semantics, the bounds of the exclusive instance that is solved in its place."""
    if instance.semantics != "mixed":
        return []
    try:
        exclusive = instance.exclusive()
    except InfeasibleInstanceError as error:
        console.note(f"llmsched bound: no plan can be executed exclusively: {errors.error_text(error)}")
        return []
    return llmsched_mip.bounds.compute(exclusive, budget, failed=failures.__setitem__)


def _emit(found: list[Bound], binding: Bound) -> None:
    rows = [
        [
            proven.name + (" *" if proven is binding else ""),
            seconds_text(proven.value),
            f"{proven.seconds:.3f}",
            console.proof_text(proven.certificate),
        ]
        for proven in sorted(found, key=lambda proven: -proven.value)
    ]
    console.emit(console.table(rows, ["bound", "seconds", "time s", "certificate"]))
