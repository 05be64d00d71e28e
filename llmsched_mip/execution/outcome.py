"""What a replay gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmsched_mip.errors import InvalidPlanError
from llmsched_mip.instance import Instance
from llmsched_mip.measures import Measures, Schedule
from llmsched_mip.plan import Plan, WorkerPlan


@dataclass(frozen=True, eq=False)
class Outcome:
    """Result of a replay.

    Parameters
    ----------
    policy : str
    schedule : Schedule
        Of a request that was evicted: its last prefill; its first token is the first that was ever made.
    measures : Measures
    evictions : int
    seconds : float
        Wall time of the replay.
    stages : one WorkerPlan per worker
        What ran.
    """

    policy: str
    schedule: Schedule
    measures: Measures
    evictions: int
    seconds: float
    stages: Sequence[WorkerPlan]

    def to_plan(self, instance: Instance, method: str | None = None) -> Plan:
        """The stages that ran, as a plan without claims; a replay with evictions is not a plan."""
        if self.evictions:
            raise InvalidPlanError(f"policy {self.policy!r} evicted {self.evictions} requests: that is not a plan")
        return Plan(instance.name, instance.digest, instance.objective, method or self.policy, tuple(self.stages))
