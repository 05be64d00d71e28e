"""Stochastic plans: against enumeration, against what their figures mean, and that they repeat."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from llmsched_mip import clock, evaluate, generate, read_plan, solve_stochastic, write_plan
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import Executor
from llmsched_mip.length_distribution import length_distribution
from llmsched_mip.methods.stochastic.candidates import thresholds
from llmsched_mip.methods.stochastic.kernel import Fleet, Rule
from llmsched_mip.methods.stochastic.local_search import best_of_all, improve
from llmsched_mip.methods.stochastic.overflow import Limited, OverflowLimit
from llmsched_mip.methods.stochastic.policy import OrderPolicy
from llmsched_mip.methods.stochastic.sample import CHOICE, FRESH, LIMIT, Scenarios, Trials
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.workload.predictions import with_predictions


def tiny(objective="makespan", n=5):
    """Five requests, two slots, wide intervals."""
    instance = with_predictions(generate("gsm8k-small", n, 0), "intervals:4", 0)
    return replace(instance, workers=(replace(instance.workers[0], slots=2),)).with_objective(objective)


def solved(instance, looks=400, **options):
    """`solve_stochastic` by looks at the clock: it repeats."""
    with clock.counting(clock.READING_S):
        return solve_stochastic(instance, "interval", time_limit_s=looks * clock.READING_S, threads=1, **options)


def mean_by_executor(instance, rule, scenarios):
    """Mean objective over the scenarios, by the executor."""
    values = []
    for s in range(len(scenarios)):
        here = instance.with_requests(replace(instance.requests, decode_tokens=scenarios.row(s)))
        executor = Executor(here, OrderPolicy(Problem.of(here, "unknown"), rule))
        executor.run()
        values.append(executor.outcome("", 0.0).measures.objective(instance.objective))
    return np.mean(values)


@pytest.mark.parametrize("objective", ["makespan", "total_completion"])
def test_enumeration_finds_the_best_of_all_orders_and_local_search_comes_near(objective):
    instance = tiny(objective, 4)
    distribution = length_distribution(instance, "interval")
    scenarios, trials = Scenarios(distribution, 0, CHOICE, 4), Trials(Fleet.of(instance))
    limit, anywhere = OverflowLimit(trials, distribution, 0.05), np.full(instance.n, -1)
    first = Rule(np.arange(instance.n), anywhere, 1, distribution.quantile(0.5), 0.0)
    best = min(
        mean_by_executor(instance, first._replace(order=np.array(order), least=least), scenarios)
        for order in permutations(range(instance.n))
        for least in thresholds(instance)
    )
    begun, budget = Limited(first, trials.run(first, scenarios), True), Budget()
    found = best_of_all(begun, trials, scenarios, limit, thresholds(instance), budget)
    assert found.values.mean == pytest.approx(best, rel=1e-9)
    assert mean_by_executor(instance, found.rule, scenarios) == pytest.approx(best, rel=1e-9)
    with clock.counting(clock.READING_S):
        budget = Budget(300 * clock.READING_S)
        near = improve(begun, trials, scenarios, limit, budget, np.random.default_rng(0), lambda _: None)
    assert best <= near.values.mean * (1 + 1e-9) and near.values.mean <= 1.02 * best


@pytest.fixture(scope="module")
def result():
    """A plan for 12 requests with intervals."""
    return solved(tiny(n=12), 300)


def test_the_figures_mean_what_they_say(result):
    found = result.plan.stochastic
    assert found.value_of_perfect_information >= 0
    assert found.most_value_of_perfect_information >= found.value_of_perfect_information
    assert found.statistical_bound <= found.expected_value
    assert found.overflow_share == 0 and found.evictions == 0
    assert found.executed_value == pytest.approx(result.value, rel=1e-9)
    assert result.bound <= result.value and "interval" in result.plan.method
    # The order for the mean lengths is a candidate: what is chosen is no worse on the scenarios that it is chosen by.
    assert found.value_of_stochastic_solution + found.value_of_stochastic_solution_half_width >= 0


def test_what_is_written_is_a_plan_of_the_true_lengths(result, tmp_path):
    instance = tiny(n=12)
    write_plan(result.plan, instance, tmp_path / "plan.json")
    read = read_plan(tmp_path / "plan.json", instance)
    assert read.stochastic == result.plan.stochastic and not evaluate(instance, read).violations


def test_it_repeats(result):
    again = solved(tiny(n=12), 300).plan
    assert again.stochastic == result.plan.stochastic and again.claims.value == result.value


def test_the_true_lengths_do_not_matter_for_the_choice():
    instance = tiny(n=4)
    others = instance.with_requests(replace(instance.requests, decode_tokens=instance.requests.decode_upper))
    expected = [solved(one, 300, scenarios=3).plan.stochastic.value_in_sample for one in (instance, others)]
    assert expected[0] == pytest.approx(expected[1], rel=1e-9)


def test_the_share_of_overflows_is_within_the_limit():
    instance = with_predictions(generate("gsm8k-opt66b-a100", 80, 0), "intervals:4", 0)
    instance = replace(instance, workers=(replace(instance.workers[0], kv_capacity=6000),))
    distribution = length_distribution(instance, "interval")
    trials = Trials(Fleet.of(instance))
    rule = Rule(np.arange(80), np.full(80, -1), 4, distribution.quantile(0.5), 0.0)
    for risk in (0.0, 0.1, 0.3):
        limit = OverflowLimit(trials, distribution, risk)
        assert not limit.never(rule, Scenarios(distribution, 0, CHOICE, 20))
        chosen = limit.best_reserve(rule, Scenarios(distribution, 0, CHOICE, 20), Budget())
        limited = limit.least_margin(chosen.rule, Scenarios(distribution, 0, LIMIT, 200), Budget())
        assert limited.met and limited.values.overflow_share <= risk
        fresh = trials.run(limited.rule, Scenarios(distribution, 0, FRESH, 200))
        assert fresh.overflow_share <= risk + 3 * np.sqrt((risk + 0.02) / 200)


def test_evictions_on_the_true_lengths_leave_a_plan_and_are_said():
    instance = generate("gsm8k-opt66b-a100", 60, 0)
    longer = np.minimum(4 * instance.requests.decode_tokens, 900)
    instance = instance.with_requests(
        replace(
            instance.requests,
            decode_tokens=longer,
            decode_lower=np.ones(60, dtype=np.int64),
            decode_upper=np.full(60, 40),
        )
    )
    instance = replace(instance, workers=(replace(instance.workers[0], kv_capacity=5000),))
    result = solved(instance, 500)
    assert result.plan.stochastic.evictions > 0 and "hindsight" in result.plan.method
    assert not evaluate(instance, result.plan).violations


@pytest.mark.parametrize(
    ("field", "options"),
    [("scenarios", {"scenarios": 0}), ("overflow_risk", {"overflow_risk": 1.5}), ("gap", {"gap": 1.5})],
)
def test_options_out_of_range_are_refused(field, options):
    with pytest.raises(InvalidInputError, match=field):
        solve_stochastic(tiny(), "interval", **options)


def test_intervals_that_are_not_there_are_refused():
    with pytest.raises(InvalidInputError, match="decode_lower"):
        solve_stochastic(generate("gsm8k-small", 5, 0), "interval")
