"""A policy as a source of plans: executed with known lengths, what ran is a plan and has a value."""

from __future__ import annotations

from typing import NamedTuple, overload

from llmsched_mip.budget import Budget
from llmsched_mip.execution import Executor
from llmsched_mip.instance import Instance
from llmsched_mip.plan import Plan
from llmsched_mip.policies.protocol import Policy


class Executed(NamedTuple):
    """A plan that an execution gave, and its objective value in the unit of the instance."""

    value: float
    plan: Plan


@overload
def executed(instance: Instance, method: str, policy: Policy) -> Executed: ...


@overload
def executed(instance: Instance, method: str, policy: Policy, budget: Budget | None) -> Executed | None: ...


def executed(instance: Instance, method: str, policy: Policy, budget: Budget | None = None) -> Executed | None:
    """Execute `policy` on `instance`; the plan carries the name `method`.  None when `budget` is spent before the end.

    Raises
    ------
    InvalidPlanError
        The policy evicted a request: what ran is not a plan.
    """
    executor = Executor(instance, policy)
    if not executor.run(budget):
        return None
    outcome = executor.outcome(method, 0.0)
    return Executed(outcome.measures.objective(instance.objective), outcome.to_plan(instance, method))
