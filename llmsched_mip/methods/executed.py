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


class Execution:
    """A policy that is executed in parts; the plan carries the name `method`."""

    def __init__(self, instance: Instance, method: str, policy: Policy):
        self.instance, self.method, self.executor = instance, method, Executor(instance, policy)

    def run(self, budget: Budget | None = None) -> Executed | None:
        """Go on where it stopped; None when `budget` is spent before the end.

        Raises
        ------
        InvalidPlanError
            The policy evicted a request: what ran is not a plan.
        """
        if not self.executor.run(budget):
            return None
        outcome = self.executor.outcome(self.method, 0.0)
        plan = outcome.to_plan(self.instance, self.method)
        return Executed(outcome.measures.objective(self.instance.objective), plan)

    @property
    def share_complete(self) -> float:
        """Of the requests, those that are complete."""
        return 1.0 - self.executor.left / self.instance.n


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
    return Execution(instance, method, policy).run(budget)
