"""solve() on random small instances: the plan holds, the bound is below it, limits and gaps are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from exhaustive import optimum
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from llmsched_mip import AffinePrefill, DecodeTime, Instance, LevelPrefill, Requests, Worker, clock, evaluate
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.methods import METHODS, Search, solve
from llmsched_mip.workload import generate

OBJECTIVES = ("makespan", "total_completion")


def assert_holds(instance, plan):
    evaluation = evaluate(instance, plan)
    assert evaluation.violations == []
    assert plan.claims.value == pytest.approx(evaluation.measures.objective(plan.objective), rel=1e-12)
    assert plan.claims.bound is not None and plan.claims.bound <= plan.claims.value * (1 + 1e-9)
    assert all(bound <= plan.claims.value * (1 + 1e-9) for bound in plan.claims.bounds.values())


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=60)
@given(instance=instances(most_requests=9, most_workers=3), method=st.sampled_from(sorted(METHODS)))
def test_plan_holds_and_bound_is_below(objective, instance, method):
    plan = solve(instance.with_objective(objective), method=method, time_limit_s=0.1).plan
    assert plan.objective == objective
    assert_holds(instance, plan)


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=25)
@given(instance=instances(most_requests=4, most_workers=2))
def test_between_bound_and_value_lies_the_optimum(objective, instance):
    plan = solve(instance.with_objective(objective), time_limit_s=0.2).plan
    best = optimum(instance, objective)
    assert plan.claims.bound <= best * (1 + 1e-9) and best <= plan.claims.value * (1 + 1e-9)
    if plan.claims.status == "optimal":
        assert plan.claims.value == pytest.approx(best, rel=1e-6)


UNIT = Worker("unit", AffinePrefill(0.0, 0.0), DecodeTime(1.0), kv_capacity=20)
LEVELS = Worker("levels", LevelPrefill((4, 9), (0.5, 0.7)), DecodeTime(0.1), slots=3)
CAPPED = Worker("capped", AffinePrefill(0.5, 0.1), DecodeTime(0.1, 0.01, 0.001), slots=3, prefill_token_cap=9)
FREE = Worker("free", AffinePrefill(0.5, 0.1), DecodeTime(0.1))
TWO = (LEVELS, Worker("tight", AffinePrefill(0.5, 0.0), DecodeTime(0.2), slots=2, kv_capacity=12))
WORKERS = {"unit": (UNIT,), "levels": (LEVELS,), "capped": (CAPPED,), "free": (FREE,), "two": TWO, "all": (UNIT, *TWO)}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize("workers", WORKERS)
def test_every_kind_of_worker(workers, method, objective):
    random = np.random.default_rng(3)
    requests = Requests([str(i) for i in range(12)], random.integers(1, 5, 12), random.integers(1, 9, 12))
    instance = Instance(workers, requests, WORKERS[workers])
    assert_holds(instance, solve(instance.with_objective(objective), method=method, time_limit_s=0.3).plan)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_arrivals(method):
    instance = generate("gsm8k-opt66b-a100", 60, 1, slots=8, rate=1.0)
    assert_holds(instance, solve(instance, method=method, time_limit_s=0.3).plan)


@settings(max_examples=40)
@given(st.data())
def test_permuting_the_requests_changes_no_bound(data):
    instance = data.draw(instances(most_requests=6))
    order = data.draw(st.permutations(range(instance.n)))
    objective = data.draw(st.sampled_from(OBJECTIVES))
    first, second = (
        solve(case.with_objective(objective), method="lists", time_limit_s=5).plan.claims.bounds
        for case in (instance, instance.take(order))
    )
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert second[name] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("method", ["auto", "mmbpp", "pattern"])
def test_time_limit_is_kept(method):
    instance = generate("gsm8k-opt66b-a100", 300, 0, slots=50)
    with clock.counting(0.02):
        plan = solve(instance, method=method, time_limit_s=1.0, threads=1).plan
    assert plan.claims.seconds < 1.5
    assert_holds(instance, plan)


def test_no_time_gives_a_first_plan():
    instance = generate("gsm8k-65b", 60, 0, slots=8)
    assert_holds(instance, solve(instance, time_limit_s=0.0).plan)


def test_gap_stops_the_search():
    instance = generate("gsm8k-65b", 200, 0, slots=20)
    events = []
    plan = solve(instance, gap=0.5, time_limit_s=600, log=events.append).plan
    assert plan.claims.gap <= 0.5
    assert events[-1].gap <= 0.5 and all(e.gap is None or e.gap > 0.5 for e in events[:-1])


def test_the_log_tells_every_improvement():
    instance = generate("gsm8k-opt66b-a100", 80, 0, slots=10)
    events = []
    plan = solve(instance, time_limit_s=1.0, log=events.append).plan
    values = [e.incumbent for e in events if e.incumbent is not None]
    assert values == sorted(values, reverse=True) and values[-1] == plan.claims.value
    bounds = [e.bound for e in events if e.bound is not None]
    assert bounds == sorted(bounds) and bounds[-1] == pytest.approx(plan.claims.bound)
    assert [e.seconds for e in events] == sorted(e.seconds for e in events)


def test_a_request_that_fits_one_worker_only_goes_there():
    instance = Instance("split", Requests(["a", "b", "c"], [9, 1, 1], [2, 3, 3]), WORKERS["two"])
    big = instance.with_requests(replace(instance.requests, decode_tokens=np.array([50, 3, 3])))
    for method in METHODS:
        plan = solve(big, method=method, time_limit_s=0.3).plan
        assert_holds(big, plan)
        assert 0 in plan.workers[0].requests


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "method: expected one of auto, "),
        ({"time_limit_s": -1.0}, "time_limit: expected a number of seconds"),
        ({"time_limit_s": float("nan")}, "time_limit: expected a number of seconds"),
        ({"gap": 1.0}, "gap: expected a number from 0 to 1"),
        ({"gap": float("nan")}, "gap: expected a number from 0 to 1"),
    ],
)
def test_wrong_options_are_one_line(options, message):
    instance = Instance("one", Requests(["a"], [1], [1]), (FREE,))
    with pytest.raises(InvalidInputError, match=message) as caught:
        solve(instance, **options)
    assert "\n" not in str(caught.value)


def test_offer_refuses_a_worse_plan_and_keeps_the_better():
    instance = Instance("one", Requests(["a", "b"], [1, 1], [1, 4]), (replace(FREE, slots=1),))
    worse = solve(instance.with_objective("makespan"), method="lists", time_limit_s=1).plan
    with Search(instance.with_objective("makespan"), 1.0) as search:
        assert search.offer(worse)
        assert not search.offer(worse)
        assert search.value == pytest.approx(worse.claims.value)
