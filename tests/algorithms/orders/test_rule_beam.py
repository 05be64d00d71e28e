"""Schedules in stretches against those in one go, what is expected against its formula, beams against optima."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from brute_force import optimum
from random_tiny import tiny_instance

from llmsched_mip.algorithms.orders.list_scheduling import (
    Progress,
    Rule,
    Stretch,
    advance,
    list_schedule,
    sorted_arrivals,
)
from llmsched_mip.algorithms.orders.lists import Lists, Trial
from llmsched_mip.algorithms.orders.rule_beam import CLASSES, RuleBeam, expected_value
from llmsched_mip.algorithms.orders.single_worker import SingleWorker
from llmsched_mip.budget import Budget
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.methods.orders import list_orders, work_s
from llmsched_mip.methods.rule_beam import rule_beam
from llmsched_mip.methods.search import Search
from llmsched_mip.workload import generate

RULES = (Rule(), Rule(fits=4, misses=30), Rule(idle=3, misses=5, hold=2, most=6))


def backlog(seed: int, n: int = 60) -> Instance:
    """The first requests of a family with weights that differ."""
    instance = generate(("lmsys-chat", "mixture", "azure-conv")[seed % 3], n, seed).with_objective("total_completion")
    weight = np.random.default_rng(seed).uniform(0.5, 2.0, n)
    return replace(instance, requests=replace(instance.requests, weight=weight))


def beam_of(instance: Instance, stretches: int) -> RuleBeam:
    work = work_s(Search(instance, math.inf))
    lists = Lists(SingleWorker.of(instance), work, 0)
    beam = RuleBeam(lists, work)
    assert beam.draw_lists(Trial("machine-time", lists.keys["machine-time"], RULES[0]), Budget(math.inf))
    assert beam.begin(RULES[0], stretches, Budget(math.inf))
    return beam


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rule", RULES)
def test_stretches_of_one_rule_are_its_list_schedule(seed: int, rule: Rule) -> None:
    instance = backlog(seed)
    problem, work = SingleWorker.of(instance), work_s(Search(instance, math.inf))
    order = np.argsort(work)
    whole, progress = list_schedule(problem, order, rule), Progress.nothing(problem)
    for share in (0.0, 0.2, 0.21, 0.7, 1.0, np.inf):
        stretch = Stretch(work, share * work.sum() if share < np.inf else np.inf)
        value = advance(problem, order, rule, progress, stretch, sorted_arrivals(problem))
    assert value == pytest.approx(whole.value, rel=1e-12)
    assert (progress.starts.rounds == whole.starts.rounds).all()
    assert (progress.starts.iteration == whole.starts.iteration).all()


@pytest.mark.parametrize("seed", range(3))
def test_what_is_expected_is_that_of_work_in_order(seed: int) -> None:
    instance = backlog(seed)
    beam = beam_of(instance, 5)
    problem, work, weight = beam.problem, beam.work_s, beam.problem.weight
    progress, next_class = Progress.nothing(problem), 4
    advance(problem, np.argsort(work), RULES[0], progress, Stretch(work, 0.3 * work.sum()), beam.arrival_s)
    active = progress.active
    t, count = int(active.counts[0]), int(active.counts[1])
    left = np.where(progress.starts.iteration < 0, work, 0.0)
    (worker,) = instance.workers
    for k in range(count):
        i, rounds = active.request[k], active.finish[k] - t
        held = problem.p[i] + problem.d[i] - rounds + np.arange(1, rounds + 1)
        share = max(held.sum() / problem.capacity, rounds / problem.slots)
        decode = worker.decode_time
        left[i] = decode.base_s * share + decode.per_sequence_s * rounds + decode.per_kv_token_s * held.sum()
    slope = np.random.default_rng(seed).uniform(1, 2, CLASSES)
    now, expected = active.seconds[0], active.seconds[1]
    for i in sorted(np.flatnonzero(left), key=lambda i: left[i] / weight[i]):
        now += slope[max(next_class, int((beam.class_ends < left[i] / weight[i]).sum()))] * left[i]
        expected += weight[i] * now
    fixed, by_class = expected_value(beam, progress, next_class)
    assert fixed + by_class @ slope == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_passes_are_plans_and_never_worse(seed: int) -> None:
    instance = backlog(seed, 300)
    beam, values = beam_of(instance, 12), []
    for stretches in (12, 7, 1):
        values.append(beam.best.value)
        found = beam.improve(stretches, 2, 20, Budget(math.inf))
        assert found == (beam.best.value < values[-1])
        evaluation = evaluate(instance, beam.best.progress.starts.plan(instance, "beam"))
        assert evaluation.feasible
        assert evaluation.measures.total_completion == pytest.approx(beam.best.value, rel=1e-12)
    assert beam.best.value < values[0]
    assert np.isfinite(beam.slope).all()


@pytest.mark.parametrize("seed", range(8))
def test_tiny_instances_against_their_optima(seed: int) -> None:
    instance = tiny_instance(seed, "total_completion")
    requests = replace(instance.requests, arrival_s=np.zeros(instance.n))
    instance = replace(instance, workers=instance.workers[:1], requests=requests)
    search = Search(instance, math.inf)
    assert rule_beam(search, most_passes=2) is None
    assert search.value is not None
    assert search.value >= optimum(instance, instance.objective) * (1 - 1e-9)


def test_seed_and_passes_repeat_a_run_and_beat_the_lists() -> None:
    instance, values = backlog(2, 300), []
    lists = Search(instance, math.inf, seed=3)
    list_orders(lists)
    for _ in range(2):
        search = Search(instance, math.inf, seed=3)
        rule_beam(search, most_passes=3)
        values.append(search.value)
    assert values[0] == values[1]
    assert values[0] is not None
    assert lists.value is not None
    assert values[0] < lists.value


def test_a_search_goes_on_where_its_last_turn_ended() -> None:
    instance = backlog(2, 300)
    whole, turns = Search(instance, math.inf, seed=3), Search(instance, math.inf, seed=3)
    rule_beam(whole, most_passes=3)
    for _ in range(3):
        rule_beam(turns, most_passes=1)
    assert turns.value == whole.value


def test_where_it_does_not_apply() -> None:
    search = Search(backlog(0).with_objective("makespan"), math.inf)
    assert rule_beam(search) == "it takes total completion of a backlog on one worker"
    assert search.plan is None
