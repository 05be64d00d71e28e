"""Longest first where the KV cache allows it; else in order of arrival, and longest first near the end."""

from __future__ import annotations

from llmsched_mip.policies.parts import keys
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.protocol import Problem, WorkerView
from llmsched_mip.timing import request_kv_peak

ENDGAME, KNOWN_ENDGAME = 0.8, 1.4


class MixedOrder:
    """Turns the order of a backlog from arrival to longest first when that is due.

    Parameters
    ----------
    problem : Problem
    backlog : Backlog
        Ordered by arrival.
    outlook : Outlook
    """

    def __init__(self, problem: Problem, backlog: Backlog, outlook: Outlook):
        self.workers, self.backlog, self.outlook = problem.workers, backlog, outlook
        self.asked = self.settled = False
        # With estimates an earlier turn was measured to cost more in a full KV cache than the end gains.
        self.endgame = KNOWN_ENDGAME if backlog.estimator.exact else ENDGAME

    def settle(self, view: WorkerView) -> None:
        """Go over to longest first: at the start unless that would overflow the KV cache of some worker, and in any
        case when the rounds that are left are few against the longest estimate."""
        if self.settled:
            return
        if self.asked:
            self.settled = self.outlook.rounds_left(view) <= self.endgame * self.outlook.longest
        else:
            self.asked, self.settled = True, not self._overflows()
        if self.settled:
            self.backlog.queue.order_by(keys.longest_first(self.backlog.estimator))

    def _overflows(self) -> bool:
        """Whether some worker's slots, filled with the longest waiting requests, would hold more than its KV cache at
        their end: longest first then leaves slots idle for long, and a mixed order serves better."""
        prompts, expected = self.backlog.prompts, self.outlook.expected
        peaks = sorted((request_kv_peak(prompts[i], expected[i]) for i in self.backlog.queue), reverse=True)
        return any(
            worker.kv_capacity is not None and sum(peaks[: worker.slots]) > worker.kv_capacity
            for worker in self.workers
        )
