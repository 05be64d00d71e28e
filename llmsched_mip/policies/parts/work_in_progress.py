"""How many requests are worth having in progress at once, where completion times are added up.

A prefill takes the whole worker, a decode round is shared.  One more request in progress saves all that come after it
their share of the rounds, and each of them is delayed by one more prefill.  Of N like requests, with s seconds of
prefill each and d rounds of b fixed seconds, k at a time and refilled as they end,

    Σ C ≈ N² / 2 · (s + b d / k) + N · (k s + b d),    least where 2 k² s = N b d:

an economic lot, as Harris (1913) has it, of which prefill time is the holding cost.  The limit on work in progress that
follows is that of CONWIP (Spearman, Woodruff and Hopp, 1990).  Where prefill takes little of the time it is above what
slots and KV cache hold, and says nothing.

N counts those that are still to come before the queue is empty: where they arrive at a rate that takes the share ρ of a
full worker's time, Q that wait grow to N = Q / (1 - ρ), and at ρ ≥ 1 throughput is all that counts.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.protocol import Problem, WorkerView
from llmsched_mip.timing import work_seconds

RECENT = 100
"""Arrivals that their rate is taken of."""


class WorkInProgress:
    """The limit on what is in progress, for every worker.

    Parameters
    ----------
    problem : Problem
    outlook : Outlook
        Knows what runs and what waits.
    factor : float
        Multiple of N b d that 2 k² s may reach.
    """

    def __init__(self, problem: Problem, outlook: Outlook, factor: float = 1.0):
        self.outlook, self.factor, self.workers = outlook, factor, problem.workers
        self.equal = len(np.unique(problem.weight)) <= 1
        self.first: float | None = None
        self.later: deque[float] = deque(maxlen=RECENT)
        self._count = self._prefill = self._decode = 0
        self._work_s = 0.0

    def arrived(self, request: int, time: float) -> None:
        """Note an arrival, of which the outlook knows."""
        self.first = time if self.first is None else self.first
        if time > self.first:
            self.later.append(time)
        self._count += 1
        self._prefill += self.outlook.prompts[request]
        self._decode += self.outlook.expected[request]
        if len(self.later) > 1 and (self._count < RECENT or not self._count % (RECENT // 10)):
            self._work_s = self._mean_work_s()

    def first_of(self, waiting: Iterable[int], view: WorkerView) -> Iterator[int]:
        """The first of the requests that wait, as many as are worth having in progress; at least one where nothing is
        active.

        With those that are active, the k in progress then have 2 k² Σ s ≤ N Σ b d, the sums over them; with weights,
        one k and N are the weights of what is in progress and of all that is not complete.
        """
        token_s, round_s = view.worker.prefill_time.token_seconds, view.worker.decode_time.base_s
        if token_s <= 0:
            yield from waiting
            return
        unfinished, weight = self.factor * self._unfinished(view), self._active(view)
        prefill, decode = self.outlook.running_prefill[view.index], self.outlook.running_decode[view.index]
        for in_progress, i in enumerate(waiting, view.active + 1):
            prefill, decode = prefill + self.outlook.prompts[i], decode + self.outlook.expected[i]
            weight += self.outlook.weights[i]
            if in_progress > 1 and 2.0 * weight * in_progress * prefill * token_s > unfinished * decode * round_s:
                return
            yield i

    def cut(self, batch: list[int], view: WorkerView) -> int:
        """How many of the first requests of a batch to prefill now."""
        return sum(1 for _ in self.first_of(batch, view))

    def stall_s(self, batch: list[int], view: WorkerView) -> float:
        """Seconds of everybody's time that a request saves which completes before the prefill of the batch, not having
        waited for it."""
        unfinished = self._unfinished(view)
        if not view.active or unfinished <= 0:
            return 0.0
        tokens = sum(self.outlook.prompts[i] for i in batch)
        return float(view.worker.prefill_time.token_seconds * tokens * self._active(view) / view.active / unfinished)

    def _active(self, view: WorkerView) -> float:
        """Weight of what is active on a worker."""
        return (
            self.outlook.weights[0] * view.active if self.equal else sum(self.outlook.weights[i] for i in view.started)
        )

    def _unfinished(self, view: WorkerView) -> float:
        """N, by weight: what is active on a worker and its share of what waits, and those to come meanwhile."""
        now = self._active(view) + self.outlook.waiting_weight / len(self.workers)
        load = self._load(view.time)
        return now / (1.0 - load) if load < 1.0 else math.inf

    def _load(self, time: float) -> float:
        """ρ: the share of the workers' time that recent arrivals take."""
        if len(self.later) < 2 or self.first is None:
            return 0.0
        since = self.later[0] if len(self.later) == RECENT else self.first
        return len(self.later) / (time - since) * self._work_s if time > since else 0.0

    def _mean_work_s(self) -> float:
        """Seconds of all workers that a request takes, in the mean of those that have arrived."""
        mean = np.array([max(1, self._prefill // self._count)]), np.array([max(1, self._decode // self._count)])
        each = [
            float(work_seconds(w.prefill_time, w.decode_time, *mean, w.slots, w.kv_capacity)[0]) for w in self.workers
        ]
        speed = sum(1.0 / seconds for seconds in each if seconds > 0)
        return 1.0 / speed if speed else 0.0
