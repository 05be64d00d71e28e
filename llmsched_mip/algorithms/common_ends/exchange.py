"""Several workers: bundles of like requests change places between the worker that ends last and others.

Each worker has its best schedule so far.  An exchange gives a bundle of one to another, and takes another in return.
How much a bundle holds is priced by `Instance.work_seconds`; what it does to packing and to the ends of both schedules
shows when they are made.  A step relieves the worker that ends last, a trade lowers the sum of when workers end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmsched_mip.algorithms.common_ends.planner import FIRST_RULES, Planner, Rule, Schedule, like, searched
from llmsched_mip.instance import Instance
from llmsched_mip.plan import Plan
from llmsched_mip.timing import FloatArray, IntArray

RULES = 6
RETURNED = (0.0, 0.0, 0.01, 0.03)
"""What comes back for a bundle, as a share of when the worker ends."""
MOST_TRADED = 0.04


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
    rules : sequence of Rule, optional
        What each worker is planned by at first.
    """

    def __init__(self, instance: Instance, requests: list[IntArray], seed: int, rules: Sequence[Rule] | None = None):
        self.instance, self.random = instance, np.random.default_rng(seed)
        first = [FIRST_RULES] * len(requests) if rules is None else [(rule,) for rule in rules]
        self.parts = [self.planned(w, here, tried) for w, (here, tried) in enumerate(zip(requests, first, strict=True))]

    def follow(self, plan: Plan) -> None:
        """Take over the stages of each worker that a plan ends sooner; its requests are those of the part."""
        d = self.instance.requests.decode_tokens
        for w, (part, stages) in enumerate(zip(self.parts, plan.workers, strict=True)):
            if part.planner is None or part.schedule is None or not stages.rounds.all():
                continue
            begins = np.repeat(np.cumsum(stages.rounds) - stages.rounds, np.diff(stages.offsets))
            begin = np.zeros(len(d), dtype=np.int64)
            begin[stages.requests] = begins
            known = part.planner.known(part.schedule.rule, begin[part.requests])
            if known.seconds < part.seconds:
                self.parts[w] = Part(part.requests, part.planner, known)

    @property
    def seconds(self) -> FloatArray:
        """When each worker has ended: shape (W,)."""
        return np.array([part.seconds for part in self.parts])

    def planned(self, w: int, requests: IntArray, rules: Sequence[Rule]) -> Part:
        """A part with the best schedule of these rules."""
        r = self.instance.requests
        if not len(requests):
            return Part(requests, None, None)
        ordered = requests[np.argsort(r.decode_tokens[requests], kind="stable")]
        planner = Planner(self.instance.workers[w], r.prefill_tokens[ordered], r.decode_tokens[ordered])
        return Part(ordered, planner, min((planner.run(rule) for rule in rules), key=lambda found: found.seconds))

    @property
    def rules(self) -> list[Rule]:
        """The rule of each worker's schedule."""
        return [Rule() if part.schedule is None else part.schedule.rule for part in self.parts]

    def search(self, w: int, trials: int) -> bool:
        """Try so many other rules on one worker; whether it ends sooner."""
        part = self.parts[w]
        if part.planner is None or part.schedule is None:
            return False
        found = searched(part.planner, part.schedule, trials, self.random)
        self.parts[w] = Part(part.requests, part.planner, found)
        return found is not part.schedule

    def step(self) -> bool:
        """Relieve the worker that ends last by one of two others; whether both then end sooner than it did."""
        seconds, random = self.seconds, self.random
        last = int(np.argmax(seconds))
        others = np.delete(np.arange(len(seconds)), last)
        other = int(min(random.choice(others, min(2, len(others)), replace=False), key=lambda w: seconds[w]))
        excess = float(seconds[last] - seconds[other])
        back = float(random.choice(RETURNED)) * float(seconds[last]) * random.random()
        given = self.bundle(last, other, back + 0.5 * excess * random.uniform(0.2, 1.0))
        taken = self.bundle(other, last, back)
        found = self._exchanged((last, other), (given, taken), float(seconds[last]))
        if found is None:
            return False
        self.parts[last], self.parts[other] = found
        return True

    def trade(self, prices: FloatArray) -> bool:
        """Bundles of about the same work change places between two workers; whether it stands.

        It does where the priced sum of when they end falls, and none of them ends after all others.

        Parameters
        ----------
        prices : float array, shape (W,)
            What a second of each worker is worth.
        """
        seconds, random = self.seconds, self.random
        a, b = random.choice(len(seconds), size=2, replace=False).tolist()
        given = self.bundle(a, b, MOST_TRADED * random.random() * float(seconds[a]))
        taken = self.bundle(b, a, float(self.instance.work_seconds[given, b].sum()))
        found = self._exchanged((a, b), (given, taken), float(seconds.max()))
        if found is None:
            return False
        gain = prices[a] * (seconds[a] - found[0].seconds) + prices[b] * (seconds[b] - found[1].seconds)
        if gain > 0:
            self.parts[a], self.parts[b] = found
        return bool(gain > 0)

    def _exchanged(self, pair: tuple[int, int], bundles: tuple[IntArray, IntArray], most: float) -> list[Part] | None:
        """The parts of two workers that have given each other a bundle, both to end before `most` seconds, or None."""
        if not len(bundles[0]):
            return None
        found = []
        for w, lost, got in zip(pair, bundles, bundles[::-1], strict=True):
            rest = np.setdiff1d(self.parts[w].requests, lost, assume_unique=True)
            part = self._sooner(w, np.concatenate((rest, got)), most)
            if part is None:
                return None
            found.append(part)
        return found

    def _sooner(self, w: int, requests: IntArray, most: float) -> Part | None:
        """A part with these requests that ends before `most` seconds; None where `RULES` rules give none."""
        schedule = self.parts[w].schedule
        rule = best = Rule() if schedule is None else schedule.rule
        for _ in range(RULES):
            part = self.planned(w, requests, [rule])
            if part.seconds < most:
                return part
            rule = like(best, self.random)
        return None

    def bundle(self, w: int, to: int, seconds: float) -> IntArray:
        """Requests of worker `w` that fit another, of like output lengths, that take about so many seconds of it.

        At least one where any is asked for; of several starting points that is taken whose requests cost the other
        least for what they cost `w`.
        """
        there = self.parts[w].requests
        requests: IntArray = there[self.instance.fits_worker[there, to]]
        if not len(requests) or seconds <= 0:
            return requests[:0]
        cost, there_cost = (np.cumsum(self.instance.work_seconds[requests, k]) for k in (w, to))
        best, best_price = requests[:0], np.inf
        for first in self.random.integers(len(requests), size=3).tolist():
            before, before_there = (float(cost[first - 1]), float(there_cost[first - 1])) if first else (0.0, 0.0)
            until = max(first + 1, int(np.searchsorted(cost, before + seconds, side="right")))
            paid = float(cost[until - 1]) - before
            price = (float(there_cost[until - 1]) - before_there) / paid if paid > 0 else 1.0
            if price < best_price:
                best, best_price = requests[first:until], price
        return best
