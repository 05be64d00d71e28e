"""First come, first served."""

from __future__ import annotations

from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.list_scheduling import ListScheduling, least_batch
from llmsched_mip.policies.parts.queue import by_arrival
from llmsched_mip.policies.protocol import Problem


def first_come_first_served(problem: Problem, option: str | None = None) -> ListScheduling:
    """Prefill as soon as a slot is free, in order of arrival; stop at the first request that does not fit."""
    return ListScheduling(Backlog(problem, by_arrival), overtaking=False, least=least_batch(option))
