"""The online rules as makers of plans: each executed with known lengths, none for longer than a part of the limit.

The result of `auto` is to be no worse than any rule that takes less than a tenth of the limit; the part is twice that,
since the same work takes longer on a machine that is busy.  All have a glance first; how far each comes in it says how
long it takes, and those that are quick go on where they stopped, the quickest first.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.methods.executed import Execution, executed
from llmsched_mip.methods.search import Search
from llmsched_mip.policies import POLICIES, make_policy
from llmsched_mip.policies.protocol import Problem

SHARE, TENTH, CHECK, GLANCE = 0.2, 0.1, 0.05, 0.02
AMISS = 4.0
"""Those expected to take so many times `SHARE` after `CHECK` are left."""
NEED_A_PLAN = ("plan", "plan-order")
MAY_EVICT = ("geometric-slicing",)
"""What evicts is no plan."""
AS_SHORTEST_FIRST = ("mc-sf", "h-sf", "a-max", "a-min")
"""With known lengths they decide as `shortest-first` does, the last two where all weights are equal."""
AS_FCFS = ("vllm",)
AS_LAGRANGIAN = ("lagrangian-stochastic", "learned")
"""With known lengths they decide as `lagrangian` does; `rolling` does for the makespan."""
FIRST = "lagrangian"
"""The best of them more often than any other."""
SLOW_RULES = ("sorted-lp", "lp-swap")
"""They solve an LP first."""
HEAVY_RULES = ("sorted-f", "lagrangian", "rolling")
"""They select or forecast before their first decision, which no budget ends."""
IN_SECONDS = ("rolling",)
"""Rules with options in seconds: executed on the instance as it was given, not on its normal form."""
MOST_FORECAST, MOST_SMALL, MOST_TINY = 500, 100, 16
PROBED, EXPONENT, LP_EXPONENT, LEAST_LARGE, LARGE_EXPONENT = 8, 1.1, 1.5, 1000, 2.2
"""Every so manieth request is tried; how the time grows with the requests, with an LP, and with one of so many."""
QUICK_RULES = tuple(
    name
    for name in POLICIES
    if name not in (*NEED_A_PLAN, *MAY_EVICT, *AS_SHORTEST_FIRST, *AS_FCFS, *AS_LAGRANGIAN, *SLOW_RULES)
)


class Rules:
    """The rules, executed in turns: a glance at each, then those that are quick, then what is left.

    Attributes
    ----------
    light : list of Started
        Those that begin at once, and are not through.
    heavy : list of str
        Those that take some time before their first decision, not begun yet.
    slow : list of str
        Those that solve an LP first, not begun yet.
    late_s : float
        How much longer than its budget one has taken, at most: of large instances to begin takes long.
    """

    def __init__(self, search: Search):
        light = [name for name in QUICK_RULES if name not in HEAVY_RULES]
        equal = len(np.unique(search.instance.requests.weight)) == 1
        self.light = [Started(name) for name in (*light, *(() if equal else AS_SHORTEST_FIRST[2:]))]
        self.heavy, self.slow, self.late_s = list(HEAVY_RULES), list(SLOW_RULES), 0.0
        if search.instance.objective == "makespan":
            self.heavy.remove("rolling")

    @property
    def left(self) -> bool:
        """Whether any is still to be executed."""
        return bool(self.light or self.heavy or self.slow)

    def glance(self, search: Search) -> None:
        """Execute each for at most a fiftieth of the limit, the heavy ones of small instances only."""
        self._go_on(search, self.light, GLANCE)
        if search.instance.n * len(search.instance.workers) <= MOST_FORECAST:
            begun, self.heavy = [Started(name) for name in self.heavy], []
            self.light += begun
            self._go_on(search, begun, GLANCE)

    def quick(self, search: Search) -> None:
        """Execute those that are expected to take less than a tenth of the limit: `FIRST`, then the quickest first."""
        self.glance(search)
        most_s = SHARE * search.whole.seconds
        while self.heavy and not search.budget.spent():
            name = self.heavy.pop(0)
            forecast_s = expected_s(search, name)
            if forecast_s < most_s:
                self.light.append(Started(name, forecast_s))
        for share in (CHECK, SHARE):
            self._go_on(search, [rule for rule in self._quickest_first() if rule.expected_s() < most_s], share)

    def rules(self, search: Search) -> None:
        """The same, then what is left, and in the end those with an LP that are expected to be quick."""
        self.quick(search)
        for share in (CHECK, SHARE):
            self._go_on(search, [rule for rule in self._quickest_first() if rule.may_end(search)], share)
        while self.slow and not search.budget.spent():
            name = self.slow.pop(0)
            most_s = min(SHARE * search.whole.seconds, max(search.budget.remaining, TENTH * search.whole.seconds))
            if expected_s(search, name) < most_s:
                self._go_on(search, [Started(name)], SHARE)

    def _quickest_first(self) -> list[Started]:
        return sorted(self.light, key=lambda rule: (rule.name != FIRST, rule.expected_s()))

    def _go_on(self, search: Search, rules: list[Started], share: float) -> None:
        through = set()
        for rule in rules:
            if search.budget.spent() or search.budget.remaining < self.late_s:
                break
            if rule.go_on(search, share):
                through.add(rule)
            self.late_s = max(self.late_s, rule.late_s)
        self.light = [rule for rule in self.light if rule not in through]


class Started:
    """A rule that is executed in turns; until it has begun it is expected to take `forecast_s` seconds."""

    def __init__(self, name: str, forecast_s: float = math.inf):
        self.name, self.forecast_s, self.spent_s, self.late_s, self.cut = name, forecast_s, 0.0, 0.0, False
        self.execution: Execution | None = None

    def expected_s(self) -> float:
        """Seconds that all of it takes, by how far it has come."""
        if self.execution is None:
            return self.forecast_s
        complete = self.execution.share_complete
        return self.spent_s / complete if complete else math.inf

    def may_end(self, search: Search) -> bool:
        """Whether it may take no more than its share, as far as is known."""
        whole_s = search.whole.seconds
        return self.spent_s < CHECK * whole_s or self.expected_s() < AMISS * SHARE * whole_s

    def go_on(self, search: Search, share: float) -> bool:
        """Execute until it has taken this share of the limit, and offer its plan; whether nothing is left of it.

        Nothing is left of one that does not apply to the instance, or that failed.
        """
        budget = search.budget.slice(max(0.0, share * search.whole.seconds - self.spent_s))
        if budget.spent():
            return False
        self.cut = False
        search.attempt(self.name, partial(self._execute, search, budget))
        self.spent_s += budget.elapsed
        self.late_s = max(0.0, budget.elapsed - budget.seconds)
        return not self.cut

    def _execute(self, search: Search, budget: Budget) -> None:
        in_seconds = self.name in IN_SECONDS
        try:
            if self.execution is None:
                instance = search.form.original if in_seconds else search.instance
                policy = make_policy(self.name, Problem.of(instance, "known", seed=search.seed))
                self.execution = Execution(instance, self.name, policy)
            run = self.execution.run(budget)
        except InvalidInputError:
            return
        if run is None:
            self.cut = True
        else:
            search.offer(search.form.plan_of_normal_form(run.plan) if in_seconds else run.plan)


def expected_s(search: Search, name: str) -> float:
    """Seconds that a rule is expected to take, from its time for every eighth request; infinite where it does not apply
    or takes more than its share."""
    if search.instance.n < (MOST_TINY if name in SLOW_RULES else MOST_SMALL):
        return 0.0
    growth, found_s = _growth(name, search.instance.n), 0.0
    for step in (PROBED**2, PROBED**2, PROBED):  # The first time some code is loaded.
        began, budget = clock.now(), search.budget.slice(SHARE * search.whole.seconds / growth)
        hopeless_s = AMISS * budget.seconds / _growth(name, search.instance.n // PROBED)
        if search.budget.spent() or (step == PROBED and found_s > hopeless_s):
            return math.inf
        part = search.instance.take(np.arange(0, search.instance.n, step))
        try:
            executed(part, name, make_policy(name, Problem.of(part, "known", seed=search.seed)), budget)
        except InvalidInputError:
            return math.inf
        found_s = clock.now() - began
    return math.inf if budget.spent() else growth * found_s


def _growth(name: str, n: int) -> float:
    """How many times as long `n` requests are expected to take as every eighth of them."""
    if name not in SLOW_RULES:
        return float(PROBED**EXPONENT)
    return float(PROBED ** (LP_EXPONENT if n < LEAST_LARGE else LARGE_EXPONENT))
