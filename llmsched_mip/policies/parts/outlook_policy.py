"""What every rule that looks ahead notes of the requests that start and stop."""

from __future__ import annotations

import numpy as np

from llmsched_mip.policies.parts.backlog import BacklogPolicy
from llmsched_mip.policies.parts.idle_price import idle_worth_waiting
from llmsched_mip.policies.parts.lot_size import merging_pays
from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.parts.work_in_progress import WorkInProgress
from llmsched_mip.policies.protocol import WorkerView

LOOKAHEAD = 48


class OutlookPolicy(BacklogPolicy):
    """A policy with a backlog and an outlook, which has to be told of every prefill that the policy decides.

    Attributes
    ----------
    outlook : Outlook
    progress : WorkInProgress or None
        The limit on what is in progress; None: there is none.
    fixed_s : list of float
        Fixed seconds of a prefill iteration of each worker.
    """

    outlook: Outlook
    progress: WorkInProgress | None
    fixed_s: list[float]

    def arrived(self, request: int, time: float) -> None:
        """Queue the request."""
        super().arrived(request, time)
        self.outlook.arrived(request)
        if self.progress is not None:
            self.progress.arrived(request, time)

    def admitted(self, request: int, view: WorkerView) -> None:
        """Note that a mixed engine has taken a request that waited."""
        super().admitted(request, view)
        self.outlook.started([request], view)

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Learn the length."""
        super().completed(request, length, view)
        self.outlook.stopped(request, view)

    def evict(self, view: WorkerView) -> list[int]:
        """The request that started last, of several the last to arrive."""
        victims = super().evict(view)
        for i in victims:
            self.outlook.stopped(i, view)
        return victims

    def idle_until_cheaper(self, view: WorkerView, batch: list[int], multiplier: float) -> float | None:
        """Slot-rounds that will be idle until some more completions lower the cost per refilled slot; None: none do.

        `multiplier` is the price of an idle slot for a second, in seconds (`idle_price.idle_worth_waiting`).
        """
        count, fixed_s = len(batch), self.fixed_s[view.index]
        stall_s = 0.0 if self.progress is None else self.progress.stall_s(batch, view)
        more = min(len(self.backlog.queue) - count, LOOKAHEAD)
        if more <= 0 or fixed_s + stall_s <= 0:
            return None
        round_s = float(view.worker.decode_time.round_seconds(view.active, view.kv_held))
        completions = self.outlook.rounds_to_completions(view, more)
        return idle_worth_waiting(fixed_s, multiplier * round_s, count, completions, stall_s)

    def lot_waits(self, view: WorkerView, count: int, price_s: float) -> bool:
        """Whether a batch of `count` should wait for the next completions by its lot size (`lot_size.merging_pays`), at
        `price_s` seconds for each idle slot and round."""
        more, fixed_s = len(self.backlog.queue) - count, self.fixed_s[view.index]
        if more <= 0 or fixed_s <= 0 or price_s <= 0:
            return False
        rate = view.active / self.backlog.estimator.length(self.backlog.queue.first)
        rounds, ends = self.outlook.completions_ahead(view)
        return merging_pays(fixed_s, price_s, count, rate, rounds, np.minimum(ends, more))
