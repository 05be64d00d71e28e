"""The chance limit on KV overflow: how much KV an order has to set aside."""

from __future__ import annotations

from typing import NamedTuple

from llmsched_mip.budget import Budget
from llmsched_mip.length_distribution import LengthDistribution
from llmsched_mip.methods.stochastic.kernel import Rule
from llmsched_mip.methods.stochastic.sample import Scenarios, Trials, Values

LEVELS = (0.5, 0.3, 0.7, 0.85, 0.97)
"""Quantiles of its length that KV may be set aside for."""
MOST_MARGIN, STEPS = 0.5, 5
HURRIED = 10
"""Scenarios that are looked at once the time is up."""


class Limited(NamedTuple):
    """A rule that sets so much KV aside that few scenarios overflow, and what it does; whether they are few enough."""

    rule: Rule
    values: Values
    met: bool


class OverflowLimit:
    """At most a share of the scenarios may see an eviction.

    Parameters
    ----------
    trials : Trials
    distribution : LengthDistribution
    risk : float
        The share.
    """

    def __init__(self, trials: Trials, distribution: LengthDistribution, risk: float):
        self.trials, self.distribution, self.risk = trials, distribution, risk

    def allows(self, values: Values) -> bool:
        """Whether no more than the share overflow."""
        return int((values.evictions > 0).sum()) <= int(self.risk * len(values.evictions) + 1e-9)

    def never(self, rule: Rule, scenarios: Scenarios) -> bool:
        """Whether KV never overflows, even with nothing set aside."""
        if not any(capacity < 2**62 for capacity in self.trials.fleet.capacity.tolist()):
            return True
        bare = rule._replace(reserve=self.distribution.quantile(0.0), margin=0.0)
        return not self.trials.run(bare, scenarios).evictions.any()

    def least_margin(self, rule: Rule, scenarios: Scenarios, budget: Budget) -> Limited:
        """The smallest share of the KV cache, by bisection, that is to be kept free so that the limit is met.

        Where even half of it is not enough, KV is set aside for the longest lengths.
        """
        count = HURRIED if budget.spent() else len(scenarios)
        low, found = 0.0, self._with(rule, 0.0, scenarios, count)
        if found.met:
            return found
        found, high = self._with(rule, MOST_MARGIN, scenarios, count), MOST_MARGIN
        if not found.met:
            return self._with(rule._replace(reserve=self.distribution.quantile(1.0)), 0.0, scenarios, count)
        for _ in range(STEPS):
            middle = (low + high) / 2
            trial = self._with(rule, middle, scenarios, count)
            if trial.met:
                high, found = middle, trial
            else:
                low = middle
        return found

    def best_reserve(self, rule: Rule, scenarios: Scenarios, budget: Budget) -> Limited:
        """The quantile, with the least margin, that gives the best mean value within the limit."""
        best: Limited | None = None
        for level in LEVELS:
            if best is not None and budget.spent():
                break
            reserved = rule._replace(reserve=self.distribution.quantile(level))
            found = self.least_margin(reserved, scenarios, budget)
            if best is None or (found.met, -found.values.mean) > (best.met, -best.values.mean):
                best = found
        assert best is not None
        return best

    def _with(self, rule: Rule, margin: float, scenarios: Scenarios, count: int) -> Limited:
        changed = rule._replace(margin=margin)
        values = self.trials.run(changed, scenarios, 0, count)
        return Limited(changed, values, self.allows(values))
