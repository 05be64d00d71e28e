"""List scheduling with a fixed threshold of idle slots."""

from __future__ import annotations

from collections.abc import Sequence

from llmsched_mip.policies.base import Decision, Problem, WorkerView
from llmsched_mip.policies.queueing import QueuePolicy


class IdleThreshold(QueuePolicy):
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
        super().__init__(problem)
        self.order, self.idle, self.skip = order, idle, skip

    def key(self, request: int, sequence: int) -> int:
        """Place in the list."""
        return sequence if self.order is None else int(self.order[request])

    def decide(self, view: WorkerView) -> Decision:
        """Prefill when enough slots are idle, else decode."""
        if view.free_slots >= self.idle or not view.started:
            batch = self.choose(view)
            if batch:
                return self.take(batch)
        return self.otherwise(view, wake=view.free_slots > 0)
