"""List schedules whose list and rule change on the way, by beam search; total completion of a backlog on one worker.

Short requests want other batches than long ones, so that no rule is good from the first to the last.  The backlog is
cut into stretches of work.  On each, every schedule of the beam is continued by many lists and rules, and those are
kept from which the least is to be expected:

    Σ ω_i C_i of what is complete  +  Σ ω_i · (now + Σ over j before or at i of slope_j · work_j)  of what is not,

in the order of work left by weight (Smith, Naval Res. Logist. Q. 3, 1956, on a worker that is always full).  The
slopes say how much longer work takes in truth, by classes of work.  They are fitted to the best schedule so far, so
that what was expected at the end of each of its stretches is what came of it; a pass of the beam gives the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.algorithms.orders.active import COST, COUNT, NOW, ROUNDS
from llmsched_mip.algorithms.orders.list_scheduling import Progress, Rule, Stretch, advance, sorted_arrivals
from llmsched_mip.algorithms.orders.lists import Lists, Trial
from llmsched_mip.algorithms.orders.single_worker import seconds_left
from llmsched_mip.budget import Budget
from llmsched_mip.timing import FloatArray, IntArray

LISTS, MOST_CELLS = 100, 8_000_000
CLASSES, SMOOTHNESS, SLOPES = 12, 0.02, (0.5, 4.0)
LIKE_BEST, NEW_CHOICE, OTHER_LIST, SAME_LIST = 0.5, 0.25, 0.5, 0.7
DIGITS = 12


class Choice(NamedTuple):
    """A list, by its number, and a rule."""

    order: int
    rule: Rule


class End(NamedTuple):
    """Where a stretch ends: the work that has started by then, and the class of work that is next."""

    until_s: float
    next_class: int


@dataclass(slots=True)
class Schedule:
    """A schedule of the first stretches.

    Attributes
    ----------
    progress : Progress
    choices : tuple of (float, Choice)
        Up to how much work, and how, each stretch was scheduled.
    expected : tuple of (float, float array of shape (CLASSES,))
        At the end of each stretch but the last: the expected value with slopes of 0, and what slopes of 1 add to it.
    value : float
        What is to be expected; after the last stretch what it is.
    """

    progress: Progress
    choices: tuple[tuple[float, Choice], ...]
    expected: tuple[tuple[float, FloatArray], ...]
    value: float

    def choice(self, until_s: float) -> Choice:
        """How the stretch was scheduled that held this much work."""
        return next(choice for end_s, choice in self.choices if end_s >= until_s)


class RuleBeam:
    """The best schedule so far, and passes of a beam that look for better ones.

    Parameters
    ----------
    lists : Lists
        Of a problem of total completion without arrivals.
    work_s : float array, shape (n,)
        `timing.work_seconds`.

    Attributes
    ----------
    best : Schedule
        Empty before `begin`, which comes after `draw_lists`.
    slope : float array, shape (CLASSES,)
    """

    def __init__(self, lists: Lists, work_s: FloatArray):
        self.lists, self.problem, self.work_s = lists, lists.problem, work_s
        self.arrival_s, ratio = sorted_arrivals(self.problem), work_s / self.problem.weight
        self.by_ratio = np.argsort(ratio, kind="stable")
        self.sorted_ratio = ratio[self.by_ratio]
        self.class_ends = np.append(self.sorted_ratio[self._cuts(CLASSES)], np.inf)
        self.slope, self.orders, self.best = np.ones(CLASSES), list[IntArray](), self._nothing()

    def draw_lists(self, trial: Trial, budget: Budget) -> bool:
        """Draw lists, the first that of a trial; False: the budget was spent before the last."""
        keys = [trial.key, *self.lists.keys.values()]
        while len(self.orders) < min(LISTS, max(1, MOST_CELLS // len(self.work_s))):
            if budget.spent():
                return False
            drawn = len(self.orders) >= len(keys)
            key = self.lists.drawn_list(trial.rule).key if drawn else keys[len(self.orders)]
            self.orders.append(np.argsort(key, kind="stable"))
        return True

    def begin(self, rule: Rule, stretches: int, budget: Budget) -> bool:
        """Schedule by the first list and a rule; False: the budget was spent before the end."""
        schedule = self._nothing()
        for end in self._ends(stretches):
            if budget.spent():
                return False
            schedule = self._next(schedule, end, Choice(0, rule))
        self._take(schedule)
        return True

    def improve(self, stretches: int, width: int, trials: int, budget: Budget) -> bool | None:
        """One pass that keeps `width` schedules and tries `trials` choices after each; whether it found a better one.

        None: the budget was spent before its end.
        """
        beam = [self._nothing()]
        for end in self._ends(stretches):
            found: dict[float, Schedule] = {}
            for schedule in beam:
                for choice in self._drawn(schedule, end.until_s, trials):
                    if budget.spent():
                        return None
                    after = self._next(schedule, end, choice)
                    found.setdefault(float(f"{after.value:.{DIGITS}g}"), after)
                    if len(found) > width:
                        del found[max(found)]
            beam = [found[value] for value in sorted(found)]
        better = beam[0].value < self.best.value
        if better:
            self._take(beam[0])
        return better

    def _nothing(self) -> Schedule:
        return Schedule(Progress.nothing(self.problem), (), (), 0.0)

    def _cuts(self, parts: int) -> IntArray:
        """Places in the order by work that cut Σ ω_i C_i, were the worker always full, into equal parts."""
        weight, work_s = self.problem.weight[self.by_ratio], self.work_s[self.by_ratio]
        cost = np.cumsum(work_s * np.cumsum(weight[::-1])[::-1])
        return np.asarray(np.searchsorted(cost, cost[-1] * np.arange(1, parts) / parts))

    def _ends(self, stretches: int) -> Iterator[End]:
        """The ends of stretches of equal cost; the last one ends with all complete."""
        work_s = np.cumsum(self.work_s[self.by_ratio])
        for place in np.unique(self._cuts(stretches)).tolist():
            yield End(float(work_s[place]), int(np.searchsorted(self.class_ends, self.sorted_ratio[place])))
        yield End(np.inf, CLASSES)

    def _drawn(self, schedule: Schedule, until_s: float, trials: int) -> Iterator[Choice]:
        """The choice of the best schedule, that of the stretch before, and changes of either."""
        best = self.best.choice(until_s)
        before = schedule.choices[-1][1] if schedule.choices else best
        yield best
        for k in range(1, trials):
            yield before if k == 1 else self._changed(best if self._chance(LIKE_BEST) else before)

    def _chance(self, share: float) -> bool:
        return bool(self.lists.random.random() < share)

    def _changed(self, choice: Choice) -> Choice:
        other, rule = int(self.lists.random.integers(len(self.orders))), self.lists.drawn_rule()
        if self._chance(NEW_CHOICE):
            return Choice(other, rule)
        if self._chance(OTHER_LIST):
            return choice._replace(order=other)
        field = Rule._fields[int(self.lists.random.integers(len(Rule._fields)))]
        rule = choice.rule._replace(**{field: getattr(rule, field)})
        return Choice(choice.order if self._chance(SAME_LIST) else other, rule)

    def _next(self, schedule: Schedule, end: End, choice: Choice) -> Schedule:
        """The schedule with one more stretch."""
        progress, choices = schedule.progress.copy(), (*schedule.choices, (end.until_s, choice))
        rule = choice.rule._replace(misses=min(choice.rule.misses, self.lists.most_misses))
        stretch = Stretch(self.work_s, end.until_s)
        value = advance(self.problem, self.orders[choice.order], rule, progress, stretch, self.arrival_s)
        if end.until_s == np.inf:
            return Schedule(progress, choices, schedule.expected, value)
        fixed, by_class = expected_value(self, progress, end.next_class)
        expected = (*schedule.expected, (fixed, by_class))
        return Schedule(progress, choices, expected, fixed + float(by_class @ self.slope))

    def _take(self, schedule: Schedule) -> None:
        """Make it the best, and fit the slopes to it by least squares, those of neighbours alike."""
        self.best = schedule
        rows = np.array([by_class for _, by_class in schedule.expected]).reshape(-1, CLASSES)
        missing = np.array([schedule.value - fixed for fixed, _ in schedule.expected])
        most = rows.sum(axis=1).max(initial=0.0)
        if most == 0.0:
            return
        alike = SMOOTHNESS * np.diff(np.eye(CLASSES), axis=0)
        rows, missing = np.vstack((rows / most, alike)), np.append(missing / most, np.zeros(CLASSES - 1))
        self.slope = np.clip(np.linalg.lstsq(rows, missing, rcond=None)[0], *SLOPES)


def expected_value(beam: RuleBeam, progress: Progress, next_class: int) -> tuple[float, FloatArray]:
    """The expected value with slopes of 0, and what slopes of 1 add to it, by class; seconds, shape (CLASSES,).

    What remains of classes below the next one counts as of that.
    """
    by_class = np.zeros(CLASSES)
    fixed = _expect(
        beam.problem,
        progress.active,
        progress.starts.iteration,
        beam.by_ratio,
        beam.work_s,
        beam.class_ends,
        next_class,
        by_class,
    )
    return float(fixed), by_class


@njit(cache=True)
def _expect(problem, active, iteration, by_ratio, work_s, class_ends, next_class, by_class):  # type: ignore[no-untyped-def]
    """Fill `by_class`, from the last in the order by work left to the first; the value with slopes of 0."""
    count, t = active.counts[COUNT], active.counts[ROUNDS]
    left_s, ratio = np.empty(count), np.empty(count)
    for k in range(count):
        left_s[k] = seconds_left(problem, active.finish[k] - t, active.offset[k] + t)
        ratio[k] = left_s[k] / problem.weight[active.request[k]]
    order = np.argsort(-ratio)
    at, k, behind, kind = len(by_ratio) - 1, 0, 0.0, len(class_ends) - 1
    while at >= 0 or k < count:
        if at >= 0 and iteration[by_ratio[at]] >= 0:
            at -= 1
            continue
        waits = at >= 0 and (k == count or work_s[by_ratio[at]] / problem.weight[by_ratio[at]] >= ratio[order[k]])
        i = by_ratio[at] if waits else active.request[order[k]]
        seconds = work_s[i] if waits else left_s[order[k]]
        at, k = at - waits, k + (not waits)
        while kind > 0 and class_ends[kind - 1] >= seconds / problem.weight[i]:
            kind -= 1
        behind += problem.weight[i]
        by_class[max(kind, next_class)] += seconds * behind
    return active.seconds[COST] + active.seconds[NOW] * behind
