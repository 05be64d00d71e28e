"""The stage-indexed model at four and five requests, its bound where it is a relaxation, and its start solution."""

from __future__ import annotations

import pytest
from exhaustive import optimum
from random_tiny import tiny_instance

from llmsched_mip import LevelPrefill, bounds, clock
from llmsched_mip.alone import earliest_completions
from llmsched_mip.budget import Budget
from llmsched_mip.evaluation import evaluate
from llmsched_mip.methods.lists import list_schedules
from llmsched_mip.methods.search import Search
from llmsched_mip.models import stage_indexed
from llmsched_mip.models.horizon import horizon_from_value
from llmsched_mip.solvers import Status, solve

OBJECTIVES = ("makespan", "total_completion")
TOLERANCE = 2e-5
MOST = {4: 5, 5: 3}
QUICK = ("alone", "area", "longest", "kv_volume", "release", "split")


def best_list(instance, objective):
    """The best list schedule."""
    with Search(instance.with_objective(objective), 5.0) as search:
        list_schedules(search)
    return search.plan


def started(instance, objective, best, plan):
    """The model with the horizon and the latest completions of a best value, started from a plan."""
    weight, alone = instance.requests.weight, earliest_completions(instance)
    latest = (best - (weight * alone).sum()) / weight + alone
    model = stage_indexed.build(
        instance,
        horizon=horizon_from_value(instance, best),
        objective_bound=bounds.best(bounds.compute(instance, Budget(1.0), names=QUICK)).value,
        latest_s=latest if objective == "total_completion" else None,
    )
    return model, stage_indexed.start(model, plan)


# Readings of the clock by HiGHS's callbacks: a second is a thousand of them, on any machine.
READING_S, LIMIT_S = 1e-3, {4: 4.0, 5: 1.0}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_four_and_five_requests_against_enumeration(objective):
    """Exact where it says so; a bound, met or not, elsewhere.  What the work does not solve is a bound too."""
    solved, tried = dict.fromkeys((4, 5), 0), {4: 0, 5: 0}
    for seed in range(800, 900):
        instance = tiny_instance(seed, objective)
        if instance.n < 4 or tried[instance.n] == MOST[instance.n]:
            continue
        tried[instance.n] += 1
        best = optimum(instance, objective)
        plan = best_list(instance, objective)
        model, has_start = started(instance, objective, best * (1 + 1e-6) + 1e-6, plan)
        with clock.counting(READING_S):
            result = solve(model, start=has_start, threads=1, budget=Budget(LIMIT_S[instance.n]))
        slack = TOLERANCE * max(1.0, best)
        assert result.bound <= best + slack, seed
        if result.value is None:
            continue
        evaluation = evaluate(instance, stage_indexed.extract(model, instance))
        assert not evaluation.violations, (seed, evaluation.violations)
        value = evaluation.measures.objective(objective)
        assert value >= best - slack, seed
        if stage_indexed.exact(instance):
            assert value <= result.value + slack, seed
            if result.status is Status.OPTIMAL:
                assert result.value == pytest.approx(best, abs=slack), seed
                solved[instance.n] += 1
        else:
            assert result.value <= value + slack, seed
    assert tried == MOST
    assert solved[4] >= 1 and solved[5] >= (objective == "makespan"), solved


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_start_is_the_plan(objective):
    """With the integer variables fixed to a plan the value of the model is what `evaluate` says, or below it."""
    checked = 0
    for seed in range(850, 880):
        instance = tiny_instance(seed, objective)
        plan = best_list(instance, objective)
        value = evaluate(instance, plan).measures.objective(objective)
        model = stage_indexed.build(instance, horizon=horizon_from_value(instance, value * (1 + 1e-6) + 1e-6))
        if not stage_indexed.start(model, plan):
            continue
        for block in model.layout.form.variables:
            if block.integer:
                for variable in getattr(model, block.name).values():
                    variable.fix(variable.value)
        result = solve(model, threads=1, budget=Budget(20))
        assert result.value is not None, seed
        levels = any(isinstance(worker.prefill_time, LevelPrefill) for worker in instance.workers)
        if not levels:
            assert result.value <= value + 1e-5, seed
        if stage_indexed.exact(instance):
            assert result.value >= value - 1e-5, seed
            checked += 1
    assert checked >= 8
