"""What the laws ask of `solve`, of bounds and of policies."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.bounds import compute
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import Outcome, replay
from llmsched_mip.instance import Instance
from llmsched_mip.methods import solve
from llmsched_mip.policies import POLICIES

LIMIT_S = 0.3
READING_S = 5e-3
NEEDS_PLAN = ("plan", "plan-order")
ONLINE = tuple(name for name in POLICIES if name not in (*NEEDS_PLAN, "vllm"))


def bound_of(instance: Instance, name: str) -> float | None:
    """One bound for the instance's objective, None where it does not apply."""
    with clock.counting(READING_S):
        found = compute(instance, Budget(LIMIT_S), names=[name])
    return found[0].value if found else None


def solved(instance: Instance, method: str = "auto") -> tuple[str, float]:
    """Status and value."""
    with clock.counting(READING_S):
        plan = solve(instance, method=method, time_limit_s=LIMIT_S, threads=1).plan
    assert plan.claims.value is not None
    return plan.claims.status, plan.claims.value


def proven(instance: Instance) -> float | None:
    """The optimum where `solve` proves it."""
    status, value = solved(instance)
    return value if status == "optimal" else None


def replayed(instance: Instance, policy: str, lengths: str) -> Outcome | None:
    """What a policy does, None where it does not work with these lengths."""
    try:
        return replay(instance, policy, lengths=lengths)
    except InvalidInputError as error:
        if "needs" in str(error):
            return None
        raise
