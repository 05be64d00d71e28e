"""Beam search of list schedules whose rules change on the way: total completion of a backlog on one worker."""

from __future__ import annotations

import math

from llmsched_mip.algorithms.orders.lists import Lists
from llmsched_mip.algorithms.orders.rule_beam import RuleBeam
from llmsched_mip.algorithms.orders.single_worker import SingleWorker
from llmsched_mip.methods.orders import best_list, work_s
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

    Each pass is wider and tries more than the one before.  With no clock that ends it, `most_passes` and the seed
    repeat a run exactly.
    """
    if not applies(search):
        return "it takes total completion of a backlog on one worker"
    lists = Lists(SingleWorker.of(search.instance), work_s(search), search.seed)
    _, trial = best_list(search, lists)
    budget = search.budget.or_default(DEFAULT_SECONDS) if math.isinf(most_passes) else search.budget
    most_stretches = max(2, search.instance.n // LEAST_OF_STRETCH)
    beam, done, unit_s = RuleBeam(lists, work_s(search)), 0, 0.0
    if not beam.begin(trial, min(STRETCHES[0], most_stretches), budget):
        return None
    while done < most_passes and not budget.spent():
        stretches, began_s = min(STRETCHES[done % len(STRETCHES)], most_stretches), budget.elapsed
        scale = max(LEAST_SCALE, min(WIDER**done, FITS * budget.remaining / max(unit_s, 1e-9)))
        width, trials = round(FIRST_WIDTH * math.sqrt(scale)), round(FIRST_TRIALS * math.sqrt(scale))
        better = beam.improve(stretches, max(1, width), trials, budget)
        if better and (search.value is None or beam.best.value < search.value):
            search.offer(beam.best.progress.starts.plan(search.instance, NAME))
        done, unit_s = done + 1, (budget.elapsed - began_s) / scale
    return None
