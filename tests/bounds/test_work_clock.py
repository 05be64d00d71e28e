"""The clock of work: every inequality of its proof at plans, its prices, and its laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import optimum
from random_tiny import tiny_instance
from test_bounds_valid import sequential_batches

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.bounds.work_clock import improve, work_clock
from llmsched_mip.budget import Budget
from llmsched_mip.evaluation import evaluate
from llmsched_mip.relaxations.work_clock.ascent import ascend, longest_alone
from llmsched_mip.relaxations.work_clock.prices import ClockPrices, value_of_prices
from llmsched_mip.relaxations.work_clock.relaxation import ClockRelaxation


def random_instance(seed: int, n: int = 12) -> Instance:
    rng = np.random.default_rng(seed)
    requests = Requests(
        [f"r{i}" for i in range(n)],
        rng.integers(1, 60, n),
        rng.integers(1, 40, n),
        weight=rng.choice([0.5, 1.0, 3.0], n),
    )
    worker = Worker("w", AffinePrefill(0.3, 0.02), DecodeTime(0.5, 0.02, 0.001), 8, 300)
    return Instance("random", requests, (worker,), objective="total_completion")


def random_prices(problem: ClockRelaxation, seed: int, levels: int = 7) -> ClockPrices:
    rng = np.random.default_rng(seed)
    cuts = problem.work * np.concatenate(([0.0], np.sort(rng.random(levels - 1)), [1.0]))
    group = longest_alone(problem)
    scale = problem.decode.base_s * float(problem.weight.sum())
    clock = np.cumsum(rng.random(levels + 1)) * float(problem.weight.sum()) / levels
    by_level = rng.random((3, 2 * levels)) * scale
    beside = rng.random((len(problem.neighbours.kernel), 2 * levels)) * 4
    return ClockPrices(cuts, clock, *by_level, beside, rng.random((group.max() + 1, 2 * levels)) * scale, group)


@pytest.mark.parametrize("seed", range(25))
def test_no_prices_give_a_bound_above_the_optimum(seed):
    instance = tiny_instance(seed, "total_completion")
    problem = ClockRelaxation.of(instance)
    if problem is None:
        return
    best = optimum(instance, "total_completion")
    for k in range(5):
        assert value_of_prices(problem, random_prices(problem, k)) <= best * (1 + 1e-9)
    assert value_of_prices(problem, ascend(problem, Budget(), 40)) <= best * (1 + 1e-9)


def relaxed_value(instance: Instance, problem: ClockRelaxation, starts: np.ndarray) -> float:
    """The right-hand side of the inequality of the relaxation at a plan, round by round."""
    r, worker = instance.requests, instance.workers[0]
    p, d, weight = r.prefill_tokens, r.decode_tokens, r.weight
    a, b, c = worker.decode_time.base_s, worker.decode_time.per_sequence_s, worker.decode_time.per_kv_token_s
    alpha, beta = problem.share.per_sequence_s, problem.share.per_kv_token_s
    order = np.lexsort((weight, d, p))
    q = np.empty(instance.n)
    q[order] = problem.prefill_s
    clock, mean, value = 0.0, np.zeros(instance.n), problem.fixed_s * weight.sum()
    weights_left, near = [], problem.neighbours
    kind = np.empty(instance.n, dtype=np.int64)
    kind[order] = near.of
    for t in range(1, int((starts + d).max()) + 1):
        k = t - starts
        on = (k >= 1) & (k <= d)
        idle = a - alpha * on.sum() - beta * (p + k)[on].sum()
        work = (q / d + b + alpha + (c + beta) * (p + k))[on].sum()
        left = (weight * np.clip((d - k + 0.5) / d, 0, 1)).sum()
        value += np.sqrt(weight * q / d)[on].sum() ** 2 / 2 + left * idle
        pairs = near.kernel[np.ix_(kind[on], kind[on])]
        value += (pairs.sum() - np.trace(pairs)) / 2
        value += (weight * (k - 0.5) / d * (a + b + c * (p + k)))[on].sum()
        mean[on] += (clock + work / 2) / d[on]
        clock += work
        assert idle >= -1e-12
        weights_left.append((clock - work / 2, left))
    moments, left = np.array(weights_left).T
    assert np.all(left[:-1] >= problem.waiting(moments)[::2] - 1e-9)
    assert np.all(left[1:] >= problem.waiting(moments)[1::2] - 1e-9)
    return float(value + (weight * mean).sum())


@pytest.mark.parametrize("seed", range(10))
def test_the_inequality_holds_at_plans_and_prices_stay_below_it(seed):
    instance = random_instance(seed)
    plan = sequential_batches(instance, np.random.default_rng(seed))
    result = evaluate(instance, plan)
    assert not result.violations
    problem = ClockRelaxation.of(instance)
    stages = plan.workers[0]
    starts = np.zeros(instance.n, dtype=np.int64)
    before = np.concatenate(([0], np.cumsum(stages.rounds)))
    for k in range(len(stages.rounds)):
        starts[stages.requests[stages.offsets[k] : stages.offsets[k + 1]]] = before[k]
    relaxed = relaxed_value(instance, problem, starts)
    assert relaxed <= result.measures.total_completion * (1 + 1e-12)
    assert value_of_prices(problem, ascend(problem, Budget(), 60)) <= relaxed * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_neighbours_cost_each_other_what_the_kernel_says_and_it_is_a_square(seed):
    rng = np.random.default_rng(seed)
    problem = ClockRelaxation.of(random_instance(seed, 30))
    kernel, b, c = problem.neighbours.kernel, problem.decode.per_sequence_s, problem.decode.per_kv_token_s
    assert np.linalg.eigvalsh(kernel).min() >= -1e-12 * kernel.max()
    for i, j in rng.integers(0, problem.n, (300, 2)):
        shift = int(rng.integers(-problem.d[j] + 1, problem.d[i]))
        rounds = np.arange(max(0, shift), min(problem.d[i], shift + problem.d[j])) + 1.0
        cost = 0.0
        for x, y, k, m in ((i, j, rounds, rounds - shift), (j, i, rounds - shift, rounds)):
            cost += np.sum(problem.weight[x] * (k - 0.5) / problem.d[x] * (b + c * (problem.p[y] + m)))
        assert kernel[problem.neighbours.of[i], problem.neighbours.of[j]] * len(rounds) <= cost * (1 + 1e-12)


def test_like_requests_in_equal_batches_are_nearly_proven():
    n = 150
    requests = Requests([f"r{i}" for i in range(n)], np.full(n, 100), np.full(n, 50))
    worker = Worker("w", AffinePrefill(0.0, 0.01), DecodeTime(1.0), None, None)
    instance = Instance("like", requests, (worker,), objective="total_completion")
    # Batches of m: m seconds of prefill each and 50 rounds, all that follow wait.  The best m falls as fewer wait.
    best = np.full(n + 1, np.inf)
    best[0] = 0.0
    for left in range(1, n + 1):
        sizes = np.arange(1, left + 1)
        best[left] = np.min(left * (sizes + 50.0) + best[left - sizes])
    bound = work_clock(instance, Budget())
    assert 0.96 * best[n] <= bound.value <= best[n]


def test_least_weight_that_waits_is_the_fractional_knapsack():
    problem = ClockRelaxation.of(random_instance(3))
    d = problem.d
    owner = np.repeat(np.arange(problem.n), d)
    k = np.concatenate([np.arange(1, x + 1) for x in d])
    work = (problem.prefill_s / d)[owner] + problem.rate.round_seconds(1, problem.p[owner] + k)
    worth = (problem.weight / d)[owner]
    assert work.sum() == pytest.approx(problem.work)
    order = np.argsort(worth / work)
    known = np.concatenate(([0], np.cumsum(work[order]))), np.concatenate(([0], np.cumsum(worth[order])))
    cuts = np.linspace(0, 1, 50) * problem.work
    ends = problem.waiting(cuts).reshape(-1, 2)
    exact = np.interp(problem.work - cuts, *known)
    middle = np.interp(problem.work - (cuts[1:] + cuts[:-1]) / 2, *known)
    assert np.all(ends >= 0)
    assert np.all(ends[:, 0] <= exact[:-1] + 1e-9)
    assert np.all(ends[:, 1] <= exact[1:] + 1e-9)
    assert np.all(ends.mean(axis=1) <= middle + 1e-9)
    assert np.all(ends.mean(axis=1) >= middle - 0.005 * exact[0])


def test_the_unit_of_time_and_of_weight_scales_the_bound():
    instance = random_instance(5)
    worker = instance.workers[0]
    longer = replace(worker, prefill_time=worker.prefill_time.scaled(30), decode_time=worker.decode_time.scaled(30))
    heavier = replace(instance.requests, weight=instance.requests.weight * 8)
    bound = work_clock(instance, Budget()).value
    assert work_clock(replace(instance, workers=(longer,)), Budget()).value == pytest.approx(bound * 2.0**30, rel=1e-9)
    assert work_clock(replace(instance, requests=heavier), Budget()).value == pytest.approx(bound * 8, rel=1e-9)


def test_bounds_that_are_told_grow_and_end_in_the_bound():
    instance, told = random_instance(7, 60), []
    improve(instance, Budget(), told.append)
    values = [bound.value for bound in told]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(work_clock(instance, Budget()).value)


def test_other_problems_have_none():
    instance = random_instance(1)
    two = replace(instance, workers=(instance.workers[0], replace(instance.workers[0], name="x")))
    assert work_clock(two, Budget()) is None
    assert work_clock(instance.with_objective("makespan"), Budget()) is None
