"""A plan's order, without its times."""

from __future__ import annotations

from llmsched_mip.policies.parts.plan_times import start_order
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.policies.threshold import IdleThreshold


def plan_order(problem: Problem) -> IdleThreshold:
    """List scheduling in the order in which a plan starts its requests: what is left of an offline plan where the
    lengths turn out other than it was made for.  Without a plan, in order of arrival.
    """
    order = None if problem.plan is None else start_order(problem.plan, len(problem.prefill_tokens))
    return IdleThreshold(problem, order)
