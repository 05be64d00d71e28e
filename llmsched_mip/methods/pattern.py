"""Prefill patterns: choose the rounds at which prefill iterations run, then who starts at each of them.

The conserved-work identity (docs/problem.md, section 2) leaves ``a R + base P`` to decide, that is R + ρ P decode
rounds with ρ = base / a.  For given prefill rounds and a horizon the LP of `start_model` says, in hundredths of a
second, what cannot be served, KV cache included; so a local search over the prefill rounds and the horizon is cheap.
The prefill rounds repeat with a period, since equal lengths then stay in step and share prefill iterations.  The best
pattern is solved in integers; the plan is taken from executing it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from llmsched_mip.budget import Budget
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.methods.executed import Executed, executed
from llmsched_mip.methods.lists import list_schedules
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.split import parts, planned_apart
from llmsched_mip.methods.start_model import LengthClasses, StartModel, build
from llmsched_mip.plan import Plan
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.policies.timetable import Timetable
from llmsched_mip.solvers.highs import solve_arrays
from llmsched_mip.timing import IntArray

Batches = tuple[list[list[int]], list[int]]
COARSE, MEDIUM = 40, 90
COARSE_SHARE, FINE_SHARE, INTEGER_SHARE, POLISH_SHARE = 0.35, 0.2, 0.3, 0.12
POLISH_TRIALS = 2000
FINE_TRIALS = 400
MARGINS = (2, 5, 0)
KV_MARGIN = 0.01
LP_OPTIONS = {"presolve": "off", "simplex_strategy": 4}
MOST_STARTS = 160
NEEDS = "it takes a backlog, prefill iterations and rounds with a fixed cost, and slots or a KV capacity"
NOTHING = "no pattern was found"


@dataclass(frozen=True)
class Pattern:
    """Prefill rounds at 0 and `offsets` of every `period`, up to `horizon` (all in decode rounds)."""

    period: int
    offsets: tuple[int, ...]
    horizon: int

    def starts(self) -> IntArray:
        """The prefill rounds, ascending: shape (K,)."""
        once = np.unique(np.array([0, *(o for o in self.offsets if o < self.period)], dtype=np.int64))
        rounds = (np.arange(0, self.horizon, self.period)[:, None] + once).ravel()
        return rounds[rounds < self.horizon]


def applies(instance: Instance) -> bool:
    """Whether the method applies to the first worker: a backlog, decode rounds that cost time, slots or KV limited."""
    worker = instance.workers[0]
    return (
        not instance.requests.arrival_s.any()
        and worker.decode_time.base_s > 0
        and worker.prefill_time.fixed_seconds > 0
        and (worker.slots is not None or worker.kv_capacity is not None)
    )


class PatternSearch:
    """Local search over patterns for one worker with a backlog.

    Parameters
    ----------
    instance : Instance
        One to which the method `applies`.
    seed : int
    budget : Budget, optional
        Once it is spent, patterns have no value.
    """

    def __init__(self, instance: Instance, seed: int = 0, budget: Budget | None = None):
        self.budget = budget or Budget()
        worker, requests = instance.workers[0], instance.requests
        self.random = np.random.default_rng(seed)
        self.slots = worker.most_slots(instance.n)
        self.kv_capacity = None if worker.kv_capacity is None else int(worker.kv_capacity * (1 - KV_MARGIN))
        self.requests = requests
        self.classes = LengthClasses.of(requests.prefill_tokens, requests.decode_tokens, COARSE)
        self.longest = int(requests.decode_tokens.max())
        self.least = max(float(requests.decode_tokens.sum()) / self.slots, float(self.longest))
        if self.kv_capacity is not None:
            self.least = max(self.least, float(instance.kv_volume.sum()) / self.kv_capacity)
        self.prefill_rounds = worker.prefill_time.fixed_seconds / worker.decode_time.base_s
        self.tried = 0

    def refine(self, most: int) -> None:
        """Count lengths in at most `most` classes."""
        self.classes = LengthClasses.of(self.requests.prefill_tokens, self.requests.decode_tokens, most)

    def value(self, pattern: Pattern) -> float:
        """Horizon + ρ · prefill iterations + the price of what the LP leaves over, in decode rounds."""
        starts = pattern.starts()
        if len(starts) > MOST_STARTS:
            return math.inf
        self.tried += 1
        model = build(self.classes, starts, pattern.horizon, self.slots, self.kv_capacity)
        result = solve_arrays(model.arrays, threads=1, options=LP_OPTIONS, budget=self.budget)
        if result.value is None or not result.status.proven:
            return math.inf
        return pattern.horizon + self.prefill_rounds * len(starts) + result.value

    def guess(self, period: int, share: float) -> Pattern:
        """Evenly spaced prefill rounds, at `share` of the economic lot size (fixed cost against idle waiting)."""
        rate = self.slots / float(np.mean(self.requests.decode_tokens))
        gap = max(1.0, share * math.sqrt(2 * self.prefill_rounds * self.slots / rate))
        horizon = max(math.ceil(self.least * 1.01), self.longest)
        gap = max(gap, 2 * horizon / MOST_STARTS)
        count = max(1, round(period / gap))
        offsets = {round(k * period / count) for k in range(1, count)} | {horizon % period}
        return Pattern(period, tuple(sorted(offsets - {0})), horizon)

    def run(self, budget: Budget, most: int = 2000) -> tuple[float, Pattern]:
        """Search until `budget` is spent, or until `most` patterns were tried; the best pattern with its value."""
        trials = []
        for period in self.periods():
            for share in (1.0, 2.0):
                pattern = self._stretched(self.guess(period, share))
                trials.append((self.value(pattern), pattern))
                if budget.spent():
                    return min(trials, key=lambda trial: trial[0])
        trials.sort(key=lambda trial: trial[0])
        improved = [self.improve(*trial, budget, most // 20) for trial in trials[:3]]
        best = min(improved, key=lambda trial: trial[0])
        return self.improve(*best, budget, most)

    def periods(self) -> list[int]:
        """Periods worth trying: fractions of the longest length, or none at all."""
        fractions = {self.longest, self.longest // 2, self.longest * 2 // 3, math.ceil(self.least)}
        return sorted({p for p in fractions if p >= 1}, reverse=True)

    def _stretched(self, pattern: Pattern) -> Pattern:
        """Lengthen the horizon until little is left over."""
        for _ in range(6):
            starts = pattern.starts()
            if len(starts) > MOST_STARTS or self.budget.spent():
                return pattern
            fixed = pattern.horizon + self.prefill_rounds * len(starts)
            over = self.value(pattern) - fixed
            if not math.isfinite(over) or over < 0.02 * pattern.horizon:
                return pattern
            pattern = Pattern(pattern.period, pattern.offsets, pattern.horizon + math.ceil(over / 2))
        return pattern

    def improve(self, value: float, pattern: Pattern, budget: Budget, most: int) -> tuple[float, Pattern]:
        """Move, add and drop single prefill rounds and shift the horizon as long as the value falls."""
        for _ in range(most):
            if budget.spent():
                break
            other = self.neighbour(pattern)
            trial = self.value(other)
            if trial <= value:
                value, pattern = trial, other
        return value, pattern

    def neighbour(self, pattern: Pattern) -> Pattern:
        """One random change."""
        random, period, horizon = self.random, pattern.period, pattern.horizon
        offsets, kind = list(pattern.offsets), random.random()
        step = max(3, round(0.004 * horizon))
        if kind < 0.2 and offsets:
            offsets.pop(int(random.integers(len(offsets))))
        elif kind < 0.35 or not offsets:
            offsets.append(int(random.integers(1, max(2, period))))
        elif kind < 0.45:
            horizon += int(random.integers(-step, step))
        elif kind < 0.6:
            # Chains that start late end at the horizon: their phase moves with it.
            offsets = [o for o in offsets if o != horizon % period]
            horizon += int(random.integers(-step, step))
            offsets.append(horizon % period)
        else:
            k = int(random.integers(len(offsets)))
            near = offsets[k] + int(random.integers(-(period // 16) - 1, period // 16 + 2))
            offsets[k] = near if random.random() < 0.7 else int(random.integers(1, max(2, period)))
        horizon = max(horizon, self.longest)
        return Pattern(period, tuple(sorted({o for o in offsets if 0 < o < period})), horizon)

    def timetable(self, pattern: Pattern, budget: Budget) -> Batches | None:
        """Batches and due rounds from the integer model; what is left over stands in the first.

        None when no integer solution was found within `budget`.
        """
        starts = pattern.starts()
        model = build(self.classes, starts, pattern.horizon, self.slots, self.kv_capacity, integer=True)
        result = solve_arrays(model.arrays, threads=1, budget=budget, mip_abs_gap=0.3)
        if result.x is None:
            return None
        return self._batches(model, np.rint(result.x).astype(np.int64), starts)

    def _batches(self, model: StartModel, counts: IntArray, starts: IntArray) -> Batches:
        """Requests of every prefill round; those left over join the first."""
        batches: list[list[int]] = [[] for _ in starts]
        taken = [0] * len(self.classes.members)
        place = np.maximum(model.column_start, 0)
        for column in np.lexsort((model.column_class, place)):
            group, size = int(model.column_class[column]), int(counts[column])
            members = self.classes.members[group][taken[group] : taken[group] + size]
            taken[group] += size
            batches[place[column]].extend(members.tolist())
        pairs = [(batch, when) for batch, when in zip(batches, starts.tolist(), strict=True) if batch]
        return [batch for batch, _ in pairs], [when for _, when in pairs]


def pattern(search: Search) -> str | None:
    """Offer plans from prefill patterns; each worker of several on its own part of a backlog.

    With the list schedules first, so that there is a plan when the time is too short for a pattern.  Why it does not
    apply, or None.
    """
    instance = search.instance
    if instance.objective != "makespan":
        return "it takes the makespan"
    if search.plan is None:
        list_schedules(search)
    if len(instance.workers) == 1:
        if not applies(instance):
            return NEEDS
        offered = [search.offer(plan) for plan in pattern_plans(search, instance, 1.0)]
        return None if offered else NOTHING
    if not all(applies(part) for _, part in parts(instance) if part is not None):
        return NEEDS
    plan = planned_apart(instance, "pattern", partial(best_of_part, search))
    if plan is None:
        return NOTHING
    search.offer(plan)
    return None


def best_of_part(search: Search, instance: Instance) -> Plan | None:
    """The best plan from patterns of one worker's part, in that worker's share of the time left."""
    plans = pattern_plans(search, instance, 1 / len(search.instance.workers))
    return min(plans, key=lambda plan: evaluate(instance, plan).measures.makespan, default=None)


def pattern_plans(search: Search, instance: Instance, share: float) -> Iterator[Plan]:
    """Search coarse, then finer, then solve in integers, execute and polish; `share` of the time that is left."""
    left = search.budget.remaining * share
    patterns = PatternSearch(instance, search.seed, search.budget)
    value, found = patterns.run(search.budget.slice(COARSE_SHARE * left))
    if not math.isfinite(value):
        return
    patterns.refine(MEDIUM)
    _, found = patterns.improve(patterns.value(found), found, search.budget.slice(FINE_SHARE * left), FINE_TRIALS)
    problem = Problem.of(instance, "known")
    seconds = INTEGER_SHARE * left / len(MARGINS)
    best: tuple[Executed, Batches] | None = None
    for margin in MARGINS:
        if search.interrupted:
            return
        longer = replace(found, horizon=found.horizon + margin)
        timetable = patterns.timetable(longer, search.budget.slice(seconds))
        if timetable is None:
            continue
        for early in (False, True):
            run = executed(instance, "pattern", Timetable(problem, *timetable, early))
            yield run.plan
            if best is None or run.value < best[0].value:
                best = run, timetable
    if best is not None:
        yield polished(instance, *best, search.budget.slice(POLISH_SHARE * left), patterns.random)


def polished(
    instance: Instance, best: Executed, timetable: Batches, budget: Budget, random: np.random.Generator
) -> Plan:
    """Merge neighbouring batches, move due rounds and swap requests as long as the executed value falls."""
    problem = Problem.of(instance, "known")
    for _ in range(POLISH_TRIALS):
        if budget.spent() or len(timetable[0]) < 2:
            break
        trial = _changed(*timetable, random)
        run = executed(instance, "pattern", Timetable(problem, *trial, early=True))
        if run.value <= best.value:
            best, timetable = run, trial
    return best.plan


def _changed(batches: list[list[int]], due: list[int], random: np.random.Generator) -> Batches:
    """One random change of a timetable."""
    batches, due = [list(batch) for batch in batches], list(due)
    k, kind = int(random.integers(1, len(batches))), random.random()
    if kind < 0.3:
        into = k - 1 if k == len(batches) - 1 or random.random() < 0.5 else k + 1
        batches[into] += batches[k]
        del batches[k], due[k]
    elif kind < 0.6:
        earliest, latest = due[k - 1] + 1, due[k + 1] - 1 if k + 1 < len(due) else due[k] + 20
        due[k] = int(np.clip(due[k] + random.integers(-12, 8), earliest, max(earliest, latest)))
    else:
        near = int(np.clip(k + random.integers(-4, 5), 0, len(batches) - 1))
        if batches[k] and len(batches[k]) > 1:
            batches[near].append(batches[k].pop(int(random.integers(len(batches[k])))))
    return batches, due
