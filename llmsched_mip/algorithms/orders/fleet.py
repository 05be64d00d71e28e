"""Several workers: bundles of requests change places between two workers, each with its own sequence of batches.

A request that comes to a worker joins the prefill iteration of the one there that is most like it; then the sequence
is searched for a few trials, and the exchange stands where both workers together are better.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from llmsched_mip.algorithms.orders.list_scheduling import Rule, list_schedule
from llmsched_mip.algorithms.orders.local_search import LocalSearch
from llmsched_mip.algorithms.orders.single_worker import SingleWorker, Starts
from llmsched_mip.instance import Instance
from llmsched_mip.plan import Plan, WorkerPlan
from llmsched_mip.timing import IntArray

RULES = (
    Rule(),
    Rule(misses=20, hold=2),
    Rule(misses=20, fits=8),
    Rule(misses=1000, fits=5, hold=1),
    Rule(misses=20, fits=20, hold=5),
    Rule(misses=1000, fits=32, hold=12),
    Rule(misses=20, pace=1.03),
    Rule(misses=20, pace=1.05, step=16),
)
MOST_MOVED = 0.15
COLD = 0.002
"""Temperature of the trials after an exchange, in values per request."""


@dataclass(frozen=True, eq=False)
class Part:
    """The requests of a worker (indices), when each starts, and the value of that alone."""

    requests: IntArray
    starts: Starts
    value: float


class FleetSearch:
    """The parts of all workers, and changes of them.

    Parameters
    ----------
    instance : Instance
    seed : int
        For random choices.

    Attributes
    ----------
    parts : list of Part
        One for each worker; set by `begin`.
    """

    def __init__(self, instance: Instance, seed: int):
        self.instance, self.random = instance, np.random.default_rng(seed)
        self.key = instance.work_seconds / np.asarray(instance.requests.weight)[:, None]
        self.parts: list[Part] = []

    def begin(self, requests: list[IntArray]) -> None:
        """Begin with list schedules of these requests of each worker; each fits there."""
        self.parts = [self.listed(w, np.asarray(here)) for w, here in enumerate(requests)]

    def follow(self, plan: Plan) -> None:
        """Begin with the sequences of a plan, or with list schedules of its requests where these are better."""
        self.begin([np.asarray(stages.requests) for stages in plan.workers])
        for w, (part, stages) in enumerate(zip(self.parts, plan.workers, strict=True)):
            if len(part.requests):
                here = replace(stages, requests=np.arange(len(part.requests)))
                alone = replace(plan, workers=(here,))
                local = LocalSearch(self.problem(w, part.requests), Starts.of(alone), 0)
                self.keep(w, local)

    @property
    def value(self) -> float:
        """Of all workers together."""
        return self._together([part.value for part in self.parts])

    def _together(self, values: list[float]) -> float:
        return max(values) if self.instance.objective == "makespan" else float(np.sum(values))

    def problem(self, w: int, requests: IntArray) -> SingleWorker:
        """The problem of one worker with some requests that fit it."""
        r, whole = self.instance.requests, self._whole[self.instance.workers[w].kind]
        return whole._replace(
            p=r.prefill_tokens[requests],
            d=r.decode_tokens[requests],
            weight=r.weight[requests],
            arrival_s=r.arrival_s[requests],
        )

    @cached_property
    def _whole(self) -> dict[object, SingleWorker]:
        """By kind of worker the problem of one with all requests that fit it."""
        found: dict[object, SingleWorker] = {}
        for w, worker in enumerate(self.instance.workers):
            fits = np.flatnonzero(self.instance.fits_worker[:, w])
            if worker.kind not in found and len(fits):
                found[worker.kind] = SingleWorker.of(replace(self.instance.take(fits), workers=(worker,)))
        return found

    def listed(self, w: int, requests: IntArray) -> Part:
        """A part with the best list schedule by machine time, or by arrival."""
        if not len(requests):
            return Part(requests, Starts.empty(0), 0.0)
        problem = self.problem(w, requests)
        key = -self.key[requests, w] if problem.makespan else self.key[requests, w]
        orders = [np.argsort(key, kind="stable")]
        if problem.arrival_s.any():
            orders.append(np.argsort(problem.arrival_s, kind="stable"))
        found = [list_schedule(problem, order, rule) for order in orders for rule in RULES]
        best = min(found, key=lambda schedule: schedule.value)
        return Part(requests, best.starts, best.value)

    def local(self, w: int) -> LocalSearch:
        """A search on the sequence of one worker."""
        part = self.parts[w]
        return LocalSearch(self.problem(w, part.requests), part.starts, int(self.random.integers(2**31)))

    def keep(self, w: int, local: LocalSearch) -> bool:
        """Take over the best of a search on one worker, if it is better; whether it is."""
        if local.best_value >= self.parts[w].value:
            return False
        self.parts[w] = Part(self.parts[w].requests, local.best_starts(), local.best_value)
        return True

    def exchange(self, trials: int) -> bool:
        """A random bundle goes to another worker, in half of the cases against one of as many; whether it stands."""
        random = self.random
        a, b = random.choice(len(self.parts), 2, replace=False).tolist()
        most = max(1, int(len(self.parts[a].requests) * MOST_MOVED * random.random() ** 3))
        given = self._bundle(a, b, most)
        taken = self._bundle(b, a, most) if random.random() < 0.5 else given[:0]
        if not len(given) + len(taken):
            return False
        found = [self._changed(a, given, taken, trials), self._changed(b, taken, given, trials)]
        if self._together([part.value for part in found]) >= self._together([self.parts[a].value, self.parts[b].value]):
            return False
        self.parts[a], self.parts[b] = found
        return True

    def _bundle(self, w: int, to: int, most: int) -> IntArray:
        """Requests of a worker that fit another: of like machine time, or any."""
        here = self.parts[w].requests
        fitting: IntArray = here[self.instance.fits_worker[here, to]]
        if not len(fitting):
            return fitting
        if self.random.random() < 0.5:
            ordered = fitting[np.argsort(self.key[fitting, w], kind="stable")]
            first = int(self.random.integers(len(ordered)))
            return ordered[first : first + most]
        return self.random.choice(fitting, min(most, len(fitting)), replace=False)

    def _changed(self, w: int, lost: IntArray, got: IntArray, trials: int) -> Part:
        """The part of a worker without some requests and with others, after so many trials."""
        part = self.parts[w]
        stay = ~np.isin(part.requests, lost)
        requests = np.concatenate((part.requests[stay], got))
        if not stay.any():
            return self.listed(w, requests)
        problem = self.problem(w, requests)
        local = LocalSearch(problem, self._joined(w, stay, got, problem), int(self.random.integers(2**31)))
        if trials and np.isfinite(local.value):
            local.step(COLD * local.value / len(requests), trials)
            local.keep_best()
        if not np.isfinite(local.best_value):
            return self.listed(w, requests)
        return Part(requests, local.best_starts(), local.best_value)

    def _joined(self, w: int, stay: np.ndarray, got: IntArray, problem: SingleWorker) -> Starts:
        """Starts of those that stay as before, and of new ones as of the one most like each.

        One that slots or the cap of an iteration do not allow there has an iteration of its own, next to it.
        """
        part = self.parts[w]
        rounds, iteration = part.starts.rounds[stay], part.starts.iteration[stay].astype(np.float64)
        key, rest = self.key[part.requests[stay], w], len(problem.p) - len(got)
        by_key = np.argsort(key, kind="stable")
        like = by_key[np.minimum(np.searchsorted(key[by_key], self.key[got, w]), rest - 1)]
        tokens, size = (np.bincount(part.starts.iteration[stay], x) for x in (problem.p[:rest], np.ones(rest)))
        places = iteration[like]
        for k, at in enumerate(part.starts.iteration[stay][like].tolist()):
            if tokens[at] + problem.p[rest + k] <= problem.cap and size[at] < problem.slots:
                tokens[at], size[at] = tokens[at] + problem.p[rest + k], size[at] + 1
            else:
                places[k] += (k + 1) / (len(got) + 1)
        merged = np.unique(np.concatenate((iteration, places)), return_inverse=True)[1].reshape(-1)
        return Starts(np.concatenate((rounds, rounds[like])), merged)

    def plan(self, method: str) -> Plan:
        """The plan of all workers."""
        instance, d = self.instance, self.instance.requests.decode_tokens
        stages = []
        for worker, part in zip(instance.workers, self.parts, strict=True):
            if not len(part.requests):
                stages.append(WorkerPlan.from_stages(worker.name, []))
                continue
            alone = part.starts.stages(worker, d[part.requests])
            stages.append(replace(alone, requests=part.requests[alone.requests]))
        return Plan(instance.name, instance.digest, instance.objective, method, tuple(stages))
