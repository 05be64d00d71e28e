"""First come, first served."""

from __future__ import annotations

from llmsched_mip.policies.base import Decision, Decode, WorkerView
from llmsched_mip.policies.queueing import QueuePolicy


class FirstComeFirstServed(QueuePolicy):
    """Prefill as soon as a slot is free, in order of arrival; stop at the first request that does not fit."""

    def key(self, request: int, sequence: int) -> int:
        """Order of arrival."""
        return sequence

    def decide(self, view: WorkerView) -> Decision:
        """Prefill what fits, else decode until the next completion or until the first of the queue fits."""
        batch = self.choose(view)
        if batch:
            return self.take(batch)
        wake = view.free_slots > 0 and self.arrival_may_start()
        rounds = self.until_the_first_fits(view)
        return self.otherwise(view, wake) if rounds is None else Decode(rounds, wake)

    def arrival_may_start(self) -> bool:
        """Whether a request that arrives now might start before those that wait: not behind one that does not fit."""
        return not self.queue or len(self.admission) > 1
