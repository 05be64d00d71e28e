"""What a replay gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmsched_mip.errors import InvalidPlanError
from llmsched_mip.instance import Instance
from llmsched_mip.measures import Measures, Schedule
from llmsched_mip.plan import Plan, WorkerPlan
from llmsched_mip.texts import counted, seconds_text
from llmsched_mip.views import VIEWS, known

if TYPE_CHECKING:
    import pandas as pd


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
    instance : Instance, optional
        What was replayed; pickles leave it out.
    prefix_hit_tokens : int, optional
        Tokens of prompts, and of evicted requests, that the prefix cache held and that were not computed; under mixed
        semantics alone.
    """

    policy: str
    schedule: Schedule
    measures: Measures
    evictions: int
    seconds: float
    stages: Sequence[WorkerPlan]
    instance: Instance | None = None
    prefix_hit_tokens: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A pickled outcome does without the instance; `to_frame` is then given it."""
        return {**self.__dict__, "instance": None}

    def __repr__(self) -> str:
        makespan, evictions = seconds_text(self.measures.makespan), counted(self.evictions, "eviction")
        return f"Outcome({self.policy!r}, makespan {makespan} s, {evictions})"

    def to_frame(self, instance: Instance | None = None) -> pd.DataFrame:
        """When each request ran: a row a request, in the order of the instance.

        The columns are those of `Result.schedule`; of a request that was evicted, slot, stage and prefill are its last.

        Parameters
        ----------
        instance : Instance, optional
            Default: the one that was replayed, which a pickle leaves out.
        """
        return VIEWS["schedule_frame"](known(self.instance, instance, "to_frame"), self.schedule, self.stages)

    def to_plan(self, instance: Instance, method: str | None = None) -> Plan:
        """The stages that ran, as a plan without claims; a replay with evictions, or with chunked prefill, is none."""
        if self.prefix_hit_tokens is not None:
            raise InvalidPlanError(f"policy {self.policy!r} ran with chunked prefill: it has no stages, so no plan")
        if self.evictions:
            raise InvalidPlanError(f"policy {self.policy!r} evicted {self.evictions} requests: that is not a plan")
        return Plan(instance.name, instance.digest, instance.objective, method or self.policy, tuple(self.stages))
