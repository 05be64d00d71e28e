"""The executor of mixed semantics: arrivals to workers, and each worker from decision to decision (docs/engines.md)."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

import numpy as np

from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidPlanError
from llmsched_mip.execution.events import Event
from llmsched_mip.execution.mixed_decodes import Progress
from llmsched_mip.execution.mixed_lane import NEVER, Lane
from llmsched_mip.execution.mixed_queue import WaitingOrder
from llmsched_mip.execution.outcome import Outcome
from llmsched_mip.instance import Instance
from llmsched_mip.measures import Schedule, measure
from llmsched_mip.plan import WorkerPlan

DECISIONS_A_LOOK = 64
Route = Callable[[int, int, Sequence[Lane]], int]
"""The worker of a request: from its index, how many arrived before it, and the workers as they are."""


class MixedExecutor:
    """Executes an instance with chunked prefill.

    Parameters
    ----------
    instance : Instance
        Its semantics are ``mixed``.
    orders : sequence of WaitingOrder
        One for each worker.
    route : Route
    log : callable, optional
        Called with every `Event`.
    """

    def __init__(
        self,
        instance: Instance,
        orders: Sequence[WaitingOrder],
        route: Route,
        log: Callable[[Event], None] | None = None,
    ):
        self.instance, self.route, self.log = instance, route, log
        requests = instance.requests
        order = np.argsort(requests.arrival_s, kind="stable")
        self.order: list[int] = order.tolist()
        self.arrival: list[float] = [*requests.arrival_s[order].tolist(), NEVER]
        self.progress = Progress(
            requests.prefill_tokens.tolist(), requests.decode_tokens.tolist(), requests.prefix_blocks
        )
        self.lanes = [
            Lane(w, worker, self.progress, waiting, log)
            for w, (worker, waiting) in enumerate(zip(instance.workers, orders, strict=True))
        ]
        self.left = instance.n

    def run(self, budget: Budget | None = None) -> bool:
        """Execute until every request is complete; whether they are when `budget` is spent."""
        queue: list[tuple[float, int, int]] = []
        arrival, lanes = self.arrival, self.lanes
        come = decisions = 0
        while self.left:
            next_decision = queue[0][0] if queue else NEVER
            if arrival[come] <= next_decision:
                if arrival[come] == NEVER:
                    raise InvalidPlanError(f"{self.left} requests cannot be admitted")
                lane = self._deliver(come)
                come += 1
                if lane is not None:
                    heapq.heappush(queue, (lane.decides_at, lane.index, lane.version))
                continue
            now, w, version = heapq.heappop(queue)
            lane = lanes[w]
            if version != lane.version:
                continue
            decisions += 1
            if budget is not None and decisions % DECISIONS_A_LOOK == 0 and budget.spent():
                return False
            self.left -= lane.decide(now)
            lane.version += 1
            if lane.decides_at != NEVER:
                heapq.heappush(queue, (lane.decides_at, w, lane.version))
        return True

    def _deliver(self, come: int) -> Lane | None:
        """Give a request to its worker; the worker where it decides at another time now."""
        i, now = self.order[come], self.arrival[come]
        lane = self.lanes[self.route(i, come, self.lanes)]
        if self.log:
            self.log(Event(now, -1, "arrive", i, -1, 0, 0))
        if not lane.arrived(i, now):
            return None
        lane.version += 1
        return lane

    def outcome(self, policy: str, seconds: float) -> Outcome:
        """Measures of the finished run."""
        progress, lanes = self.progress, self.lanes
        n = self.instance.n
        times = (progress.prefill_start, progress.decode_start, progress.first_token, progress.completion)
        schedule = Schedule(np.array(progress.worker), np.full(n, -1), *(np.array(one) for one in times))
        measures = measure(self.instance, schedule, [lane.totals() for lane in lanes])
        none: np.ndarray = np.zeros(0, dtype=np.int64)
        stages = [WorkerPlan(worker.name, none, np.zeros(1, dtype=np.int64), none) for worker in self.instance.workers]
        return Outcome(
            policy,
            schedule,
            measures,
            sum(lane.evictions for lane in lanes),
            seconds,
            stages,
            self.instance,
            sum(lane.hit_tokens for lane in lanes),
        )


def round_robin(instance: Instance) -> Route:
    """In turn, among the workers that a request fits."""
    fits = instance.fits_worker
    if fits.all():
        count = len(instance.workers)
        return lambda _, number, __: number % count
    choices = [np.flatnonzero(row).tolist() for row in fits]
    return lambda i, number, _: choices[i][number % len(choices[i])]


def least_loaded(instance: Instance) -> Route:
    """To the worker with the least of four times what waits and what runs there, as vLLM's balancer between
    data-parallel replicas weighs it; of several the first."""
    if len(instance.workers) == 1:
        return lambda _, __, ___: 0
    fits = instance.fits_worker
    choices: list[list[int]] = [] if fits.all() else [np.flatnonzero(row).tolist() for row in fits]
    every = list(range(len(instance.workers)))

    def route(i: int, _: int, lanes: Sequence[Lane]) -> int:
        return min(choices[i] if choices else every, key=lambda w: lanes[w].load)

    return route


def placed(places: Sequence[int]) -> Route:
    """To the worker of each request, shape (n,)."""
    return lambda i, _, __: places[i]
