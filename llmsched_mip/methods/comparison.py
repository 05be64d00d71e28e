"""What a plan is compared with: first-come-first-served, executed with known lengths."""

from __future__ import annotations

from llmsched_mip.budget import Budget
from llmsched_mip.errors import SchedulingError
from llmsched_mip.instance import Instance
from llmsched_mip.methods.executed import executed
from llmsched_mip.policies import make_policy
from llmsched_mip.policies.protocol import Problem


def first_come_first_served(instance: Instance, time_limit_s: float) -> float | None:
    """The objective's value under ``fcfs`` with known lengths, seconds.

    None where the replay takes longer than `time_limit_s` or what ran is no plan.
    """
    try:
        instance = instance.exclusive()
        run = executed(instance, "fcfs", make_policy("fcfs", Problem.of(instance, "known")), Budget(time_limit_s))
    except SchedulingError:
        return None
    return None if run is None else run.value
