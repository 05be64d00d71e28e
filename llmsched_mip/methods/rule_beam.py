"""Beam search of list schedules whose rules change on the way: total completion of a backlog on one worker."""

from __future__ import annotations

import math
from dataclasses import dataclass

from llmsched_mip.algorithms.orders.lists import Trial
from llmsched_mip.algorithms.orders.rule_beam import RuleBeam
from llmsched_mip.budget import Budget
from llmsched_mip.methods.orders import ListTrials, work_s
from llmsched_mip.methods.search import Search

NAME = "rule-beam"
STRETCHES = (16, 12, 20)
"""In turn, so that they end at different places."""
LEAST_OF_STRETCH = 10
FIRST_WIDTH, FIRST_TRIALS, LEAST_SCALE = 2, 50, 0.02
DEFAULT_SECONDS = 60.0
WIDER, FITS = 1.6, 0.8
"""How much more a pass tries than the one before; the last one fits into this share of the time left."""


def applies(search: Search) -> bool:
    """Whether there is one worker with a backlog, and the objective is total completion."""
    instance = search.instance
    backlog = not instance.requests.arrival_s.any()
    return len(instance.workers) == 1 and instance.objective == "total_completion" and backlog and instance.n > 1


def rule_beam(search: Search, most_passes: float = math.inf) -> str | None:
    """Offer schedules until the budget is spent, or after so many passes; why not, or None.

    Each pass is wider and tries more than the one before; a search's next turn goes on from there.  With no clock that
    ends it, `most_passes` and the seed repeat a run exactly.
    """
    if not applies(search):
        return "it takes total completion of a backlog on one worker"
    tried = ListTrials.of(search)
    tried.go_on(search)
    budget = search.budget.or_default(DEFAULT_SECONDS) if math.isinf(most_passes) else search.budget
    passes: Passes = search.kept.get(NAME) or Passes(RuleBeam(tried.lists, work_s(search)))
    search.kept[NAME] = passes
    if not passes.begun and not passes.begin(tried.best, budget):
        return None
    beam, end = passes.beam, passes.done + most_passes
    while passes.done < end and not budget.spent():
        if passes.go_on(budget) and (search.value is None or beam.best.value < search.value):
            search.offer(beam.best.progress.starts.plan(search.instance, NAME))
    return None


@dataclass(slots=True)
class Passes:
    """Passes of a beam, each wider than the one before.

    Attributes
    ----------
    beam : RuleBeam
    begun : bool
    done : int
    unit_s : float
        Seconds of a pass of the first width.
    """

    beam: RuleBeam
    begun: bool = False
    done: int = 0
    unit_s: float = 0.0

    def begin(self, trial: Trial, budget: Budget) -> bool:
        """Schedule by a trial; False: the budget was spent before the end."""
        if not self.beam.draw_lists(trial, budget):
            return False
        began_s = budget.elapsed
        self.begun = self.beam.begin(trial.rule, self._stretches(), budget)
        self.unit_s = (budget.elapsed - began_s) * FIRST_WIDTH * FIRST_TRIALS
        return self.begun

    def go_on(self, budget: Budget) -> bool | None:
        """One pass; whether it found a better schedule, None: the budget was spent before its end."""
        began_s = budget.elapsed
        scale = max(LEAST_SCALE, min(WIDER**self.done, FITS * budget.remaining / max(self.unit_s, 1e-9)))
        width, trials = round(FIRST_WIDTH * math.sqrt(scale)), round(FIRST_TRIALS * math.sqrt(scale))
        better = self.beam.improve(self._stretches(), max(1, width), trials, budget)
        if better is not None:
            self.unit_s, self.done = (budget.elapsed - began_s) / scale, self.done + 1
        return better

    def _stretches(self) -> int:
        most = max(2, len(self.beam.work_s) // LEAST_OF_STRETCH)
        return min(STRETCHES[self.done % len(STRETCHES)], most)
