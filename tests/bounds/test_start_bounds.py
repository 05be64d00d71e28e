"""The bounds over start rounds: "kv_dual" and "start_lp" against brute force, CBC, a naive L(λ) and each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pulp
import pytest
from brute_force import optimum
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip import AffinePrefill, DecodeTime, Instance, LevelPrefill, Requests, Worker, clock
from llmsched_mip.bounds import BOUNDS
from llmsched_mip.budget import Budget
from llmsched_mip.execution import replay
from llmsched_mip.policies import POLICIES
from llmsched_mip.relaxations.time_indexed.kv_prices import value_of_prices
from llmsched_mip.relaxations.time_indexed.linear import solve_start_lp
from llmsched_mip.relaxations.time_indexed.relaxation import StartRelaxation
from llmsched_mip.workload import generate

UNIT = Worker("w", AffinePrefill(0.0, 0.0), DecodeTime(1.0), kv_capacity=10)
NAMES = ("kv_volume", "kv_dual", "start_lp")


def value(name: str, instance: Instance) -> float:
    with clock.counting(1e-4):
        bound = BOUNDS[name](instance.with_objective("total_completion"), Budget())
    assert bound is not None
    return bound.value


def never() -> bool:
    return False


@st.composite
def unit_rounds(draw, n_max: int, total: int) -> Instance:
    n = draw(st.integers(2, n_max))
    d = draw(st.lists(st.integers(1, total - 1), min_size=n, max_size=n))
    p = [draw(st.integers(1, total - relaxation)) for relaxation in d]
    weight = draw(st.just([1.0] * n) | st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=n, max_size=n))
    relaxation = replace(UNIT, kv_capacity=draw(st.integers(total, 2 * total)))
    return Instance("unit", Requests([f"r{i}" for i in range(n)], p, d, weight=weight), (relaxation,))


@settings(max_examples=30)
@given(unit_rounds(5, 8))
def test_not_above_the_optimum_of_unit_rounds(instance):
    best = optimum(instance, "total_completion")
    for name in NAMES:
        assert value(name, instance) <= best * (1 + 1e-9), name


@settings(max_examples=30)
@given(unit_rounds(9, 12))
def test_dual_below_lp_and_lp_above_volume(instance):
    volume, dual, lp = (value(name, instance) for name in NAMES)
    assert dual <= lp * (1 + 1e-6)
    assert dual >= 0.97 * lp
    assert lp >= volume * (1 - 1e-6)


@settings(max_examples=30)
@given(unit_rounds(9, 12), st.randoms(use_true_random=False))
def test_the_order_of_requests_changes_nothing(instance, random):
    order = list(range(instance.n))
    random.shuffle(order)
    for name in NAMES:
        assert value(name, instance.take(order)) == pytest.approx(value(name, instance), rel=1e-9)


@settings(max_examples=40)
@given(unit_rounds(6, 10), st.integers(0, 2**32 - 1))
def test_value_of_prices_is_the_formula(instance, seed):
    random = np.random.default_rng(seed)
    prices = random.exponential(1.0, random.integers(1, 40)) * (random.random() < 0.9)
    late = replace(instance.requests, arrival_s=random.integers(0, 6, instance.n).astype(float))
    instance = instance.with_requests(late)
    relaxation = StartRelaxation.of(instance)
    T, r = len(prices), instance.requests
    expected = -relaxation.capacity * prices.sum()
    for i in range(instance.n):
        p, d = int(r.prefill_tokens[i]), int(r.decode_tokens[i])
        costs = [
            r.weight[i] * (max(s, r.arrival_s[i]) + d)
            + sum((p + k) * prices[s + k - 1] for k in range(1, d + 1) if s + k <= T)
            for s in range(T + 1)
        ]
        expected += min(costs)
    assert value_of_prices(relaxation, prices) == pytest.approx(expected, rel=1e-7, abs=1e-6)
    assert value_of_prices(relaxation, prices) <= expected + 1e-9


def test_lp_is_the_plain_time_indexed_lp_of_cbc():
    instance = generate("kv-uniform", requests=9, seed=4)
    r, M = instance.requests, instance.workers[0].kv_capacity
    p, d, n = r.prefill_tokens.tolist(), r.decode_tokens.tolist(), instance.n
    relaxation = StartRelaxation.of(instance)
    T = relaxation.horizon
    model = pulp.LpProblem("starts", pulp.LpMinimize)
    x = [[pulp.LpVariable(f"x_{i}_{s}", 0) for s in range(T + 1)] for i in range(n)]
    model += pulp.lpSum((s + d[i]) * x[i][s] for i in range(n) for s in range(T + 1))
    for i in range(n):
        model += pulp.lpSum(x[i]) == 1
    for t in range(1, T + 1):
        held = [(p[i] + t - s) * x[i][s] for i in range(n) for s in range(max(0, t - d[i]), t)]
        model += pulp.lpSum(held) <= M
    model.solve(pulp.PULP_CBC_CMD(msg=False, threads=1))
    found = solve_start_lp(relaxation)
    assert found.value == pytest.approx(pulp.value(model.objective), rel=1e-6)
    assert found.starts @ relaxation.weight + relaxation.alone_s == pytest.approx(found.value, rel=1e-6)


def test_requests_by_hand():
    # 6 + 1 tokens and capacity 10: one at a time, so a round never holds more than 7.  λ_1 = 1/7 takes 1 from a start
    # at once: both brackets are 1 at s = 0 and at s = 1; 2 + 2 - 7/7
    instance = Instance("two", Requests(["a", "b"], [6, 6], [1, 1]), (UNIT,))
    relaxation = StartRelaxation.of(instance)
    assert relaxation.capacity == 7
    assert value_of_prices(relaxation, np.array([1 / 7])) == pytest.approx(3.0)
    assert value_of_prices(relaxation, np.zeros(3)) == pytest.approx(2.0)
    assert value("start_lp", instance) == pytest.approx(3.0)
    assert value("kv_dual", instance) == pytest.approx(3.0, rel=1e-3)
    # with a third of 1 + 1 tokens, 9 in a round: it and 1 of the others at once; 1 + 1 + 2
    three = Instance("three", Requests(["a", "b", "c"], [6, 6, 1], [1, 1, 1]), (replace(UNIT, kv_capacity=9),))
    assert StartRelaxation.of(three).capacity == 9
    assert value("start_lp", three) == pytest.approx(4.0)


def test_close_to_the_lp_and_below_every_policy_at_the_published_scale():
    instance = generate("kv-uniform", seed=2)
    dual, lp = value("kv_dual", instance), value("start_lp", instance)
    assert 0.995 * lp <= dual <= lp * (1 + 1e-6)
    for policy in POLICIES:
        if policy not in ("plan", "vllm"):
            assert lp <= replay(instance, policy).measures.total_completion


def test_levels_arrivals_and_two_workers_are_relaxed_not_refused():
    requests = Requests(list("abcd"), [5, 6, 7, 8], [4, 9, 2, 5], arrival_s=[0.0, 1.0, 30.0, 2.0])
    relaxation = (
        Worker("v", LevelPrefill((8, 16), (1.0, 3.0)), DecodeTime(1.0, 0.1, 0.01), slots=2, kv_capacity=20),
        Worker("w", AffinePrefill(1.0, 0.5), DecodeTime(2.0), kv_capacity=15),
    )
    instance = Instance("mixed", requests, relaxation)
    relaxed = StartRelaxation.of(instance)
    assert relaxed.capacity == 20 + 15 and relaxed.round_s == 1.0
    assert value("alone", instance) <= value("kv_dual", instance) + 1e-6 <= optimum(instance, "total_completion")
    assert BOUNDS["kv_dual"](instance.with_objective("makespan"), Budget()) is None
    free = replace(relaxation[0], decode_time=DecodeTime(0.0, 0.1))
    assert BOUNDS["kv_dual"](Instance("free", requests, (free,)).with_objective("total_completion"), Budget()) is None


def test_large_mixture_within_its_time():
    instance = generate("mixture", seed=0, worker="unit-round")
    instance = replace(instance, workers=(replace(instance.workers[0], kv_capacity=16_492),))
    with clock.counting(0.1):
        bound = BOUNDS["kv_dual"](instance.with_objective("total_completion"), Budget(4.0))
    assert bound.seconds < 6.0
    assert bound.value > value("kv_volume", instance)
    assert BOUNDS["start_lp"](instance.with_objective("total_completion"), Budget()) is None
