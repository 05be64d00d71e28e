"""Parts of the unit-round method: MC-SF, annealing, plans, where it applies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched_mip import Instance, Requests, clock, evaluate
from llmsched_mip.algorithms.unit_round.local_search import anneal
from llmsched_mip.algorithms.unit_round.shortest_first import shortest_first
from llmsched_mip.budget import Budget
from llmsched_mip.methods import solve
from llmsched_mip.unit_loads import earliest
from llmsched_mip.unit_rounds import UnitRounds
from llmsched_mip.workload import generate
from llmsched_mip.workload.deployments import deployment


def made(p, d, capacity, **worker):
    case = replace(deployment("unit-round"), kv_capacity=capacity, **worker)
    return Instance("made", Requests([f"r{i}" for i in range(len(p))], p, d), (case,), "total_completion")


def test_mc_sf_by_hand():
    # Order of outputs 1, 2, 3.  Round 1 holds 2 + 2 + 3 = 7; r1 ends at 2 with 3 beside r2's 4, r2 at 3 with 5.
    starts = shortest_first(UnitRounds.of(made([1, 1, 2], [1, 2, 3], 7)))
    assert starts.tolist() == [0, 0, 0]
    # With 6 tokens r2 does not fit beside both in round 1, and fits beside r1 from round 2 on only (3 + 3).
    starts = shortest_first(UnitRounds.of(made([1, 1, 2], [1, 2, 3], 6)))
    assert starts.tolist() == [0, 0, 1]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=20), st.integers(1, 5), st.integers(1, 7), st.integers(0, 9))
def test_earliest_start_against_a_scan(load, p, d, s):
    capacity = 12
    padded = np.array(load + [0] * 40, dtype=np.int64)
    expected = next(
        t
        for t in range(s, 60)
        if all((padded[t + k] if t + k < len(padded) else 0) + p + k <= capacity for k in range(1, d + 1))
    )
    assert earliest(padded, capacity, p, d, s) == expected


@pytest.mark.parametrize("seed", range(3))
def test_annealing_gives_feasible_schedules_that_are_no_worse(seed):
    instance = generate("kv-uniform", seed=seed)
    problem = UnitRounds.of(instance)
    before = shortest_first(problem)
    with clock.counting():
        after = anneal(problem, before, Budget(0.1), seed)
    assert problem.value(after) <= problem.value(before)
    evaluation = evaluate(instance, problem.plan(instance, "test", after))
    assert evaluation.feasible
    assert evaluation.measures.total_completion == pytest.approx(problem.value(after))


def test_plan_of_starts():
    instance = made([1, 1], [2, 3], 20)
    problem = UnitRounds.of(instance)
    evaluation = evaluate(instance, problem.plan(instance, "test", np.array([2, 0])))
    assert evaluation.feasible
    assert evaluation.measures.total_completion == 4 + 3


@pytest.mark.parametrize(
    "worker",
    [
        {"slots": 1},
        {"prefill_token_cap": 5},
        {"decode_time": replace(deployment("unit-round").decode_time, per_sequence_s=0.1)},
    ],
)
def test_where_it_does_not_apply(worker):
    instance = made([1, 1], [2, 3], 20, **worker)
    assert UnitRounds.of(instance) is None
    assert solve(instance, method="unit-round", time_limit_s=5).plan.claims.value is not None


def test_rounds_of_another_length_scale_the_value():
    instance = made([1, 2, 3, 2], [5, 6, 3, 4], 10)
    worker = instance.workers[0]
    slow = replace(instance, workers=(replace(worker, decode_time=replace(worker.decode_time, base_s=0.04)),))
    one, other = (solve(case, time_limit_s=30) for case in (instance, slow))
    assert one.status == other.status == "optimal"
    assert other.value == pytest.approx(0.04 * one.value)


@pytest.mark.parametrize("limit", [0.0, 0.5])
def test_a_short_time_limit_still_gives_a_plan_and_a_bound(limit):
    plan = solve(generate("kv-uniform", seed=1), time_limit_s=limit).plan
    assert plan.claims.value is not None and plan.claims.bound is not None
    assert 0 < plan.claims.bound <= plan.claims.value
