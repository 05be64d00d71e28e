"""List scheduling against the executor, local search on batches against `evaluate` and against every plan there is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from brute_force import optimum
from random_tiny import tiny_instance

from llmsched_mip.algorithms.orders.list_scheduling import Rule, list_schedule
from llmsched_mip.algorithms.orders.lists import Lists
from llmsched_mip.algorithms.orders.local_search import LocalSearch
from llmsched_mip.algorithms.orders.single_worker import SingleWorker, Starts
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.methods.executed import executed
from llmsched_mip.methods.lists import places
from llmsched_mip.methods.orders import list_orders, order_search, work_s
from llmsched_mip.methods.search import Search
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.policies.threshold import IdleThreshold
from llmsched_mip.requests import Requests
from llmsched_mip.timing import AffinePrefill, DecodeTime, LevelPrefill
from llmsched_mip.worker import Worker

OBJECTIVES = ("makespan", "total_completion")
LEVELS = LevelPrefill((64, 200, 900), (0.04, 0.07, 0.3))


def some_instance(seed: int, n: int, objective: str, arrivals: bool) -> Instance:
    """One worker with slots, KV tokens, a cap and levels, each in some of the seeds; weights that differ."""
    random = np.random.default_rng(seed)
    p, d = random.integers(1, 60, n), random.integers(1, 40, n)
    peak = int((p + d).max())
    worker = Worker(
        "w",
        LEVELS if seed % 3 == 0 else AffinePrefill(0.05, 0.0004),
        DecodeTime(0.03, 0.0002, 1e-6),
        slots=int(random.integers(2, 12)) if seed % 2 else None,
        kv_capacity=int(random.integers(peak, 6 * peak)) if seed % 4 < 3 else None,
        prefill_token_cap=int(random.integers(60, 300)) if seed % 5 == 0 else None,
    )
    arrival_s = np.sort(random.uniform(0, 3, n)) if arrivals else np.zeros(n)
    requests = Requests([f"r{i}" for i in range(n)], p, d, arrival_s, weight=random.uniform(0.5, 2, n))
    return Instance("some", requests, (worker,), objective=objective)


@pytest.mark.parametrize("arrivals", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_list_scheduling_is_the_executed_policy(seed: int, arrivals: bool) -> None:
    instance = some_instance(seed, 60, OBJECTIVES[seed % 2], arrivals)
    key = np.random.default_rng(seed).permutation(instance.n)
    problem = Problem.of(instance, "known")
    for idle, skip in ((1, False), (1, True), (3, False), (3, True)):
        rule = Rule(idle=idle, misses=instance.n if skip else 1)
        found = list_schedule(SingleWorker.of(instance), np.argsort(key), rule)
        policy = IdleThreshold(problem, places(key), idle, skip)
        assert found.value == pytest.approx(executed(instance, "list", policy).value, rel=1e-12)
        plan = evaluate(instance, found.starts.plan(instance, "list"))
        assert plan.feasible
        assert plan.measures.objective(instance.objective) == pytest.approx(found.value, rel=1e-12)


@pytest.mark.parametrize("rule", [Rule(fits=4, misses=9), Rule(hold=5), Rule(misses=60, hold=2, fits=3, most=5)])
def test_other_rules_give_plans(rule: Rule) -> None:
    for seed in range(6):
        instance = some_instance(seed, 60, "total_completion", arrivals=seed > 2)
        found = list_schedule(SingleWorker.of(instance), np.arange(instance.n), rule)
        plan = evaluate(instance, found.starts.plan(instance, "list"))
        assert plan.feasible
        assert plan.measures.total_completion == pytest.approx(found.value, rel=1e-12)


@pytest.mark.parametrize("step", [1, 7])
@pytest.mark.parametrize("seed", range(6))
def test_a_pace_starts_requests_as_fast_as_the_kv_cache_takes_their_token_rounds(seed: int, step: int) -> None:
    instance = some_instance(4 * seed, 60, "total_completion", arrivals=False)
    p, d = instance.requests.prefill_tokens, instance.requests.decode_tokens
    order = np.random.default_rng(seed).permutation(instance.n)
    found = list_schedule(SingleWorker.of(instance), order, Rule(pace=1.3, step=step))
    plan = evaluate(instance, found.starts.plan(instance, "list"))
    assert plan.feasible
    assert plan.measures.total_completion == pytest.approx(found.value, rel=1e-12)
    starts, capacity = found.starts.rounds, instance.workers[0].kv_capacity
    assert capacity is not None
    volume, ends, paced = 0.0, 0, 0
    for i in order:
        ready = math.ceil(1.3 * volume / capacity / step - 1e-9) * step
        assert starts[i] >= min(ready, ends), "before its pace only where nothing is active"
        paced += starts[i] == ready > 0
        volume, ends = volume + p[i] * d[i] + d[i] * (d[i] + 1) / 2, max(ends, starts[i] + d[i])
    assert paced > instance.n / 4, "most wait for nothing else"


def test_at_a_pace_long_requests_end_sooner() -> None:
    """Started together 40 fit, for 16 rounds; one after the other about 70: they hold 9.5 tokens in the mean."""
    worker = Worker("w", AffinePrefill(0.0, 0.0), DecodeTime(1.0), kv_capacity=680)
    n = 400
    requests = Requests([f"r{i}" for i in range(n)], [1] * n, [16] * n)
    problem = SingleWorker.of(Instance("equal", requests, (worker,)))
    at_once = list_schedule(problem, np.arange(n), Rule()).value
    assert at_once == 16 * n / 40
    paced = list_schedule(problem, np.arange(n), Rule(pace=1.02)).value
    assert 152 * n / 680 < paced < 0.7 * at_once


@pytest.mark.parametrize("arrivals", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_local_search_knows_the_value_of_its_batches(seed: int, arrivals: bool) -> None:
    instance = some_instance(seed, 80, OBJECTIVES[seed % 2], arrivals)
    problem = SingleWorker.of(instance)
    search = LocalSearch(problem, list_schedule(problem, np.arange(instance.n), Rule()).starts, seed)
    for temperature in (1.0, 0.1, 0.001):
        search.step(temperature, 1500)
        kept = search.value
        search.keep_best()
        assert search.value == pytest.approx(kept, rel=1e-11)
        batches = search.batches
        assert sorted(batches.sequence[: batches.counts[0]]) == sorted(set(batches.batch.tolist()))
        assert (
            np.bincount(batches.batch, minlength=instance.n + 1)[batches.batch] == batches.size[batches.batch]
        ).all()
    plan = evaluate(instance, search.best_starts().plan(instance, "batches"))
    assert plan.feasible, plan.violations
    assert plan.measures.objective(instance.objective) == pytest.approx(search.best_value, rel=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_local_search_finds_optima(objective: str) -> None:
    tiny = [tiny_instance(seed, objective) for seed in range(60)]
    for instance in tiny:
        if len(instance.workers) > 1 or instance.requests.arrival_s.any():
            continue
        with Search(instance, 1e9) as search:
            list_orders(search, most=5)
            order_search(search, most_trials=2000)
        assert search.value == pytest.approx(optimum(instance, objective), rel=1e-9), instance.name


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_plan_becomes_the_same_batches(objective: str) -> None:
    instance = some_instance(1, 60, objective, arrivals=False)
    found = list_schedule(SingleWorker.of(instance), np.arange(instance.n), Rule(misses=60))
    again = Starts.of(found.starts.plan(instance, "list"))
    assert (again.rounds == found.starts.rounds).all()
    assert (again.iteration == found.starts.iteration).all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_equal_seeds_and_trials_give_equal_plans(objective: str) -> None:
    plans = []
    for _ in range(2):
        with Search(some_instance(2, 40, objective, arrivals=False), 1e9, seed=3) as search:
            list_orders(search, most=20)
            order_search(search, most_trials=3000)
        assert search.plan is not None
        plans.append((search.value, search.plan.workers[0].requests.tolist()))
    assert plans[0] == plans[1]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_lists_are_tried_once_in_all_turns_of_a_search(objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    instance, tried = some_instance(4, 40, objective, arrivals=False), []
    run = Lists.run
    monkeypatch.setattr(Lists, "run", lambda lists, trial: tried.append(trial) or run(lists, trial))
    with Search(instance, 1e9) as search:
        for most in (0, 0, 30, 30, 40):
            list_orders(search, most)
    usual = Lists(SingleWorker.of(instance), work_s(search), 0)
    more = (usual.first(), usual.waiting_for_slots(), usual.passing_over(), usual.paced())
    assert len(tried) == sum(len(list(trials)) for trials in more) + 40
    with Search(instance, 1e9) as whole:
        list_orders(whole, 40)
    assert whole.value == search.value
