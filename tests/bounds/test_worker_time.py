"""Prices on the time of several workers: no bound above an optimum, and the least costs against a fine grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import optimum
from random_tiny import tiny_instance

from llmsched_mip.bounds import BOUNDS
from llmsched_mip.bounds.worker_time import worker_time
from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.worker_time.ascent import ascend, value_of_prices
from llmsched_mip.relaxations.worker_time.prices import Prices, cut_moments, request_costs
from llmsched_mip.relaxations.worker_time.relaxation import WorkerTime
from llmsched_mip.workload import deployment, generate

SEVERAL = [seed for seed in range(140) if len(tiny_instance(seed, "total_completion").workers) == 2]


def random_prices(problem: WorkerTime, seed: int, levels: int = 6) -> Prices:
    rng = np.random.default_rng(seed)
    bends = rng.random((len(problem.kinds), levels + 1)) ** 4
    bends[:, 0] = 0.0
    return Prices(cut_moments(problem.horizon_s, levels), bends)


@pytest.mark.parametrize("seed", SEVERAL)
def test_no_prices_give_a_bound_above_the_optimum(seed):
    instance = tiny_instance(seed, "total_completion")
    problem = WorkerTime(instance)
    if problem.horizon_s <= 0:
        return
    best = optimum(instance, "total_completion")
    found = []
    ascend(problem, Budget(), found.append, 60)
    for prices in (found[-1], *(random_prices(problem, k) for k in range(4))):
        assert value_of_prices(problem, prices) <= best * (1 + 1e-9)


def two_kinds(n: int, rate: float | None = None):
    instance = generate("azure-conv", n, **({} if rate is None else {"rate": rate}))
    workers = [
        replace(deployment(name, published=True), name=f"w{k}")
        for k, name in enumerate(("llama2-70b-a100-tp4", "opt-66b-a100-tp4", "llama2-70b-a100-tp4"))
    ]
    return replace(instance, workers=tuple(workers), objective="total_completion")


@pytest.mark.parametrize("rate", [None, 2.0])
def test_the_least_costs_are_those_of_a_fine_grid(rate):
    instance = two_kinds(6, rate)
    problem = WorkerTime(instance)
    prices = random_prices(problem, 1)
    prices = prices._replace(bends=prices.bends / 50)
    columns = problem.columns(np.arange(instance.n))
    cost = request_costs(columns, prices)
    for k in range(len(problem.kinds)):
        for i in range(instance.n):
            earliest = columns.arrival_s[i] + columns.alone[k, i]
            moments = earliest + np.linspace(0, problem.horizon_s + columns.alone[k, i], 20_001)
            left = np.maximum(prices.cuts[:, None] - (moments[:, None] - columns.before[k, i])[:, None, :], 0.0)
            paid = np.einsum("e,meg,g->m", prices.bends[k], left, columns.work[k, i])
            least = (columns.weight[i] * moments + paid).min()
            assert least * (1 - 1e-3) <= cost[k, i] <= least * (1 + 1e-9)


def test_unlike_workers_are_more_than_one_fast_machine():
    instance = two_kinds(60)
    assert worker_time(instance, Budget()).value > 1.1 * BOUNDS["split"](instance, Budget()).value


def test_only_for_total_completion_of_several_workers():
    instance = two_kinds(5)
    assert worker_time(replace(instance, objective="makespan"), Budget()) is None
    assert worker_time(replace(instance, workers=instance.workers[:1]), Budget()) is None


def test_pieces_of_the_prefill_and_the_rounds_are_all_the_priced_work():
    problem = WorkerTime(two_kinds(20))
    columns = problem.columns(np.arange(20))
    assert np.all(np.diff(columns.before[:, :, 1:], axis=2) <= 1e-9)
    assert np.all(columns.before <= columns.alone[:, :, None])
