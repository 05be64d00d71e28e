"""Bound "start_prices": unit rounds under prices on the KV tokens of rounds and on covering them."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.algorithms.unit_round.shortest_first import shortest_first
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.time_indexed.unit_prices import MOST_STARTS, ascend
from llmsched_mip.unit_rounds import UnitRounds

DEFAULT_TIME_LIMIT_S = 5.0


def start_prices(instance: Instance, budget: Budget) -> Bound | None:
    """Unit-round instances, total completion: L at the best prices found.  None for others.

    Proof.  `relaxations.time_indexed.unit_prices`.
    """
    began = clock.now()
    problem = UnitRounds.of(instance) if instance.objective == "total_completion" else None
    if problem is None:
        return None
    starts = shortest_first(problem)
    horizon = int((starts + problem.d).max())
    if problem.n * horizon > MOST_STARTS:
        return None
    found = ascend(problem, horizon, problem.value(starts), budget.slice(DEFAULT_TIME_LIMIT_S))
    certificate = {"horizon_rounds": horizon, "families": len(found.windows), "rounds": found.proven}
    return Bound("start_prices", found.proven * problem.round_s, clock.now() - began, certificate)
