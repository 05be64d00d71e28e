"""Depth-first branch and bound over the stages of one worker, for backlogs of a few dozen requests."""

from __future__ import annotations

import math

from llmsched_mip import clock
from llmsched_mip.algorithms.stages.problem import MOST_REQUESTS, StageProblem
from llmsched_mip.algorithms.stages.prove import prove
from llmsched_mip.bounds import Bound
from llmsched_mip.methods.lists import list_schedules
from llmsched_mip.methods.search import Search

NAME = "branch-and-bound"
SMALL, MOST = 24, 40
FIRST_SHARE, AGAIN_SHARE, INCUMBENT_SHARE = 0.4, 0.5, 0.1


def branch_and_bound(search: Search) -> str | None:
    """Search until the gap is closed or the time has passed; why it does not apply, or None."""
    if search.plan is None:
        list_schedules(search)
    problem = StageProblem.of(search.instance)
    if problem is None:
        return f"it takes one worker, a backlog of at most {MOST_REQUESTS} requests of equal weights, and short tables"
    explore(search, search.budget.remaining)
    return None


def branch_and_bound_if_small(search: Search) -> None:
    """The search in a part of the time left, where the number of requests gives hope of a proof."""
    if search.instance.n <= SMALL:
        explore(search, FIRST_SHARE * search.budget.remaining)


def branch_and_bound_again(search: Search) -> None:
    """The search from the best plan by now, in a part of the time left; it may find better plans without a proof."""
    if search.instance.n <= MOST:
        explore(search, AGAIN_SHARE * search.budget.remaining)


def explore(search: Search, seconds: float, dive: bool = False) -> None:
    """Offer the plans and raise the bounds that `algorithms.stages` finds within `seconds`; `dive` as there."""
    problem = StageProblem.of(search.instance)
    if problem is None or search.budget.spent() or seconds <= 0:
        return
    began = clock.now()
    known = math.inf if search.value is None else search.value / problem.weight
    least = (search.bound or 0.0) / problem.weight
    for proof in prove(problem, known, least, search.budget.slice(seconds), dive):
        if proof.best is not None and proof.value < known:
            known = proof.value
            search.offer(problem.plan(search.instance, proof.best, NAME))
        bound = proof.bound * problem.weight
        if search.value is not None and proof.closed:
            bound = search.value
        search.raise_bounds([Bound("branch_and_bound", bound, clock.now() - began, {"nodes": proof.nodes})])
