"""`llmsched replay`: a policy, event by event."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import llmsched_mip
from llmsched_mip import execution, methods
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, InstancePath, Seed, at_least, listed, require_known
from llmsched_mip.errors import InfeasibleInstanceError, InvalidInputError
from llmsched_mip.io.storage import require_writable
from llmsched_mip.names import BALANCERS, LENGTHS, OBJECTIVES
from llmsched_mip.policies import POLICIES, require_option, split_option
from llmsched_mip.texts import percent_text, seconds_text

if TYPE_CHECKING:
    from llmsched_mip.execution import Outcome
    from llmsched_mip.instance import Instance
    from llmsched_mip.plan import Plan

PLAN_POLICIES = ("plan", "plan-order", "lagrangian", "lagrangian-stochastic")
OPTION_HELP = (
    " With an option: sorted-f:exact|scaled|swap|quantile, mc-sf:MARGIN, lagrangian-stochastic:RISK, learned:FILE."
)
OFFLINE_SECONDS, OFFLINE_GAP = 8.0, 0.005
MOST_BOUNDED = 20_000


PolicyName = Annotated[
    str, typer.Option("--policy", metavar="NAME[:OPTION]", help="Online policy." + listed(POLICIES) + OPTION_HELP)
]
PlanPath = Annotated[
    Path | None, typer.Option("--plan", metavar="PLAN", help="Plan file for policies that follow one.")
]
LengthsName = Annotated[
    str, typer.Option("--lengths", metavar="WHAT", help="What a policy sees: known, interval or unknown.")
]
EventsPath = Annotated[Path | None, typer.Option("--events", metavar="CSV", help="Event log to write.")]
TimetablePath = Annotated[
    Path | None,
    typer.Option(
        "--slot-timetable",
        metavar="CSV",
        help="Slots that open and close: columns time_s, worker, slots. Closing drains: what runs finishes.",
    ),
]
Balancer = Annotated[
    str | None,
    typer.Option(
        "--balancer", metavar="NAME", help="Mixed semantics, which worker gets a request." + listed(BALANCERS)
    ),
]


def replay(
    instance_path: InstancePath,
    policy: PolicyName,
    plan_path: PlanPath = None,
    lengths: LengthsName = "known",
    seed: Seed = 0,
    events: EventsPath = None,
    slot_timetable: TimetablePath = None,
    balancer: Balancer = None,
    as_json: AsJson = False,
) -> None:
    """Execute a policy event by event and measure the schedule."""
    base = split_option(policy)[0]
    require_known("--policy", base, POLICIES)
    require_option(policy)
    if lengths not in LENGTHS:
        raise InvalidInputError("--lengths", f"expected one of {', '.join(LENGTHS)}, got {lengths!r}")
    if balancer is not None:
        require_known("--balancer", balancer, BALANCERS)
    at_least("--seed", seed, 0)
    require_writable(events)
    instance = llmsched_mip.read_instance(instance_path)
    plan = None if plan_path is None else llmsched_mip.read_plan(plan_path, instance)
    mixed = execution.is_mixed(instance, policy)
    if mixed and instance.semantics != "mixed":
        console.note(f"policy {policy}: executed with chunked prefill; the semantics of {instance.name} are exclusive")
    if mixed and base == "plan":
        console.note("policy plan: a mixed engine has no stages, so the plan gives placement and order alone")
    if plan is None and base in PLAN_POLICIES and lengths == "known":
        plan = _offline_plan(instance, policy, seed)
    timetable = None if slot_timetable is None else execution.SlotTimetable.read(slot_timetable)
    outcome = execution.replay(
        instance,
        policy,
        plan=plan,
        lengths=lengths,
        seed=seed,
        events=events,
        slot_timetable=timetable,
        balancer=balancer,
    )
    _show(outcome, instance, lengths, mixed, as_json)


def _show(outcome: Outcome, instance: Instance, lengths: str, mixed: bool, as_json: bool) -> None:
    bounds = _bounds(instance) if mixed else None
    if not as_json:
        console.emit(f"{console.instance_text(instance)}, policy {outcome.policy}, lengths {lengths}")
        more = [["evictions", str(outcome.evictions)]]
        if mixed:
            more += [["prefix hits", f"{outcome.prefix_hit_tokens} tokens"]]
        for objective, least in (bounds or {}).items():
            above = outcome.measures.objective(objective) / least - 1
            shown = f"{percent_text(above, 1)} above {seconds_text(least)} s"
            more += [[f"{objective.replace('_', ' ')} and its bound", shown]]
        more += [["time", f"{outcome.seconds:.4f} s"]]
        console.emit(console.measures_table(outcome.measures, more))
        return
    console.emit_json(
        {
            "instance": instance.name,
            "policy": outcome.policy,
            "lengths": lengths,
            "semantics": "mixed" if mixed else "exclusive",
            **outcome.measures.as_dict(),
            "evictions": outcome.evictions,
            "prefix_hit_tokens": outcome.prefix_hit_tokens,
            "bounds": bounds,
            "seconds": outcome.seconds,
        }
    )


def _bounds(instance: Instance) -> dict[str, float] | None:
    """Bounds of every mixed execution by objective, where they take no second."""
    if instance.n > MOST_BOUNDED:
        return None
    mixed = instance if instance.semantics == "mixed" else replace(instance, semantics="mixed")
    found = {objective: llmsched_mip.bounds.mixed_bound(mixed, objective).value for objective in OBJECTIVES}
    return {objective: value for objective, value in found.items() if value > 0} or None


def _offline_plan(instance: Instance, policy: str, seed: int) -> Plan | None:
    """The offline half of the hybrid method, where no plan is given and the lengths are known; None where the exclusive
    instance has none."""
    try:
        instance = instance.exclusive()
    except InfeasibleInstanceError as error:
        console.note(f"policy {policy} without a plan, for exclusive iterations have none: {error}")
        return None
    console.note(f"policy {policy} without --plan: planning offline for up to {OFFLINE_SECONDS:g} s")
    plan = methods.solve(instance, time_limit_s=OFFLINE_SECONDS, gap=OFFLINE_GAP, seed=seed).plan
    console.note(f"planned with method {plan.method}: {plan.objective} {plan.claims.value:.4f}")
    return plan
