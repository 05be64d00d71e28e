"""Longest first where the KV cache allows it; else in order of arrival from a steady start, longest first near the end.

Slots that are all filled at once with the lengths of the backlog end in waves: those at a common cap end together, are
refilled together, and at the top of each wave the KV cache is full and slots stay empty.  In a steady state the lengths
of what runs are drawn at random and their remaining rounds have the density (1 - F(x)) / mean, with F the distribution
of lengths (the forward recurrence time of a renewal process: Feller, volume II, chapter XI).  So the first requests are
those whose lengths lie nearest to the quantiles of that: no wave begins.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from llmsched_mip.policies.parts import keys
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.parts.queue import by_arrival
from llmsched_mip.policies.protocol import Problem, WorkerView
from llmsched_mip.timing import request_kv_peak

ENDGAME, KNOWN_ENDGAME = 0.8, 1.4
STEADY = 2.5
"""As many times the longest request has a backlog to last that its end does not outweigh a steady start (measured)."""


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
            lasts = self.outlook.rounds_left(view) >= STEADY * self.outlook.longest
            if not self.settled and lasts and self.backlog.estimator.exact:
                self._start_steadily()
        if self.settled:
            self.backlog.queue.order_by(keys.longest_first(self.backlog.estimator))

    def renew(self, view: WorkerView) -> None:
        """Go back to the order of arrival where new estimates say that longest first would overflow the KV cache."""
        if self.settled and self.outlook.rounds_left(view) > self.endgame * self.outlook.longest and self._overflows():
            self.settled = False
            self.backlog.queue.order_by(by_arrival)

    def _start_steadily(self) -> None:
        """Move requests that fill all slots, as if they had always run, to the front of the queue."""
        slots, waiting = sum(worker.slots or 0 for worker in self.workers), list(self.backlog.queue)
        if not 0 < slots < len(waiting):
            return
        first = steady_start([self.outlook.expected[i] for i in waiting], slots)
        place = {waiting[k]: place - slots for place, k in enumerate(first)}
        self.backlog.queue.order_by(lambda request, number: place.get(request, number))

    def _overflows(self) -> bool:
        """Whether some worker's slots, filled with the longest waiting requests, would hold more than its KV cache at
        their end: longest first then leaves slots idle for long, and a mixed order serves better."""
        prompts, expected = self.backlog.prompts, self.outlook.expected
        peaks = sorted((request_kv_peak(prompts[i], expected[i]) for i in self.backlog.queue), reverse=True)
        return any(
            worker.kv_capacity is not None and sum(peaks[: worker.slots]) > worker.kv_capacity
            for worker in self.workers
        )


def steady_start(lengths: Sequence[int], count: int) -> list[int]:
    """Positions of `count` of the requests whose lengths are nearest to remaining rounds in a steady state.

    Parameters
    ----------
    lengths : sequence of int
        Of all requests, at least `count`; rounds.

    Returns
    -------
    list of int
        Longest first.
    """
    ordered = sorted((length, k) for k, length in enumerate(lengths))
    longer = 1 - np.searchsorted([length for length, _ in ordered], np.arange(ordered[-1][0] + 1), "right") / len(
        lengths
    )
    share = np.cumsum(longer) / longer.sum()
    wanted = np.searchsorted(share, (np.arange(count)[::-1] + 0.5) / count).tolist()
    chosen = []
    for remaining in wanted:
        nearest = min(bisect_left(ordered, (remaining, -1)), len(ordered) - 1)
        chosen.append(ordered.pop(nearest)[1])
    return chosen
