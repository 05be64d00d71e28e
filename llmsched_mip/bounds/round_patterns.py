"""Bound "round_patterns": unit rounds under prices on what is active together in a round."""

from __future__ import annotations

import math
from collections.abc import Callable

from llmsched_mip import clock
from llmsched_mip.algorithms.unit_round.shortest_first import shortest_first
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.time_indexed import patterns
from llmsched_mip.relaxations.time_indexed.kv_prices import ascend_prices
from llmsched_mip.relaxations.time_indexed.relaxation import StartRelaxation
from llmsched_mip.timing import request_kv_volume
from llmsched_mip.unit_rounds import UnitRounds

DEFAULT_TIME_LIMIT_S = 20.0
LONGER = 1.35
KV_PASSES = 1000


def round_patterns(instance: Instance, budget: Budget) -> Bound | None:
    """Unit-round instances with small KV capacities, total completion: L at the best prices found.  None for others.

    Proof.  `relaxations.time_indexed.patterns`.
    """
    found: list[Bound] = []
    improve(instance, budget.slice(DEFAULT_TIME_LIMIT_S), found.append)
    return found[-1] if found else None


def improve(
    instance: Instance,
    budget: Budget,
    report: Callable[[Bound], None],
    passes: tuple[int, ...] = patterns.PASSES,
    again: int = patterns.MOST_AGAIN,
) -> None:
    """Report every better bound until the budget is spent or prices gain nothing.

    Parameters
    ----------
    instance : Instance
    budget : Budget
    report : callable
        Called with each `Bound`.
    passes, again
        As of `patterns.ascend_patterns`: a limit of work.
    """
    began = clock.now()
    problem = UnitRounds.of(instance) if instance.objective == "total_completion" else None
    relaxation = StartRelaxation.of(instance) if problem is not None else None
    if problem is None or relaxation is None:
        return
    busy = float(request_kv_volume(problem.p, problem.d).sum()) / problem.capacity
    last = int((shortest_first(problem) + problem.d).max())
    horizon = min(last, math.ceil(LONGER * busy) + int(problem.d.max()))
    if not patterns.applies(problem, horizon):
        return
    begin = ascend_prices(relaxation, budget.slice(share=0.1), horizon, KV_PASSES).prices / problem.round_s
    proven = -math.inf
    for found in patterns.ascend_patterns(problem, begin, budget, passes, again):
        if found.proven > proven:
            proven = found.proven
            certificate = {"horizon_rounds": horizon, "block_rounds": found.block, "rounds": proven}
            report(Bound("round_patterns", proven * problem.round_s, clock.now() - began, certificate))
