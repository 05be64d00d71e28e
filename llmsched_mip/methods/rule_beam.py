"""Beam search of list schedules whose rules change on the way: total completion of a backlog on one worker."""

from __future__ import annotations

import math

from llmsched_mip.algorithms.orders.lists import Lists
from llmsched_mip.algorithms.orders.rule_beam import RuleBeam
from llmsched_mip.algorithms.orders.single_worker import SingleWorker
from llmsched_mip.methods.orders import best_list, work_s
from llmsched_mip.methods.search import Search

NAME = "rule-beam"
STRETCHES = (40, 60, 25)
"""In turn, so that they end at different places."""
LEAST_OF_STRETCH = 10
FIRST_WIDTH, FIRST_TRIALS = 2, 50
WIDER = 1.6


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
    most_stretches = max(2, search.instance.n // LEAST_OF_STRETCH)
    beam, done = RuleBeam(lists, work_s(search), trial, min(STRETCHES[0], most_stretches)), 0
    while done < most_passes and not search.budget.spent():
        stretches, scale = STRETCHES[done % len(STRETCHES)], WIDER**done
        width, trials = round(FIRST_WIDTH * math.sqrt(scale)), round(FIRST_TRIALS * math.sqrt(scale))
        better = beam.improve(min(stretches, most_stretches), width, trials, search.budget)
        if better and (search.value is None or beam.best.value < search.value):
            search.offer(beam.best.progress.starts.plan(search.instance, NAME))
        done += 1
    return None
