"""Lists of requests, the rules that execute them, and a random search over both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from llmsched_mip.algorithms.orders.list_scheduling import ListSchedule, Rule, list_schedule
from llmsched_mip.algorithms.orders.single_worker import SingleWorker
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.timing import FloatArray, request_kv_volume

NO_LIMIT = 10**9
FIRST_RULES = (Rule(), Rule(misses=20), Rule(misses=20, hold=2), Rule(misses=20, fits=8))
IDLE = (2, 4, 8, 16, 32, 64)
EXPONENTS = (0.0, 0.0, 0.1, 0.2, 0.3, 0.5, -0.1, -0.2, -0.4)
CLASSES = (0.0, 0.0, 0.0, 0.02, 0.1, 0.2, 0.4, 0.7)
FITS, HOLDS, SHARES = (1, 1, 2, 3, 5, 8, 12, 20, 32, 64), (0, 0, 1, 2, 3, 5, 8, 12, 20, 40), (0.0, 0.0, 0.5, 0.8, 0.95)
MISSES, SIZES = (1, 10, 30, 100, NO_LIMIT), (NO_LIMIT, NO_LIMIT, NO_LIMIT, 16, 32, 64, 128)
PACES, STEPS = (1.03, 1.05, 1.02, 1.1, 1.0), (1, 16)
MOST_SCANNED = 50_000_000
LEAST_MISSES = 20


class Trial(NamedTuple):
    """A list by the key of each request, lowest first, and a rule."""

    name: str
    key: FloatArray
    rule: Rule


class Lists:
    """Lists worth trying on one worker.

    Parameters
    ----------
    problem : SingleWorker
    work_s : float array, shape (n,)
        Seconds of the full worker that each request takes: `timing.work_seconds`.
    seed : int
    """

    def __init__(self, problem: SingleWorker, work_s: FloatArray, seed: int):
        self.problem, self.random = problem, np.random.default_rng(seed)
        p, d, weight = problem.p.astype(np.float64), problem.d.astype(np.float64), problem.weight
        self.most_misses = max(LEAST_MISSES, MOST_SCANNED // len(p))
        self.logarithms = np.log(np.maximum(work_s, np.finfo(np.float64).tiny)), np.log(d), np.log(p)
        volume = request_kv_volume(problem.p, problem.d)
        if problem.makespan:
            self.keys = {
                "longest-first": -d,
                "machine-time": -work_s,
                "fcfs": problem.arrival_s,
                "largest-volume-first": -volume,
            }
        else:
            self.keys = {
                "machine-time": work_s / weight,
                "shortest-first": d / weight,
                "smallest-volume-first": volume / weight,
                "fcfs": problem.arrival_s,
            }

    def run(self, trial: Trial) -> ListSchedule:
        """Execute a trial."""
        rule = trial.rule._replace(misses=min(trial.rule.misses, self.most_misses))
        return list_schedule(self.problem, np.argsort(trial.key, kind="stable"), rule)

    def first(self) -> Iterator[Trial]:
        """Each list with a few rules."""
        for rule in FIRST_RULES:
            for name, key in self.keys.items():
                yield Trial(name, key, rule)

    def passing_over(self) -> Iterator[Trial]:
        """Each list, passing over all that do not fit."""
        for name, key in self.keys.items():
            yield Trial(f"{name}, skip", key, Rule(misses=NO_LIMIT))

    def paced(self) -> Iterator[Trial]:
        """Each list at the pace of the KV cache, where there is one."""
        if self.problem.capacity < MOST_LIMIT:
            for pace in PACES:
                for step in STEPS:
                    for name, key in self.keys.items():
                        yield Trial(f"{name}, paced", key, Rule(misses=LEAST_MISSES, pace=pace, step=step))

    def waiting_for_slots(self) -> Iterator[Trial]:
        """Each list in turn with thresholds of idle slots, up to the first that does not fit."""
        for name, key in self.keys.items():
            for idle in IDLE:
                if idle <= self.problem.slots < len(self.problem.p):
                    yield Trial(name, key, Rule(idle=idle))

    def drawn(self, best: Trial) -> Trial:
        """A random trial: half of the time the best list or the best rule with another of the other.

        Where the best has a pace, so has half of the others.
        """
        way = self.random.random()
        if 0.25 <= way < 0.5:
            return self.drawn_list(best.rule)
        rule = self.drawn_rule()
        if best.rule.pace > 0 and self.random.random() < 0.5:
            rule = rule._replace(pace=best.rule.pace, step=best.rule.step)
        return best._replace(rule=rule) if way < 0.25 else self.drawn_list(rule)

    def _pick(self, values: tuple[int, ...] | tuple[float, ...]) -> float:
        return values[int(self.random.integers(len(values)))]

    def drawn_rule(self) -> Rule:
        """A random rule."""
        idle = max(1, int(self._pick(SHARES) * self.problem.slots))
        fits, hold, misses = int(self._pick(FITS)), int(self._pick(HOLDS)), int(self._pick(MISSES))
        return Rule(idle, fits, misses, hold, int(self._pick(SIZES)))

    def drawn_list(self, rule: Rule) -> Trial:
        """By a product of powers of work, d and p, in classes of like values that are ordered by d or p."""
        work, d, p = self.logarithms
        x, y, width = self._pick(EXPONENTS), self._pick(EXPONENTS), self._pick(CLASSES)
        if self.problem.makespan:
            key = -d - 0.1 * x * p
        else:
            key = work + x * d + y * p - np.log(self.problem.weight)
        if width > 0:
            within = (d, -d, p, -p)[int(self.random.integers(4))]
            key = np.floor(key / width) + 0.5 * (within - within.min()) / (np.ptp(within) + 1.0)
        return Trial("list", key, rule)
