"""Where KV binds and not the slots: large requests first, small ones beside them, and waiting priced by idle KV.

Known lengths, makespan.  A request that would end together with one that runs goes first: then one prefill iteration
refills what both leave.  The others go by descending KV volume, and what does not fit now is passed over.  With a plan
the order is the plan's, and the prices are its duals.
"""

from __future__ import annotations

from itertools import chain, islice

import numpy as np
from sortedcontainers import SortedList

from llmsched_mip.policies.parts import keys
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.idle_price import kv_worth_waiting, planned_prices
from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.protocol import Problem, WorkerView
from llmsched_mip.timing import request_kv_volume

LOOKAHEAD = 48
MOST_PARTNERS = 60


class KVRefill:
    """What to prefill on a worker whose KV cache binds, and when.

    Parameters
    ----------
    problem : Problem
        With known lengths.
    backlog : Backlog
    outlook : Outlook

    Attributes
    ----------
    price : list of float
        Of every worker, seconds of makespan for a KV-token-second: 1 / M where KV binds, else 0; empty as long as that
        is open.
    """

    def __init__(self, problem: Problem, backlog: Backlog, outlook: Outlook):
        self.problem, self.backlog, self.outlook = problem, backlog, outlook
        self.price: list[float] = []
        self._by_length: SortedList[tuple[int, int]] = SortedList()
        if problem.plan is not None:
            given = [planned_prices(problem, w) for w in range(len(problem.workers))]
            self.price = [0.0 if duals is None else duals.kv_token_s for duals in given]
            backlog.skip = any(self.price)

    def settle(self) -> None:
        """Once something waits: see which worker's KV cache binds, and order the queue by volume where one does.

        KV binds where the requests need more rounds for their volume than for their tokens, Σvol / M > Σd / J.
        """
        if self.price or not self.backlog.queue:
            return
        prompts, expected, waiting = self.backlog.prompts, self.outlook.expected, list(self.backlog.queue)
        volume = sum(float(request_kv_volume(prompts[i], expected[i])) for i in waiting)
        tokens = float(sum(expected[i] for i in waiting))
        for worker in self.problem.workers:
            slots, capacity = worker.most_slots(len(self.problem.prefill_tokens)), worker.kv_capacity
            binds = capacity is not None and volume * slots > tokens * capacity
            self.price.append(1 / capacity if capacity is not None and binds else 0.0)
        if any(self.price):
            self.backlog.skip = True
            self.backlog.queue.order_by(keys.largest_volume_first(self.problem, self.backlog.estimator))
            self._by_length.update((expected[i], i) for i in waiting)

    def arrived(self, request: int) -> None:
        """Note a request that waits."""
        if any(self.price):
            self._by_length.add((self.outlook.expected[request], request))

    def taken(self, batch: list[int]) -> None:
        """Note that a batch is prefilled."""
        for i in batch:
            self._by_length.discard((self.outlook.expected[i], i))

    def choose(self, view: WorkerView) -> list[int]:
        """A batch that fits now, not yet taken from the queue."""
        backlog = self.backlog
        if self.problem.plan is not None or view.free_slots == 0 or not backlog.queue:
            return backlog.choose(view)
        partners = self._partners(view)
        known = set(partners)
        others = (i for i in backlog.candidates(view) if i not in known)
        return backlog.admission[view.index].batch(view, chain(partners, others), True)

    def _partners(self, view: WorkerView) -> list[int]:
        """Waiting requests that would end with one that runs, the longest first."""
        unfit = self.backlog.unfit[view.index]
        found: list[int] = []
        for rounds in sorted({rounds for rounds, _ in self.outlook.next_ends(view, view.active)}, reverse=True):
            same = self._by_length.irange((rounds, -1), (rounds + 1, -1))
            found += [i for _, i in islice(same, MOST_PARTNERS) if i not in unfit]
            if len(found) >= MOST_PARTNERS:
                break
        return found

    def waits(self, view: WorkerView, batch: list[int], fixed_s: float) -> bool:
        """Whether to decode on, because with the next completions a prefill costs less for what it refills."""
        ends = self.outlook.next_ends(view, LOOKAHEAD)
        if fixed_s <= 0 or not ends or len(self.backlog.queue) <= len(batch):
            return False
        rounds, requests = zip(*ends, strict=True)
        freed = np.array([self._held(i) for i in requests])
        price_s = self.price[view.index] * float(view.worker.decode_time.base_seconds(1))
        ready = sum(self._held(i) for i in batch)
        return kv_worth_waiting(fixed_s, price_s, ready, np.array(rounds, dtype=np.float64), freed)

    def _held(self, request: int) -> float:
        """KV tokens that a request holds on average."""
        length = self.outlook.expected[request]
        return float(request_kv_volume(self.backlog.prompts[request], length)) / length
