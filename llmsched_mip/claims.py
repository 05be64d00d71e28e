"""What a plan file claims (value, bound, gap, status, digest) against what its stages give."""

from __future__ import annotations

import math
from collections.abc import Callable

from llmsched_mip.instance import Instance
from llmsched_mip.measures import Measures
from llmsched_mip.names import OBJECTIVES
from llmsched_mip.plan import STATUSES, Plan, relative_gap
from llmsched_mip.tolerance import RELATIVE_TOLERANCE, at_most, same
from llmsched_mip.violations import Violation


def check(instance: Instance, plan: Plan, measures: Measures) -> list[Violation]:
    """Every claim of `plan` that is not true of the schedule with these `measures`.

    Only claims that can be decided from the plan and the instance are checked: a bound is refuted when it
    lies above the value of a feasible plan, not proven again.
    """
    found: list[Violation] = []

    def claim(message: str) -> None:
        found.append(Violation("claim", message))

    if plan.instance != instance.name:
        claim(f"instance is {plan.instance!r}, expected {instance.name!r}")
    if plan.instance_digest != instance.plan_digest:
        claim(f"instance_digest is {plan.instance_digest}, the instance has {instance.plan_digest}")
    if plan.claims.status not in STATUSES:
        claim(f"status is {plan.claims.status!r}, expected one of {', '.join(STATUSES)}")
    if plan.objective not in OBJECTIVES:
        claim(f"objective is {plan.objective!r}, expected one of {', '.join(OBJECTIVES)}")
        return found
    actual = measures.objective(plan.objective)
    if plan.claims.value is not None and not math.isnan(actual) and not same(plan.claims.value, actual):
        claim(f"value is {plan.claims.value!r}, the stages give {plan.objective} {actual!r}")
    for name, bound in plan.claims.bounds.items():
        if not at_most(bound, actual):
            claim(f"bound {name} of {bound!r} lies above the value {actual!r} of the plan itself")
    if plan.claims.bound is not None:
        _check_bound(plan, plan.claims.bound, actual, claim)
    elif plan.claims.status == "optimal":
        claim("status is optimal without a bound")
    if plan.claims.gap is not None and plan.claims.bound is None:
        claim("gap given without a bound")
    return found


def _check_bound(plan: Plan, bound: float, actual: float, claim: Callable[[str], None]) -> None:
    if not at_most(bound, actual):
        claim(f"bound {bound!r} lies above the value {actual!r} of the plan itself")
    best = max(plan.claims.bounds.values(), default=bound)
    if not same(min(best, actual), min(bound, actual)) and not math.isnan(actual):
        claim(f"bound is {bound!r}, the largest of bounds is {best!r}")
    value = actual if plan.claims.value is None else plan.claims.value
    if math.isnan(value):
        return
    gap = relative_gap(value, bound)
    if plan.claims.gap is None or not abs(plan.claims.gap - gap) <= RELATIVE_TOLERANCE * max(1.0, abs(gap)):
        claim(f"gap is {plan.claims.gap!r}, (value - bound) / value is {gap!r}")
    if plan.claims.status == "optimal" and gap > RELATIVE_TOLERANCE:
        claim(f"status is optimal at a gap of {gap!r}")
