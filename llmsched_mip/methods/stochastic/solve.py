"""`solve_stochastic`: a plan by sample average approximation where lengths are not seen (docs/stochastic.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import Executor, Outcome
from llmsched_mip.instance import Instance
from llmsched_mip.length_distribution import LengthDistribution, length_distribution
from llmsched_mip.limits import MOST_SCENARIOS
from llmsched_mip.methods.auto import quick_bounds, slow_bounds
from llmsched_mip.methods.portfolio import result_of
from llmsched_mip.methods.registry import DEFAULT_TIME_LIMIT_S
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.stochastic.candidates import list_orders, order_of, placement_of, thresholds
from llmsched_mip.methods.stochastic.clairvoyant import clairvoyant, known, solved
from llmsched_mip.methods.stochastic.kernel import Fleet, Rule
from llmsched_mip.methods.stochastic.local_search import MOST_ENUMERATED, best_of_all, improve
from llmsched_mip.methods.stochastic.overflow import Limited, OverflowLimit
from llmsched_mip.methods.stochastic.policy import OrderPolicy
from llmsched_mip.methods.stochastic.sample import (
    CHOICE,
    FRESH,
    LIMIT,
    Scenarios,
    Trials,
    Values,
    half_width,
    lower_limit,
)
from llmsched_mip.normal_form import NormalForm
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.processes import cores
from llmsched_mip.result import Event, Result
from llmsched_mip.stochastic_values import StochasticValues
from llmsched_mip.timing import FloatArray, IntArray

SCENARIOS, OVERFLOW_RISK = 32, 0.05
METHOD = "stochastic"
FRESH_SCENARIOS, LEAST_FRESH = 200, 30
LIMIT_SCENARIOS = 100
FEW_SCENARIOS = 4
"""By which thresholds of waiting are compared."""
BOUNDS_SHARE, MEAN_PLAN_SHARE, ADMISSION_SHARE, CLAIRVOYANT_SHARE, SEARCH_SHARE = 0.1, 0.1, 0.35, 0.4, 0.6
"""Of the time that is left, in this order; what then remains is for the margin and the fresh scenarios."""


class Options(NamedTuple):
    """How a stochastic plan is made.

    Parameters
    ----------
    scenarios : int
        By whose average the plan is chosen.
    overflow_risk : float
        Largest share of scenarios in which the KV cache may overflow.
    """

    scenarios: int = SCENARIOS
    overflow_risk: float = OVERFLOW_RISK


def solve_stochastic(  # noqa: PLR0913
    instance: Instance,
    lengths: str,
    *,
    history: Instance | None = None,
    scenarios: int = SCENARIOS,
    overflow_risk: float = OVERFLOW_RISK,
    time_limit_s: float | None = None,
    gap: float = 0.0,
    threads: int | None = None,
    seed: int = 0,
    log: Callable[[Event], None] | None = None,
) -> Result:
    """Plan without seeing the lengths; the plan that comes back is that order executed on the true ones.

    Parameters
    ----------
    instance : Instance
    lengths : str
        What may be seen of the lengths: ``interval`` or ``unknown``.
    history : Instance, optional
        Requests with known lengths that those of `instance` are like.
    scenarios : int
        By whose average the plan is chosen.
    overflow_risk : float
        Largest share of scenarios in which the KV cache may overflow, from 0 to 1.
    time_limit_s, gap, threads, seed, log
        As of `solve`.

    Returns
    -------
    Result
        Value and bounds are those of the true lengths; ``plan.stochastic`` says what was expected.

    Raises
    ------
    InvalidInputError
        An option out of range, or intervals that the instance does not have.
    NoPlanError, InterruptedSearchError
        As of `solve`.
    """
    _require("gap", gap, 0, 1)
    _require("overflow_risk", overflow_risk, 0, 1)
    _require("scenarios", scenarios, 1, MOST_SCENARIOS)
    instance = instance.exclusive()
    distribution = length_distribution(instance, lengths, history)
    form, limit = NormalForm.of(instance), DEFAULT_TIME_LIMIT_S if time_limit_s is None else time_limit_s
    with Search(form.instance, limit, gap, threads, seed, log, form) as search:
        run = _Run(search, distribution, lengths, Options(scenarios, overflow_risk))
        try:
            run.all()
        except KeyboardInterrupt:
            # A second Ctrl-C: what was found is executed, and no more.
            search.interrupted = True
            run.execute()
        finally:
            run.trials.close()
    return result_of(search)


def _require(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise InvalidInputError(name, f"expected a number from {least} to {most}, got {value}")


class _Run:
    """One run: the parts in turn, and what they hand on."""

    def __init__(self, search: Search, distribution: LengthDistribution, lengths: str, options: Options):
        self.search, self.distribution, self.lengths, self.options = search, distribution, lengths, options
        self.instance = search.instance
        threads = search.threads or cores()
        self.trials = Trials(Fleet.of(self.instance), threads)
        self.limit = OverflowLimit(self.trials, distribution, options.overflow_risk)
        self.choice = Scenarios(distribution, search.seed, CHOICE, options.scenarios)
        self.limiting = Scenarios(distribution, search.seed, LIMIT, LIMIT_SCENARIOS)
        self.fresh = Scenarios(distribution, search.seed, FRESH, FRESH_SCENARIOS)
        self.overflows = True
        order = np.argsort(self.instance.requests.arrival_s, kind="stable").astype(np.int64)
        anywhere = np.full(self.instance.n, -1, dtype=np.int64)
        self.best = Rule(order, anywhere, 1, distribution.quantile(1.0), 0.0)
        self.mean_rule: Rule | None = None
        self.clairvoyant_values: tuple[FloatArray, FloatArray] = np.zeros(0), np.zeros(0)

    def all(self) -> None:
        """Bounds, candidates, the clairvoyant, local search, the limit once more, fresh scenarios, and the truth."""
        search = self.search
        quick_bounds(search)
        with search.part(BOUNDS_SHARE):
            search.attempt("bounds", partial(slow_bounds, search))
        rules = self.candidates()
        with search.part(ADMISSION_SHARE):
            found = self.best_candidate(rules)
        with search.part(CLAIRVOYANT_SHARE), search.running("clairvoyant"):
            # Before the search: what they are worth with the lengths known does not depend on the order.
            rows = [self.fresh.row(s) for s in range(LEAST_FRESH)]
            self.clairvoyant_values = clairvoyant(search, rows)
        with search.part(SEARCH_SHARE), search.running("order search"):
            found = self.searched(found)
        self.best = found.rule
        with search.running("overflow limit"):
            self.best = self.within_limit(found.rule)
            if self.mean_rule is not None:
                self.mean_rule = self.within_limit(self.mean_rule)
        self.finish()

    def improved(self, found: Limited) -> None:
        """Keep and log an improvement of the sample average."""
        self.best = found.rule
        value = self.search.form.value(found.values.mean)
        self.search.note(f"expected {value:.6g} s over {len(self.choice)} scenarios, lengths not seen")

    def searched(self, found: Limited) -> Limited:
        """The best order near the one that was found; of a few requests the best of all."""
        common = self.trials, self.choice, self.limit
        if self.instance.n <= MOST_ENUMERATED:
            return best_of_all(found, *common, thresholds(self.instance), self.search.budget)
        rng = np.random.default_rng(np.random.SeedSequence(self.search.seed, spawn_key=(3,)))
        return improve(found, *common, self.search.budget, rng, self.improved)

    # -- choice ---------------------------------------------------------------------------------------------------

    def candidates(self) -> dict[str, Rule]:
        """Orders on what is expected, and that of a plan for the mean lengths, which is chosen as if they were true."""
        search, base = self.search, self.best._replace(reserve=self.distribution.quantile(0.5))
        rules = {name: base._replace(order=o) for name, o in list_orders(self.instance, self.distribution).items()}
        mean = np.clip(np.rint(self.distribution.mean()), 1, self.distribution.most).astype(np.int64)
        with search.running("plan for mean lengths"):
            seconds = search.budget.slice(share=MEAN_PLAN_SHARE).remaining
            result = None if search.budget.spent() else solved(search, known(self.instance, mean), seconds)
        if result is not None:
            order = order_of(result.plan, self.instance.n)
            rules["plan for mean lengths"] = base._replace(order=order)
            if len(self.instance.workers) > 1:
                placed = placement_of(result.plan, self.instance.n)
                rules["plan for mean lengths, its workers"] = base._replace(order=order, placed=placed)
        self.mean_rule = self.best_on(rules, mean)
        rules["chosen for mean lengths"] = self.mean_rule
        return rules

    def best_on(self, rules: dict[str, Rule], lengths: IntArray) -> Rule:
        """The rule and the threshold that are best where these lengths are known."""
        alone = _OneScenario(self.distribution, lengths)
        found: list[tuple[float, int, Rule]] = []
        for rule in rules.values():
            for least in thresholds(self.instance):
                if found and self.search.budget.spent():
                    break
                trial = rule._replace(least=least, reserve=lengths)
                found.append((self.trials.run(trial, alone).mean, len(found), trial))
        return min(found)[2]._replace(reserve=self.best.reserve)

    def best_candidate(self, rules: dict[str, Rule]) -> Limited:
        """The candidate with the best sample average within the overflow limit, each with its best threshold."""
        search, few = self.search, min(FEW_SCENARIOS, len(self.choice))
        self.overflows = not self.limit.never(self.best, self.choice)
        found: list[tuple[float, int, Rule]] = []
        for name, rule in rules.items():
            for least in [rule.least] if name.startswith("chosen") else thresholds(self.instance):
                if found and search.budget.spent():
                    break
                trial = rule._replace(least=least)
                found.append((self.trials.run(trial, self.choice, 0, few).mean, len(found), trial))
        found.sort(key=lambda one: one[:2])
        best: Limited | None = None
        for k, rule in enumerate([*([self.mean_rule] if self.mean_rule else []), *_distinct_orders(found)]):
            if k > 1 and search.budget.spent():
                break
            limited = self.limited(rule)
            if best is None or (limited.met, -limited.values.mean) > (best.met, -best.values.mean):
                best = limited
                self.improved(best)
        assert best is not None
        return best

    def limited(self, rule: Rule) -> Limited:
        """The rule with KV set aside within the limit, on the scenarios by which it is chosen."""
        if not self.overflows:
            values = self.trials.run(rule, self.choice)
            return Limited(rule, values, self.limit.allows(values))
        return self.limit.best_reserve(rule, self.choice, self.search.budget)

    def within_limit(self, rule: Rule) -> Rule:
        """The rule with the least margin that meets the limit on scenarios that it was not chosen by."""
        if not self.overflows and self.limit.never(rule, self.limiting):
            return rule
        return self.limit.least_margin(rule, self.limiting, self.search.budget).rule

    # -- what it is worth -----------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Fresh scenarios, and the truth."""
        search, hurried = self.search, self.search.budget.spent()
        with search.running("fresh scenarios"):
            last = LEAST_FRESH if hurried else len(self.fresh)
            values = self.trials.run(self.best, self.fresh, 0, last)
            of_mean = None if self.mean_rule is None else self.trials.run(self.mean_rule, self.fresh, 0, last)
        in_sample = self.trials.run(self.best, self.choice).mean
        self.execute(partial(self.worth, values, of_mean, in_sample))

    def worth(self, values: Values, of_mean: Values | None, in_sample: float, executed: Outcome) -> StochasticValues:
        """The figures, in the unit of the instance that was given."""
        form = self.search.form
        value = _converted(form, values.value)
        found, bounds = (_converted(form, one) for one in self.clairvoyant_values)
        count = len(found)
        # What ran without an eviction is a plan, for the clairvoyant too.
        found = np.where(values.evictions[:count] > 0, found, np.minimum(found, value[:count]))
        more = None if of_mean is None else _converted(form, of_mean.value) - value
        perfect = value[:count] - found
        return StochasticValues(
            self.lengths,
            self.distribution.words,
            len(self.choice),
            len(value),
            count,
            form.value(in_sample),
            float(value.mean()),
            half_width(value),
            None if more is None else float(more.mean()),
            None if more is None else half_width(more),
            float(perfect.mean()) if count else None,
            half_width(perfect) if count else None,
            float((value[:count] - bounds).mean()) if count else None,
            lower_limit(bounds) if count > 1 else None,
            self.options.overflow_risk,
            values.overflow_share,
            form.value(executed.measures.objective(self.instance.objective)),
            executed.evictions,
        )

    def execute(self, worth: Callable[[Outcome], StochasticValues] | None = None) -> None:
        """Execute the order on the true lengths, and offer what ran as the plan.

        Where it evicts, which no plan does, the plan is the same order with KV set aside for the true lengths.
        """
        instance, rule = self.instance, self.best
        outcome = executed = self._ran(rule)
        if executed.evictions:
            true = np.array(instance.requests.decode_tokens)
            outcome = self._ran(rule._replace(reserve=true, margin=0.0))
        hindsight = f", KV in hindsight after {executed.evictions} evictions" if executed.evictions else ""
        plan = outcome.to_plan(instance, f"{METHOD} ({self.lengths} lengths{hindsight})")
        self.search.offer(plan if worth is None else replace(plan, stochastic=worth(executed)))

    def _ran(self, rule: Rule) -> Outcome:
        executor = Executor(self.instance, OrderPolicy(Problem.of(self.instance, self.lengths), rule))
        executor.run()
        return executor.outcome(METHOD, 0.0)


class _OneScenario(Scenarios):
    """A single scenario with given lengths."""

    def __init__(self, distribution: LengthDistribution, lengths: IntArray):
        super().__init__(distribution, 0, CHOICE, 1)
        self._lengths = lengths

    def row(self, scenario: int) -> IntArray:
        return self._lengths


TRIED = 4


def _distinct_orders(found: list[tuple[float, int, Rule]]) -> list[Rule]:
    """The best rules, one an order, at most `TRIED`."""
    rules: list[Rule] = []
    for _, _, rule in found:
        if len(rules) < TRIED and not any(np.array_equal(rule.order, other.order) for other in rules):
            rules.append(rule)
    return rules


def _converted(form: NormalForm, values: FloatArray) -> FloatArray:
    return np.array([form.value(float(value)) for value in values])
