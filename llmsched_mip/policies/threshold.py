"""List scheduling with a fixed threshold of idle slots."""

from __future__ import annotations

from collections.abc import Sequence

from llmsched_mip.policies.parts.backlog import Backlog, BacklogPolicy
from llmsched_mip.policies.parts.queue import by_arrival
from llmsched_mip.policies.protocol import Decision, Problem, WorkerView, decode_or_wait


class IdleThreshold(BacklogPolicy):
    """Prefill in the order of a list as soon as `idle` slots are free (or nothing is active).

    Parameters
    ----------
    problem : Problem
    order : sequence of int, or None
        Place of every request in the list, shape (n,); None: order of arrival.
    idle : int
        Least number of free slots for a prefill; 1 prefills at once.
    skip : bool
        Pass over requests that do not fit now instead of stopping at the first.
    """

    def __init__(self, problem: Problem, order: Sequence[int] | None, idle: int = 1, skip: bool = False):
        self.idle = idle
        key = by_arrival if order is None else lambda request, number: order[request]
        self.backlog = Backlog(problem, key, skip=skip)

    def decide(self, view: WorkerView) -> Decision:
        """Prefill when enough slots are idle, else decode."""
        if view.free_slots >= self.idle or not view.started:
            batch = self.backlog.choose(view)
            if batch:
                return self.backlog.take(batch)
        return decode_or_wait(view, wake=view.free_slots > 0)
