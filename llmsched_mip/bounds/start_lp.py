"""Bound "start_lp": the time-indexed linear relaxation, solved by HiGHS."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.time_indexed.linear import DEFAULT_TIME_LIMIT_S, MOST_STARTS, StartLP, solve_start_lp
from llmsched_mip.relaxations.time_indexed.relaxation import blocks


def start_lp(instance: Instance, budget: Budget) -> Bound | None:
    """Optimum of the linear relaxation, for total completion; None where it is too large or a round takes no time.

    Proof.  The optimum is a bound for each block (`relaxations.time_indexed.linear`), and so is their total
    (`relaxations.time_indexed.relaxation`).
    """
    began = clock.now()
    parts = blocks(instance) if instance.objective == "total_completion" else None
    if parts is None or sum(part.n * (part.horizon + 1) for part in parts.parts) > MOST_STARTS:
        return None
    budget = budget.slice(DEFAULT_TIME_LIMIT_S)
    found: list[StartLP] = []
    for part in parts.parts:
        solved = solve_start_lp(part, budget=budget)
        if solved is None or budget.interrupted():
            return None
        found.append(solved)
    rounds = sum(len(part.prices) for part in found)
    return Bound("start_lp", parts.total([part.value for part in found]), clock.now() - began, {"rounds": rounds})
