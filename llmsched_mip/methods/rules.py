"""The online rules as makers of plans: each executed with known lengths, none for longer than a part of the limit.

The result of `auto` is to be no worse than any rule that takes less than a tenth of the limit; the part is twice that,
since the same work takes longer on a machine that is busy.
"""

from __future__ import annotations

from collections.abc import Iterable

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.methods.search import Search
from llmsched_mip.policies import POLICIES, make_policy
from llmsched_mip.policies.protocol import Problem

SHARE = 0.2
NEED_A_PLAN = ("plan", "plan-order")
MAY_EVICT = ("geometric-slicing",)
"""What evicts is no plan."""
SLOW_RULES = ("sorted-lp", "lp-swap")
QUICK_RULES = tuple(name for name in POLICIES if name not in (*NEED_A_PLAN, *MAY_EVICT, *SLOW_RULES))
# An LP before the first decision: seconds for 2,000 requests, and how they grow.
SLOW_S, SLOW_REQUESTS, SLOW_EXPONENT = 6.0, 2_000, 1.5


def rules(search: Search) -> None:
    """Execute every quick rule."""
    execute(search, QUICK_RULES)


def slow_rules(search: Search) -> None:
    """Execute the rules that solve an LP first, where that is expected to take less than a tenth of the limit."""
    expected_s = SLOW_S * (search.instance.n / SLOW_REQUESTS) ** SLOW_EXPONENT
    if expected_s < min(SHARE * search.whole.seconds, 0.5 * search.budget.remaining):
        execute(search, SLOW_RULES)


def execute(search: Search, names: Iterable[str]) -> None:
    """Offer what each of these policies makes; one that does not apply to the instance is left out."""
    problem = Problem.of(search.instance, "known", seed=search.seed)
    for name in names:
        if search.budget.spent():
            return
        try:
            search.run_policy(name, make_policy(name, problem), search.budget.slice(SHARE * search.whole.seconds))
        except InvalidInputError:
            continue
