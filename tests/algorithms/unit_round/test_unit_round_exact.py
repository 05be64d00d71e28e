"""The exact search of unit rounds against exhaustive enumeration, and against the start-time model in CBC."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from exhaustive import optimum
from scipy import sparse

from llmsched_mip import Instance, Requests
from llmsched_mip.budget import Budget
from llmsched_mip.methods import solve
from llmsched_mip.models.windows import completion_windows
from llmsched_mip.relaxations.time_indexed.unit_prices import ascend
from llmsched_mip.solvers import ArrayModel, solve_with_cbc
from llmsched_mip.unit_rounds import UnitRounds
from llmsched_mip.workload.deployments import deployment


def unit_instance(seed: int, n: int, capacity: int, objective: str = "total_completion", most: float = 1.0):
    random = np.random.default_rng(seed)
    p = random.integers(1, 4, n)
    d = 1 + np.floor((capacity - p) * most * random.random(n)).astype(np.int64)
    worker = replace(deployment("unit-round"), kv_capacity=capacity)
    return Instance(f"unit-{seed}", Requests([f"r{i}" for i in range(n)], p, d), (worker,), objective)


def start_time_optimum(problem: UnitRounds, objective: str, horizon: int) -> float:
    """The textbook model over start rounds up to a horizon, no cuts, in CBC."""
    window = problem
    pairs = [(i, s) for i in range(window.n) for s in range(horizon - window.d[i] + 1)]
    rows, cols, values = [], [], []
    for k, (i, s) in enumerate(pairs):
        rows += [i, *range(window.n + s, window.n + s + window.d[i])]
        cols += [k] * (1 + window.d[i])
        values += [1.0, *(window.p[i] + np.arange(1, window.d[i] + 1.0))]
    total, columns = window.n + horizon, len(pairs)
    lower = np.concatenate((np.ones(window.n), np.full(horizon, -np.inf)))
    upper = np.concatenate((np.ones(window.n), np.full(horizon, float(window.capacity))))
    cost = np.array([s + window.d[i] for i, s in pairs], dtype=float) * window.weight[[i for i, _ in pairs]]
    if objective == "makespan":
        for k, (i, s) in enumerate(pairs):
            rows.append(total + i)
            cols.append(k)
            values.append(float(s + window.d[i]))
        rows += range(total, total + window.n)
        cols += [columns] * window.n
        values += [-1.0] * window.n
        lower, upper = np.append(lower, np.full(window.n, -np.inf)), np.append(upper, np.zeros(window.n))
        cost, columns, total = np.append(np.zeros(columns), 1.0), columns + 1, total + window.n
    matrix = sparse.csc_array((values, (rows, cols)), shape=(total, columns))
    top = np.where(np.arange(columns) < len(pairs), 1.0, np.inf)
    model = ArrayModel(cost, matrix, lower, upper, np.zeros(columns), top, np.arange(columns) < len(pairs))
    result = solve_with_cbc(model, budget=Budget(120))
    assert result.status.proven
    return float(result.value)


@pytest.mark.parametrize("objective", ["total_completion", "makespan"])
@pytest.mark.parametrize("seed", range(12))
def test_optimum_is_that_of_enumeration(seed, objective):
    instance = unit_instance(seed, 3 + seed % 2, 8 + seed % 3, objective, most=0.7)
    plan = solve(instance, method="unit-round", time_limit_s=60).plan
    assert plan.claims.status == "optimal"
    assert plan.claims.value == pytest.approx(optimum(instance, objective))


@pytest.mark.parametrize("seed", range(6))
def test_total_completion_is_that_of_the_model_in_cbc(seed):
    instance = unit_instance(100 + seed, 5 + seed % 2, 9 + seed)
    plan = solve(instance, method="unit-round", time_limit_s=60).plan
    problem = UnitRounds.of(instance)
    assert plan.claims.status == "optimal"
    assert plan.claims.value == pytest.approx(start_time_optimum(problem, "total_completion", int(problem.d.sum())))


@pytest.mark.parametrize("seed", range(6))
def test_makespan_is_that_of_the_model_in_cbc(seed):
    # The plan is feasible, so the optimum is within the horizon of its value.
    instance = unit_instance(100 + seed, 4 + seed % 2, 8 + seed, "makespan")
    plan = solve(instance, method="unit-round", time_limit_s=60).plan
    assert plan.claims.status == "optimal"
    assert plan.claims.value == pytest.approx(
        start_time_optimum(UnitRounds.of(instance), "makespan", int(plan.claims.value))
    )


@pytest.mark.parametrize("seed", range(6))
def test_weights_that_are_no_integers(seed):
    instance = unit_instance(200 + seed, 5, 10)
    weight = np.round(np.random.default_rng(seed).uniform(0.2, 3.0, 5), 2)
    instance = instance.with_requests(replace(instance.requests, weight=weight))
    plan = solve(instance, method="unit-round", time_limit_s=60).plan
    assert plan.claims.status == "optimal"
    assert plan.claims.value == pytest.approx(
        start_time_optimum(UnitRounds.of(instance), "total_completion", int(instance.requests.decode_tokens.sum())),
        rel=1e-6,
    )


def schedules(p, d, capacity, latest):
    """All feasible start vectors up to `latest`."""
    for starts in itertools.product(range(latest + 1), repeat=len(p)):
        load = np.zeros(latest + max(d) + 1, dtype=int)
        for s, prompt, length in zip(starts, p, d, strict=True):
            load[s + 1 : s + length + 1] += prompt + np.arange(1, length + 1)
        if load.max() <= capacity:
            yield starts


@pytest.mark.parametrize("seed", range(25))
def test_no_schedule_covers_a_round_more_often_than_the_lemma_says(seed):
    random = np.random.default_rng(seed)
    capacity = int(random.integers(6, 14))
    p = random.integers(1, 5, 3)
    d = np.array([random.integers(1, capacity - x + 1) for x in p])
    windows = completion_windows(p, d, capacity, (1, 2))
    for starts in schedules(p.tolist(), d.tolist(), capacity, 9):
        end = np.array(starts) + d
        for window in windows:
            covered = [
                np.arange(e - b + 1, e + a + 1) for e, b, a in zip(end, window.before, window.after, strict=True)
            ]
            _, count = np.unique(np.concatenate(covered), return_counts=True)
            assert count.max(initial=0) <= window.share, (p, d, capacity, starts, window)


@pytest.mark.parametrize("seed", range(20))
def test_prices_never_pass_a_feasible_schedule(seed):
    random = np.random.default_rng(seed)
    problem = UnitRounds.of(unit_instance(300 + seed, 3, 9))
    least = min(problem.value(np.array(s)) for s in schedules(problem.p, problem.d, problem.capacity, 18))
    horizon = int(random.integers(3, 25))
    prices = ascend(problem, horizon, least, Budget(0.0))
    assert prices.value <= least
    assert prices.proven <= least
    assert (prices.reduced_costs() >= 0).all()
