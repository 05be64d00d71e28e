"""Several workers: bundles of like requests change places between the worker that ends last and others.

Each worker has its best schedule so far.  An exchange gives a bundle of the worker that ends last to another, and takes
a smaller bundle in return; both are scheduled anew, and it stands when the later of the two ends sooner than before.
How much a bundle should hold is priced by `Instance.work_seconds`; what it does to packing and to the ends of both
schedules shows when they are made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsched_mip.algorithms.common_ends.planner import Planner, Rule, Schedule, like, searched
from llmsched_mip.instance import Instance
from llmsched_mip.timing import FloatArray, IntArray

RULES = 2


@dataclass(frozen=True, eq=False)
class Part:
    """The requests of a worker (indices, by rising output tokens), and the best schedule of them that was found."""

    requests: IntArray
    planner: Planner | None
    schedule: Schedule | None

    @property
    def seconds(self) -> float:
        """When the worker has ended; 0 without requests."""
        return 0.0 if self.schedule is None else self.schedule.seconds


class Exchange:
    """The parts of all workers, and changes of them.

    Parameters
    ----------
    instance : Instance
        A backlog.
    requests : list of int arrays, one for each worker
        Where every request is at the beginning; each fits there.
    seed : int
    """

    def __init__(self, instance: Instance, requests: list[IntArray], seed: int):
        self.instance, self.random = instance, np.random.default_rng(seed)
        self.parts = [self.planned(w, here, [Rule()]) for w, here in enumerate(requests)]

    @property
    def seconds(self) -> FloatArray:
        """When each worker has ended: shape (W,)."""
        return np.array([part.seconds for part in self.parts])

    def planned(self, w: int, requests: IntArray, rules: list[Rule]) -> Part:
        """A part with the best schedule of these rules."""
        r = self.instance.requests
        if not len(requests):
            return Part(requests, None, None)
        ordered = requests[np.argsort(r.decode_tokens[requests], kind="stable")]
        planner = Planner(self.instance.workers[w], r.prefill_tokens[ordered], r.decode_tokens[ordered])
        return Part(ordered, planner, min((planner.run(rule) for rule in rules), key=lambda found: found.seconds))

    def search(self, w: int, trials: int) -> bool:
        """Try so many other rules on one worker; whether it ends sooner."""
        part = self.parts[w]
        if part.planner is None or part.schedule is None:
            return False
        found = searched(part.planner, part.schedule, trials, self.random)
        self.parts[w] = Part(part.requests, part.planner, found)
        return found is not part.schedule

    def step(self) -> bool:
        """One exchange between the worker that ends last and another; whether it stands."""
        seconds, random = self.seconds, self.random
        last = int(np.argmax(seconds))
        others = np.delete(np.arange(len(seconds)), last)
        if not len(others):
            return False
        other = int(min(random.choice(others, min(2, len(others)), replace=False), key=lambda w: seconds[w]))
        excess = float(seconds[last] - seconds[other])
        net = excess * random.uniform(0.2, 1.0)
        back = float(random.choice([0.0, 0.0, 0.01, 0.03])) * float(seconds[last]) * random.random()
        given = self.bundle(last, other, back + net / 2)
        taken = self.bundle(other, last, back)
        if not len(given):
            return False
        one, two = self.parts[last].requests, self.parts[other].requests
        found = [
            self.planned(w, np.concatenate((np.setdiff1d(had, lost, assume_unique=True), got)), self._rules(w))
            for w, had, lost, got in ((last, one, given, taken), (other, two, taken, given))
        ]
        if max(found[0].seconds, found[1].seconds) >= seconds[last]:
            return False
        self.parts[last], self.parts[other] = found
        return True

    def _rules(self, w: int) -> list[Rule]:
        schedule = self.parts[w].schedule
        best = Rule() if schedule is None else schedule.rule
        return [best, *(like(best, self.random) for _ in range(RULES - 1))]

    def bundle(self, w: int, to: int, seconds: float) -> IntArray:
        """Requests of worker `w` that fit another, of like output lengths, that take about so many seconds of it.

        At least one where any is asked for; of several starting points that is taken whose requests cost the other
        least for what they cost `w`.
        """
        there = self.parts[w].requests
        requests: IntArray = there[self.instance.fits_worker[there, to]]
        if not len(requests) or seconds <= 0:
            return requests[:0]
        work = self.instance.work_seconds[requests]
        here = np.cumsum(work[:, w])
        best, best_price = requests[:0], np.inf
        for first in self.random.integers(len(requests), size=3).tolist():
            before = float(here[first - 1]) if first else 0.0
            until = max(first + 1, int(np.searchsorted(here, before + seconds, side="right")))
            span = slice(first, until)
            price = float(work[span, to].sum() / work[span, w].sum()) if work[span, w].any() else 1.0
            if price < best_price:
                best, best_price = requests[span], price
        return best
