"""`replay`: a policy by its name, executed on an instance."""

from __future__ import annotations

import os

from llmsched_mip import clock
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution.events import Event, write_events
from llmsched_mip.execution.executor import Executor
from llmsched_mip.execution.mixed_replay import is_mixed, replay_mixed
from llmsched_mip.execution.outcome import Outcome
from llmsched_mip.execution.slot_timetable import SlotTimetable
from llmsched_mip.instance import Instance
from llmsched_mip.plan import Plan
from llmsched_mip.policies import make_policy, split_option
from llmsched_mip.policies.protocol import Problem

FORECAST = ("lagrangian", "lagrangian-stochastic")
AS_PUBLISHED = "lagrangian:published"


def _follows(policy: str) -> bool:
    """Whether the policy may leave a plan aside."""
    return policy != AS_PUBLISHED and split_option(policy)[0] in FORECAST


def worth_following(instance: Instance, policy: str, plan: Plan, seed: int = 0) -> Plan | None:
    """The plan, or None where the policy ends up better without it; lengths are known, so that both can be forecast.

    A rule that follows a plan is as good as the plan: one that a time limit cut short can be worse than none.
    """
    values = []
    for followed in (plan, None):
        executor = Executor(instance, make_policy(policy, Problem.of(instance, "known", followed, seed)))
        executor.run()
        values.append(executor.outcome(policy, 0.0).measures.objective(instance.objective))
    return plan if values[0] <= values[1] else None


def replay(
    instance: Instance,
    policy: str,
    *,
    plan: Plan | None = None,
    lengths: str = "known",
    seed: int = 0,
    events: str | os.PathLike[str] | None = None,
    slot_timetable: SlotTimetable | None = None,
    balancer: str | None = None,
) -> Outcome:
    """Replay `policy` on `instance`, by its semantics; the policy ``vllm`` with chunked prefill on any instance.

    Parameters
    ----------
    instance : Instance
    policy : str
        One of `llmsched_mip.policies.POLICIES`, for some with an option: ``sorted-f:exact`` (`make_policy`).
    plan : Plan, optional
        For policies that follow a plan (``plan``) or take its order and rounds (``lagrangian``).
    lengths : str
        What the policy may see of an unfinished request's length: ``known``, ``interval`` or ``unknown``.
    seed : int
        For policies that draw random numbers.
    events : path, optional
        Write the event log there (CSV).
    slot_timetable : SlotTimetable, optional
        Slots that open and close during the run; under exclusive semantics alone.
    balancer : str, optional
        Which worker a request goes to, under mixed semantics: ``least-loaded``, ``round-robin`` or ``plan``, by
        default the plan's where there is one, else the least loaded.

    Raises
    ------
    InvalidInputError
        Unknown policy, a plan for another instance, or intervals that the instance does not have.
    InvalidPlanError
        The plan cannot be executed as written.
    """
    if plan is not None and plan.instance_digest not in (instance.digest, instance.plan_digest):
        raise InvalidInputError("plan", f"was made for another instance ({plan.instance!r}, digest differs)")
    log: list[Event] = []
    note = log.append if events is not None else None
    if is_mixed(instance, policy):
        if slot_timetable is not None:
            raise InvalidInputError("slot_timetable", "goes with exclusive semantics, not with mixed")
        outcome = replay_mixed(instance, policy, plan=plan, lengths=lengths, seed=seed, balancer=balancer, log=note)
        _write(events, sorted(log, key=lambda event: event.time), instance)
        return outcome
    if balancer is not None:
        raise InvalidInputError("balancer", "goes with mixed semantics, not with exclusive")
    if plan is not None and lengths == "known" and slot_timetable is None and _follows(policy):
        plan = worth_following(instance, policy, plan, seed)
    rule = make_policy(policy, Problem.of(instance, lengths, plan, seed))
    executor = Executor(instance, rule, note, slot_timetable)
    begin = clock.now()
    executor.run()
    outcome = executor.outcome(policy, clock.now() - begin)
    _write(events, log, instance)
    return outcome


def _write(path: str | os.PathLike[str] | None, log: list[Event], instance: Instance) -> None:
    if path is not None:
        names = [worker.name for worker in instance.workers]
        write_events(os.fspath(path), log, names, instance.requests.id)
