"""The online rules as makers of plans: each executed with known lengths, none for longer than a part of the limit.

The result of `auto` is to be no worse than any rule that takes less than a tenth of the limit; the part is twice that,
since the same work takes longer on a machine that is busy.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from llmsched_mip import clock
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.methods.executed import executed
from llmsched_mip.methods.search import Search
from llmsched_mip.policies import POLICIES, make_policy
from llmsched_mip.policies.protocol import Problem

SHARE, GLANCE = 0.2, 0.02
NEED_A_PLAN = ("plan", "plan-order")
MAY_EVICT = ("geometric-slicing",)
"""What evicts is no plan."""
AS_SHORTEST_FIRST = ("mc-sf", "h-sf", "a-max", "a-min")
"""With known lengths they decide as `shortest-first` does, the last two where all weights are equal."""
AS_FCFS = ("vllm",)
SLOW_RULES = ("sorted-lp", "lp-swap")
HEAVY_RULES = ("sorted-f", "lagrangian", "lagrangian-stochastic", "rolling", "learned")
"""They select or forecast before their first decision, which no budget ends."""
MOST_FORECAST, MOST_SMALL = 500, 100
PROBED, PROBE_EXPONENT = 8, 1.5
QUICK_RULES = tuple(
    name for name in POLICIES if name not in (*NEED_A_PLAN, *MAY_EVICT, *AS_SHORTEST_FIRST, *AS_FCFS, *SLOW_RULES)
)


class Rules:
    """The rules that are quick to make, executed in two turns: a glance at each, then those that need longer."""

    def __init__(self, search: Search):
        requests = search.instance.requests
        light = [name for name in QUICK_RULES if name not in HEAVY_RULES]
        equal = len(np.unique(requests.weight)) == 1
        self.light = [*light, *(() if equal else AS_SHORTEST_FIRST[2:])]
        self.heavy = list(HEAVY_RULES)

    @property
    def left(self) -> bool:
        """Whether any is still to be executed."""
        return bool(self.light or self.heavy)

    def glance_at_rules(self, search: Search) -> None:
        """Execute each for at most a fiftieth of the limit, the heavy ones of small instances only."""
        self.light = execute(search, self.light, GLANCE)
        if search.instance.n * len(search.instance.workers) <= MOST_FORECAST:
            self.heavy = execute(search, self.heavy, GLANCE)

    def rules(self, search: Search) -> None:
        """Execute what is left, of the heavy ones those that are expected to take less than a tenth of the limit."""
        self.light = execute(search, self.light, SHARE)
        self.heavy = execute(search, [name for name in self.heavy if is_quick(search, name)], SHARE)


def is_quick(search: Search, name: str) -> bool:
    """Whether a rule is expected to be through in its share, from its time for every eighth request."""
    if search.instance.n < MOST_SMALL:
        return True
    if search.budget.spent():
        return False
    began, most_s = clock.now(), SHARE * search.whole.seconds
    part = search.instance.take(np.arange(0, search.instance.n, PROBED))
    try:
        executed(
            part, name, make_policy(name, Problem.of(part, "known", seed=search.seed)), search.budget.slice(most_s)
        )
    except InvalidInputError:
        return False
    expected_s: float = (clock.now() - began) * PROBED**PROBE_EXPONENT
    return expected_s < most_s


def slow_rules(search: Search) -> None:
    """Execute the rules that solve an LP first, where that is expected to take less than a tenth of the limit."""
    execute(search, [name for name in SLOW_RULES if is_quick(search, name)], SHARE)


def execute(search: Search, names: Iterable[str], share: float) -> list[str]:
    """Offer what each of these policies makes in this share of the limit; those that were cut off.

    One that does not apply to the instance is left out.
    """
    problem = Problem.of(search.instance, "known", seed=search.seed)
    cut: list[str] = []
    left = list(names)
    for k, name in enumerate(left):
        if search.budget.spent():
            return cut + left[k:]
        budget = search.budget.slice(share * search.whole.seconds)
        try:
            search.run_policy(name, make_policy(name, problem), budget)
        except InvalidInputError:
            continue
        if budget.spent():
            cut.append(name)
    return cut
