"""A plan's order, without its times."""

from __future__ import annotations

import numpy as np

from llmsched_mip.plan import Plan
from llmsched_mip.policies.base import Problem
from llmsched_mip.policies.threshold import IdleThreshold
from llmsched_mip.timing import IntArray


class PlanOrder(IdleThreshold):
    """List scheduling in the order in which a plan starts its requests: what is left of an offline plan where the
    lengths turn out other than it was made for.  Without a plan, in order of arrival.
    """

    def __init__(self, problem: Problem):
        order = None if problem.plan is None else start_order(problem.plan, len(problem.prefill_tokens))
        super().__init__(problem, order)


def start_order(plan: Plan, n: int) -> list[int]:
    """Place of each of the `n` requests: by the decode round at which its stage starts, then as written."""
    none: IntArray = np.zeros(0, dtype=np.int64)
    requests, begins = [none], [none]
    for own in plan.workers:
        before: IntArray = np.cumsum(own.rounds) - own.rounds
        requests.append(own.requests)
        begins.append(np.repeat(before, np.diff(own.offsets)))
    flat, begin = np.concatenate(requests), np.concatenate(begins)
    ranked = flat[np.argsort(begin, kind="stable")]
    place = np.full(n, n, dtype=np.int64)
    ranked = ranked[ranked >= 0]
    place[ranked] = np.arange(len(ranked))
    return place.tolist()
