"""Online decision rules, one a file: what an executor shows in, a decision out."""

from __future__ import annotations

from collections.abc import Callable

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.base import Policy, Problem
from llmsched_mip.policies.fcfs import FirstComeFirstServed
from llmsched_mip.policies.lagrangian import Lagrangian
from llmsched_mip.policies.longest_first import LongestFirst
from llmsched_mip.policies.plan import FollowPlan

POLICIES: dict[str, Callable[[Problem], Policy]] = {
    "fcfs": FirstComeFirstServed,
    "longest-first": LongestFirst,
    "plan": FollowPlan,
    "lagrangian": Lagrangian,
}


def make_policy(name: str, problem: Problem) -> Policy:
    """Make the policy `name` for what `problem` shows; raises `InvalidInputError` for an unknown name."""
    if name not in POLICIES:
        raise InvalidInputError("policy", f"expected one of {', '.join(POLICIES)}, got {name!r}")
    return POLICIES[name](problem)
