"""The clocks of workers: every inequality of the proof at plans, its prices, and its laws."""

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
from llmsched_mip.plan import WorkerPlan
from llmsched_mip.relaxations.work_clock.ascent import ascend
from llmsched_mip.relaxations.work_clock.prices import ClockPrices, value_of_prices
from llmsched_mip.relaxations.work_clock.relaxation import ClockRelaxation, Kind
from llmsched_mip.relaxations.work_clock.sample import Sample, longest, longest_alone
from llmsched_mip.workload import deployment, generate

SEVERAL = [seed for seed in range(25, 140) if len(tiny_instance(seed, "total_completion").workers) == 2]
FAST = Worker("w", AffinePrefill(0.3, 0.02), DecodeTime(0.5, 0.02, 0.001), 8, 300)
SMALL = Worker("small", AffinePrefill(0.1, 0.05), DecodeTime(0.3, 0.01, 0.004), 3, 90)
"""Not every request fits it."""


def random_instance(seed: int, n: int = 12, workers: tuple[Worker, ...] = (FAST,)) -> Instance:
    rng = np.random.default_rng(seed)
    requests = Requests(
        [f"r{i}" for i in range(n)],
        rng.integers(1, 60, n),
        rng.integers(1, 40, n),
        weight=rng.choice([0.5, 1.0, 3.0], n),
    )
    return Instance("random", requests, workers, objective="total_completion")


def random_prices(kind: Kind, seed: int, levels: int = 7) -> ClockPrices:
    rng = np.random.default_rng(seed)
    weight = float(kind.weight.sum())
    cuts = float(kind.machine_s.sum()) * np.concatenate(([0.0], np.sort(rng.random(levels)))) * 1.5
    group = longest_alone(kind)
    second = np.cumsum(rng.random(levels + 1))[::-1] * weight / levels
    by_level = rng.random((3, 2 * levels)) * kind.decode.base_s * weight
    beside = rng.random((len(kind.neighbours.kernel), 2 * levels)) * 4
    alone = rng.random((group.max() + 1, 2 * levels)) * kind.decode.base_s * weight
    return ClockPrices(cuts, second, *by_level, beside, alone, group)


@pytest.mark.parametrize("seed", [*range(25), *SEVERAL])
def test_no_prices_give_a_bound_above_the_optimum(seed):
    instance = tiny_instance(seed, "total_completion")
    problem = ClockRelaxation.of(instance)
    if problem is None:
        return
    best = optimum(instance, "total_completion")
    for k in range(5):
        prices = [random_prices(kind, k) for kind in problem.kinds]
        assert value_of_prices(problem, prices) <= best * (1 + 1e-9)
    assert value_of_prices(problem, ascend(problem, Budget(), 40)) <= best * (1 + 1e-9)


def relaxed_value(instance: Instance, problem: ClockRelaxation, kind: Kind, stages: WorkerPlan) -> float:
    """The right-hand side of the inequality of the relaxation on one worker of a plan, round by round."""
    order = np.lexsort((instance.requests.weight, instance.requests.decode_tokens, instance.requests.prefill_tokens))
    here = np.flatnonzero(np.isin(order[kind.requests], stages.requests))
    p, d, weight, q = kind.p[here], kind.d[here], kind.weight[here], kind.prefill_s[here]
    first = np.zeros(instance.n, dtype=np.int64)
    before = np.concatenate(([0], np.cumsum(stages.rounds)))
    for k in range(len(stages.rounds)):
        first[stages.requests[stages.offsets[k] : stages.offsets[k + 1]]] = before[k]
    starts = first[order[kind.requests][here]]
    a, b, c = kind.decode.base_s, kind.decode.per_sequence_s, kind.decode.per_kv_token_s
    clock, mean, value = 0.0, np.zeros(len(here)), kind.fixed_s * weight.sum()
    near, of = kind.neighbours, kind.neighbours.of[here]
    for t in range(1, int((starts + d).max()) + 1):
        k = t - starts
        on = (k >= 1) & (k <= d)
        seconds = a + (q / d + b + c * (p + k))[on].sum()
        value += np.sqrt(weight * q / d)[on].sum() ** 2 / 2
        pairs = near.kernel[np.ix_(of[on], of[on])]
        value += (pairs.sum() - np.trace(pairs)) / 2
        value += (weight * (k - 0.5) / d * (a + b + c * (p + k)))[on].sum()
        mean[on] += (clock + seconds / 2) / d[on]
        clock += seconds
        assert on.sum() <= kind.limits.slots
        assert (p + k)[on].sum() <= kind.limits.kv
    return float(value + (weight * mean).sum())


@pytest.mark.parametrize("workers", [(FAST,), (FAST, SMALL), (FAST, replace(FAST, name="x"), SMALL)])
@pytest.mark.parametrize("seed", range(10))
def test_the_inequality_holds_at_plans_and_prices_stay_below_it(seed, workers):
    instance = random_instance(seed, 12 * len(workers), workers)
    plan = sequential_batches(instance, np.random.default_rng(seed))
    result = evaluate(instance, plan)
    assert not result.violations
    problem = ClockRelaxation.of(instance)
    assert len(problem.kinds) == min(2, len(workers))
    relaxed = 0.0
    for worker, stages in zip(workers, plan.workers, strict=True):
        kind = next(kind for kind in problem.kinds if kind.limits.worker.kind == worker.kind)
        if len(stages.requests):
            relaxed += relaxed_value(instance, problem, kind, stages)
    assert relaxed <= result.measures.total_completion * (1 + 1e-12)
    assert value_of_prices(problem, ascend(problem, Budget(), 60)) <= relaxed * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_neighbours_cost_each_other_what_the_kernel_says_and_it_is_a_square(seed):
    rng = np.random.default_rng(seed)
    problem = ClockRelaxation.of(random_instance(seed, 30)).kinds[0]
    kernel, b, c = problem.neighbours.kernel, problem.decode.per_sequence_s, problem.decode.per_kv_token_s
    assert np.linalg.eigvalsh(kernel).min() >= -1e-12 * kernel.max()
    for i, j in rng.integers(0, len(problem.d), (300, 2)):
        shift = int(rng.integers(-problem.d[j] + 1, problem.d[i]))
        rounds = np.arange(max(0, shift), min(problem.d[i], shift + problem.d[j])) + 1.0
        cost = 0.0
        for x, y, k, m in ((i, j, rounds, rounds - shift), (j, i, rounds - shift, rounds)):
            cost += np.sum(problem.weight[x] * (k - 0.5) / problem.d[x] * (b + c * (problem.p[y] + m)))
        assert kernel[problem.neighbours.of[i], problem.neighbours.of[j]] * len(rounds) <= cost * (1 + 1e-12)


@pytest.mark.parametrize("workers", [1, 3])
def test_like_requests_in_equal_batches_are_nearly_proven(workers):
    each = 150
    n = workers * each
    requests = Requests([f"r{i}" for i in range(n)], np.full(n, 100), np.full(n, 50))
    kind = Worker("w", AffinePrefill(0.0, 0.01), DecodeTime(1.0), None, None)
    alike = tuple(replace(kind, name=f"w{k}") for k in range(workers))
    instance = Instance("like", requests, alike, objective="total_completion")
    # Batches of m: m seconds of prefill each and 50 rounds, all that follow wait.  The best m falls as fewer wait.
    best = np.full(each + 1, np.inf)
    best[0] = 0.0
    for left in range(1, each + 1):
        sizes = np.arange(1, left + 1)
        best[left] = np.min(left * (sizes + 50.0) + best[left - sizes])
    bound = work_clock(instance, Budget())
    assert 0.96 * workers * best[each] <= bound.value <= workers * best[each]


def test_twice_the_workers_for_twice_the_requests_cost_twice_as_much():
    one, r = random_instance(2, 40), random_instance(2, 40).requests
    twice = [np.concatenate((x, x)) for x in (r.prefill_tokens, r.decode_tokens, r.weight)]
    requests = Requests([f"r{i}" for i in range(80)], *twice[:2], weight=twice[2])
    two = replace(one, requests=requests, workers=(FAST, replace(FAST, name="x")))
    assert work_clock(two, Budget()).value == pytest.approx(2 * work_clock(one, Budget()).value, rel=0.01)


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
    assert work_clock(random_instance(1).with_objective("makespan"), Budget()) is None


SAMPLE = "llmsched_mip.relaxations.work_clock.sample"


@pytest.mark.parametrize("workers", [(FAST,), (SMALL, FAST, replace(FAST, name="x"))])
def test_a_sample_stands_for_all_requests(workers, monkeypatch):
    problem = ClockRelaxation.of(random_instance(3, 90, workers))
    whole = Sample.of(problem)
    assert whole.places.tolist() == list(range(90)) and set(whole.copies) == {1.0}
    monkeypatch.setattr(f"{SAMPLE}.MOST_COLUMNS", 30)
    monkeypatch.setattr(f"{SAMPLE}.ALONE", 5)
    part = Sample.of(problem)
    assert len(part.places) < 60 and part.copies.sum() == pytest.approx(90)
    for kind in problem.kinds:
        rows, at = part.rows(kind)
        assert kind.requests[rows].tolist() == part.places[at].tolist()
        assert set(kind.requests[longest(kind)]) <= set(part.places)
        assert sorted(set(part.places) - set(part.places[at])) == sorted(set(part.places) - set(kind.requests))
        assert set(part.copies[np.isin(part.places, kind.requests[longest(kind)])]) == {1.0}


def test_a_sample_where_every_request_has_a_price(monkeypatch):
    monkeypatch.setattr(f"{SAMPLE}.MOST_COLUMNS", 30)
    workers = (FAST, replace(FAST, decode_time=DecodeTime(0.6, 0.02, 0.001), name="x"), SMALL)
    problem = ClockRelaxation.of(random_instance(3, 90, workers))
    monkeypatch.setattr("llmsched_mip.relaxations.work_clock.sample.longest", lambda kind: np.arange(len(kind.d)))
    assert Sample.of(problem).copies.tolist() == [1.0] * 90


@pytest.mark.parametrize("seed", [*range(8), *SEVERAL[:8]])
def test_prices_from_a_sample_give_a_bound(seed, monkeypatch):
    monkeypatch.setattr(f"{SAMPLE}.MOST_COLUMNS", 2)
    monkeypatch.setattr(f"{SAMPLE}.ALONE", 1)
    instance = tiny_instance(seed, "total_completion")
    problem = ClockRelaxation.of(instance)
    if problem is not None:
        assert value_of_prices(problem, ascend(problem, Budget(), 40)) <= optimum(instance, "total_completion") * (
            1 + 1e-9
        )


def test_prices_from_a_sample_are_nearly_as_good(monkeypatch):
    """Of 2,400 requests on two kinds of workers 600 columns give 99 % of the bound of all of them."""
    kinds = [deployment(name, published=True) for name in ("llama2-70b-a100-tp2", "llama31-8b-rtx4090")]
    workers = tuple(replace(worker, name=f"w{k}") for k, worker in enumerate(3 * kinds))
    problem = ClockRelaxation.of(replace(generate("azure-conv", 2400), workers=workers, objective="total_completion"))
    whole = value_of_prices(problem, ascend(problem, Budget(), 150))
    monkeypatch.setattr(f"{SAMPLE}.MOST_COLUMNS", 600)
    monkeypatch.setattr(f"{SAMPLE}.ALONE", 50)
    part = value_of_prices(problem, ascend(problem, Budget(), 150))
    assert part > 0.99 * whole
