"""Serial placement: long requests take their place in rounds × KV first, short ones fill what they leave.

For the makespan of a backlog, where few requests are in service at once or KV binds.  The conserved-work identity
leaves ``a R + base P`` to decide (docs/problem.md, section 2): orders, grids of start rounds and patience for a prefill
iteration that is there already are tried, then the order of the best is searched.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from llmsched_mip.algorithms.serial.placement import Jobs, descend, patience_rounds, placed
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.split import planned_apart
from llmsched_mip.models.start_rounds import Start, plan_of
from llmsched_mip.plan import Plan
from llmsched_mip.timing import IntArray

STRETCHES = (5, 2, 8, 3, 1, 0.5)
STEPS = (1, 8, 4, 12, 16, 24, 32, 64)
PATIENCES = (1.0, 4.0, 0.0)
PACES = (1.05, 1.02, 1.1, 1.0)
"""Of a full KV cache."""
MOST_REQUESTS = 20_000
MOST_STEP_SHARE = 0.25
PASS_WORK, MOST_TRIALS = 2_000_000, 500
NEEDS = "it takes the makespan, a backlog of at most 20,000 requests, and rounds that take time"


class Found(NamedTuple):
    """Seconds that an order costs beside the work that is conserved, the order, and how it is placed."""

    seconds: float
    order: IntArray
    jobs: Jobs


class SerialPlacement:
    """Placements for one worker with a backlog.

    Parameters
    ----------
    instance : Instance
        One worker, no arrivals, rounds that take time.
    """

    def __init__(self, instance: Instance):
        worker, r = instance.workers[0], instance.requests
        self.instance, self.p, self.d = instance, r.prefill_tokens, r.decode_tokens
        self.slots = worker.most_slots(instance.n)
        self.capacity = worker.most_kv(int((self.p + self.d).sum()))
        self.seconds = (worker.decode_time.base_s, worker.prefill_time.fixed_seconds)
        self.cap = worker.most_prefill(int(self.p.sum()))

    def trials(self) -> Iterator[Found]:
        """Every step, patience, order and pace worth trying; the likeliest first."""
        first_step = 1 if self.seconds[1] == 0 else STEPS[1]
        longest_first, shortest_first = (np.argsort(key, kind="stable") for key in (-self.d, self.d))
        for jobs in self.patient(first_step):
            yield self._found(longest_first, jobs._replace(backward=True))
        for order in (longest_first, shortest_first):
            for pace in PACES:
                for jobs in self.patient(first_step):
                    yield self._found(order, jobs._replace(pace=pace / self.capacity))
        for step in self.steps():
            for stretch in STRETCHES:
                key = np.log(self.d) + np.log(self.p) / stretch
                order = np.argsort(-key, kind="stable")
                for jobs in self.patient(step):
                    yield self._found(order, jobs._replace(backward=True))
                    yield self._found(order, jobs)

    def _found(self, order: IntArray, jobs: Jobs) -> Found:
        rounds, prefills, _ = placed(jobs, order)
        return Found(self.seconds[0] * rounds + self.seconds[1] * prefills, order, jobs)

    def steps(self) -> Iterator[int]:
        """Distances of start rounds; one round only where a prefill iteration is nearly free."""
        round_s, prefill_s = self.seconds
        longest = int(self.d.max())
        for step in STEPS:
            if step == 1 or (prefill_s > 0.1 * round_s and step <= MOST_STEP_SHARE * longest):
                yield step

    def patient(self, step: int) -> Iterator[Jobs]:
        """Patience until what a request leaves idle is worth some share of a prefill iteration."""
        round_s, prefill_s = self.seconds
        for patience in PATIENCES if prefill_s > 0 else (0.0,):
            rounds = patience_rounds(self.p, self.d, patience * prefill_s, round_s, (self.slots, self.capacity))
            yield Jobs(self.p, self.d, rounds, step, self.slots, self.capacity)

    def plan(self, found: Found, method: str = "serial") -> Plan:
        """The plan of an order; a batch above the prefill cap in several iterations."""
        _, _, starts = placed(found.jobs, found.order)
        room: dict[int, list[int]] = {}
        chosen = []
        for i in found.order.tolist():
            filled, tokens = room.setdefault(int(starts[i]), []), int(self.p[i])
            place = next((k for k, left in enumerate(filled) if left >= tokens), len(filled))
            if place == len(filled):
                filled.append(self.cap)
            filled[place] -= tokens
            chosen.append(Start(0, int(starts[i]) + 1, place, i))
        return plan_of(self.instance, chosen, method)


def applies(instance: Instance) -> bool:
    """Whether the method applies: the makespan, a backlog, not too many requests, rounds that take time."""
    return (
        instance.objective == "makespan"
        and instance.n <= MOST_REQUESTS
        and not instance.requests.arrival_s.any()
        and all(worker.decode_time.base_s > 0 for worker in instance.workers)
    )


def serial(search: Search) -> str | None:
    """Offer serial placements until the budget is spent; why it does not apply, or None."""
    instance = search.instance
    if not applies(instance):
        return NEEDS
    if len(instance.workers) == 1:
        for plan in serial_plans(instance, search.budget, search.seed):
            search.offer(plan)
        return None
    share = search.budget.remaining / len(instance.workers)
    whole = planned_apart(instance, "serial", partial(last_plan, search, share))
    if whole is not None:
        search.offer(whole)
    return None


def last_plan(search: Search, seconds: float, part: Instance) -> Plan | None:
    """The best placement of one worker's part within some seconds."""
    best = None
    for plan in serial_plans(part, search.budget.slice(seconds), search.seed):
        best = plan
    return best


def serial_plans(instance: Instance, budget: Budget, seed: int, most_passes: int = 1 << 30) -> Iterator[Plan]:
    """Plans, each better than the one before by the conserved-work identity; the first however small the budget is.

    Parameters
    ----------
    instance : Instance
        One worker, to which the method `applies`.
    budget : Budget
    seed : int
    most_passes : int
        Most passes of local search, of as many trials as n allows.
    """
    placement = SerialPlacement(instance)
    best: Found | None = None
    for found in placement.trials():
        if best is None or found.seconds < best.seconds:
            best = found
            yield placement.plan(best)
        if budget.spent():
            return
    if best is None:
        return
    random = np.random.default_rng(seed)
    trials = min(MOST_TRIALS, max(1, PASS_WORK // instance.n**2))
    for _ in range(most_passes):
        if budget.spent():
            return
        seconds, order = descend(best.jobs, best.order, placement.seconds, trials, random)
        better = seconds < best.seconds
        best = Found(seconds, order, best.jobs)
        if better:
            yield placement.plan(best)
