"""`llmsched bound`: the proven lower bounds of an instance."""

from __future__ import annotations

import llmsched_mip
from llmsched_mip import errors
from llmsched_mip.budget import Budget
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, InstancePath, ObjectiveName, TimeLimit, at_least, objective_name
from llmsched_mip.errors import SchedulingError
from llmsched_mip.texts import long_text, seconds_text


def bound(
    instance_path: InstancePath,
    objective: ObjectiveName = None,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
) -> None:
    """Print every proven lower bound and say which one binds."""
    at_least("--time-limit", time_limit, 0.0)
    instance = llmsched_mip.read_instance(instance_path)
    instance = instance.with_objective(objective_name(objective, instance))
    budget = Budget() if time_limit is None else Budget(time_limit)
    failures: dict[str, Exception] = {}
    found = llmsched_mip.bounds.compute(instance, budget, failed=failures.__setitem__)
    for name, error in failures.items():
        console.note(f"llmsched bound: {name} failed and was left out: {errors.error_text(error)}")
    if not found:
        raise SchedulingError(f"{instance.name}: no bound could be computed")
    binding = llmsched_mip.bounds.best(found)
    if as_json:
        values = {proven.name: proven.value for proven in found}
        document = {"instance": instance.name, "objective": instance.objective, "bounds": values}
        times = {proven.name: proven.seconds for proven in found}
        proofs = {proven.name: console.plain_certificate(proven.certificate) for proven in found}
        failed = [{"part": name, "message": errors.error_text(error)} for name, error in failures.items()]
        more = {"best": binding.value, "binding": binding.name, "seconds": times, "certificates": proofs}
        console.emit_json({**document, **more, "failures": failed})
        return
    rows = [
        [
            proven.name + (" *" if proven is binding else ""),
            seconds_text(proven.value),
            f"{proven.seconds:.3f}",
            console.proof_text(proven.certificate),
        ]
        for proven in sorted(found, key=lambda proven: -proven.value)
    ]
    console.emit(f"{console.instance_text(instance)}, objective {instance.objective}")
    console.emit(console.table(rows, ["bound", "seconds", "time s", "certificate"]))
    long = long_text(binding.value) if instance.objective == "makespan" else ""
    beside = f" ({long})" if long else ""
    console.emit(f"{binding.name} binds: {instance.objective} ≥ {seconds_text(binding.value)} s{beside}")
