"""Plans of one worker for a backlog: rules of two kinds of schedule, and a search for those that end it soonest.

One kind refills together what ends together (`kernel.schedule`).  Where requests are long against the whole backlog
that leaves the KV cache empty at first and too small at the end; the other kind places one request after the other,
each as late as those before it allow (`serial.placement`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from llmsched_mip.algorithms.common_ends.kernel import Backlog, Choice, Limits, schedule
from llmsched_mip.algorithms.serial.placement import Jobs, patience_rounds, placed
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.timing import (
    AffinePrefill,
    IntArray,
    conserved_seconds,
    decode_work_seconds,
    request_kv_peak,
    request_kv_volume,
    varying_seconds,
)
from llmsched_mip.worker import Worker

MOST_WINDOW = 5000
MOST_LENGTHS = 1_000_000
"""Requests with more rounds to go than this are not matched by their ends: an array has an entry for each length."""
MOST_PLACED = 2_000
"""Requests of a worker that are placed one after the other, in some hundredths of a second."""
STEPS, PLACED_SHARE = (4, 8, 12, 16, 24, 32), 0.4
NOISES, SLACKS, LEAST_PATIENCE, MOST_PATIENCE = (0.0, 0.0, 0.01, 0.1), (0.0, 0.001, 0.003, 0.01, 0.02), 0.3, 4.0


class Rule(NamedTuple):
    """What a schedule depends on beside the requests.

    Parameters
    ----------
    patience : float
        Idle seconds before a batch, as a multiple of what one more prefill iteration costs.
    slack : float
        See `kernel.Choice`.
    prompt_power, noise : float
        The list that fills what room is left has the largest log d + prompt_power log p + noise z first, z normal.
    scattered : bool
        Whether the first batch, on the empty worker, is a random choice, so that its ends are spread.
    seed : int
        For all random numbers above.
    step : int
        0: `kernel.schedule`.  Else the list is placed backwards, ends of the first requests together as far as they
        fit, starts that are multiples of so many rounds from the end (of one round where prefill has no fixed time).
    """

    patience: float = 1.5
    slack: float = 0.003
    prompt_power: float = 0.0
    noise: float = 0.0
    scattered: bool = False
    seed: int = 0
    step: int = 0


FIRST_RULES = (Rule(), Rule(patience=1.0, step=8))


def random_rule(random: np.random.Generator) -> Rule:
    """A rule drawn from all that are worth trying."""
    drawn = Rule(
        float(np.exp(random.uniform(np.log(LEAST_PATIENCE), np.log(MOST_PATIENCE)))),
        float(random.choice(SLACKS)),
        float(random.choice([0.0, random.uniform(-0.5, 1.0)])),
        float(random.choice(NOISES)),
        bool(random.integers(2)),
        int(random.integers(2**31)),
    )
    return drawn._replace(step=int(random.choice(STEPS))) if random.random() < PLACED_SHARE else drawn


def like(rule: Rule, random: np.random.Generator) -> Rule:
    """The rule with one of its numbers changed a little."""
    change = int(random.integers(6))
    if change == 0:
        return rule._replace(patience=rule.patience * float(np.exp(0.3 * random.standard_normal())))
    if change == 1:
        return rule._replace(slack=max(rule.slack, 0.0005) * float(np.exp(0.4 * random.standard_normal())))
    if change == 2:
        return rule._replace(prompt_power=rule.prompt_power + 0.1 * float(random.standard_normal()))
    if change == 3:
        return rule._replace(noise=max(rule.noise, 0.001) * float(np.exp(0.4 * random.standard_normal())))
    if change == 4:
        if rule.step:
            return rule._replace(step=int(random.choice(STEPS)))
        return rule._replace(scattered=not rule.scattered)
    return rule._replace(seed=int(random.integers(2**31)))


@dataclass(frozen=True, eq=False)
class Schedule:
    """What a rule gives: `seconds` to the end of the last request, and `starts`.

    Parameters
    ----------
    rule : Rule
    seconds : float
    starts : int array, shape (n,)
        Rounds that have been run when each request starts.
    """

    rule: Rule
    seconds: float
    starts: IntArray


class Planner:
    """Plans a backlog on one worker.

    Parameters
    ----------
    worker : Worker
    p, d : int arrays, shape (n,)
        Prompt and output tokens of requests that fit the worker; n at least 1.
    """

    def __init__(self, worker: Worker, p: IntArray, d: IntArray):
        self.worker, self.p, self.d = worker, p, d
        tokens = worker.max_prefill_tokens
        self.limits = Limits(
            worker.most_kv(int(request_kv_peak(p, d).sum())),
            worker.most_slots(len(p)),
            MOST_LIMIT if tokens is None else int(tokens),
        )
        self._log_p, self._log_d = np.log(p), np.log(d)
        self._by_prompt = np.argsort(p, kind="stable")
        self._place = np.searchsorted(np.sort(-d), -np.arange(min(int(d.max()), MOST_LENGTHS) + 1))

    def run(self, rule: Rule) -> Schedule:
        """The schedule of a rule."""
        n, random = len(self.p), np.random.default_rng(rule.seed)
        z = random.standard_normal(n)
        key = -(self._log_d + rule.prompt_power * self._log_p + rule.noise * z)
        listed = np.argsort(key, kind="stable")
        if rule.step and self.places:
            return self._placed(rule, listed)
        by_length = np.lexsort((z, -self.d))
        first = random.permutation(n) if rule.scattered else listed
        backlog = Backlog(self.p, self.d, listed, first, by_length, self._place, self._by_prompt)
        round_s = self.worker.decode_time.base_s
        patience_s = rule.patience * self.worker.prefill_time.fixed_seconds
        starts = np.empty(n, dtype=np.int64)
        choice = Choice(round_s, patience_s, rule.slack, MOST_WINDOW)
        rounds, iterations = schedule(backlog, self.limits, choice, starts)
        return Schedule(rule, self._seconds(rounds, iterations, starts), starts)

    @property
    def places(self) -> bool:
        """Whether requests may be placed one after the other: rounds take time, and an iteration holds any batch."""
        uncapped = self.worker.max_prefill_tokens is None
        return uncapped and self.worker.decode_time.base_s > 0 and len(self.p) <= MOST_PLACED

    def _placed(self, rule: Rule, listed: IntArray) -> Schedule:
        """The schedule of a list that is placed backwards."""
        prefill_s, round_s = self.worker.prefill_time.fixed_seconds, self.worker.decode_time.base_s
        limits = self.limits.slots, self.limits.kv
        patience = patience_rounds(self.p, self.d, rule.patience * prefill_s, round_s, limits)
        step = rule.step if prefill_s > 0 else 1
        jobs = Jobs(self.p, self.d, patience, step, *limits, backward=True)
        return self.known(rule, without_idle_rounds(placed(jobs, listed)[2], self.d))

    def known(self, rule: Rule, starts: IntArray) -> Schedule:
        """The schedule of starts that somebody else has found; all in one round are one prefill iteration.

        Parameters
        ----------
        rule : Rule
            What a search goes on from.
        starts : int array, shape (n,)
        """
        rounds = int((starts + self.d).max())
        return Schedule(rule, self._seconds(rounds, len(np.unique(starts)), starts), starts)

    def _seconds(self, rounds: int, iterations: int, starts: IntArray) -> float:
        """The conserved-work identity (`timing.conserved_seconds`); by levels every iteration has its own seconds."""
        prefill, decode = self.worker.prefill_time, self.worker.decode_time
        if isinstance(prefill, AffinePrefill):
            fixed = conserved_seconds(prefill, decode, self.p, self.d)
            return fixed + float(varying_seconds(prefill, decode, rounds, iterations))
        batch = np.unique(starts, return_inverse=True)[1]
        tokens = np.bincount(batch, weights=self.p).astype(np.int64)
        volume = float(request_kv_volume(self.p, self.d).sum())
        decode_s = decode.base_seconds(rounds) + decode_work_seconds(decode, float(self.d.sum()), volume)
        return float(np.sum(prefill.seconds(tokens)) + decode_s)


def without_idle_rounds(starts: IntArray, d: IntArray) -> IntArray:
    """The same starts less the rounds before each in which nothing is active: shape (n,)."""
    order = np.argsort(starts, kind="stable")
    ends = np.maximum.accumulate((starts + d)[order])
    idle = np.maximum(starts[order] - np.concatenate(([0], ends[:-1])), 0)
    moved = starts.copy()
    moved[order] -= np.cumsum(idle)
    return moved


def searched(planner: Planner, best: Schedule, trials: int, random: np.random.Generator) -> Schedule:
    """The best of `best` and of so many other rules, most of them like the best so far."""
    for _ in range(trials):
        rule = random_rule(random) if random.random() < 0.2 else like(best.rule, random)
        found = planner.run(rule)
        if found.seconds < best.seconds:
            best = found
    return best
