"""Large neighbourhood search: its sub-problem, the left shift, and what comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from exhaustive import optimum
from random_tiny import tiny_instance

from llmsched_mip.evaluation import evaluate
from llmsched_mip.methods.large_neighbourhood import _Run, large_neighbourhood
from llmsched_mip.methods.left_shift import left_shift
from llmsched_mip.methods.lists import list_schedules
from llmsched_mip.methods.search import Search
from llmsched_mip.models.round_indexed.neighbourhood import clock_of
from llmsched_mip.models.start_rounds import plan_of, starts_of, within_caps
from llmsched_mip.workload import generate

OBJECTIVES = ("makespan", "total_completion")


def kv_bound(count, seed, capacity=4000):
    """Requests with measured times whose KV cache holds about ten of them."""
    instance = generate("gsm8k-opt66b-a100", count, seed)
    worker = replace(instance.workers[0], kv_capacity=capacity, slots=None)
    return replace(instance, workers=(worker,), objective="total_completion")


def listed(instance):
    """The best list schedule."""
    with Search(instance, 2.0) as search:
        list_schedules(search)
    return search.plan


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_plans_of_tiny_instances_lie_between_the_optimum_and_the_list_schedules(objective):
    met = 0
    for seed in range(700, 725):
        instance = tiny_instance(seed, objective)
        best = optimum(instance, objective)
        with Search(instance.with_objective(objective), 1.0, threads=1) as search:
            list_schedules(search)
            before = search.value
            large_neighbourhood(search)
        assert not evaluate(instance, search.plan).violations
        assert best * (1 - 1e-9) <= search.value <= before
        met += search.value <= best * (1 + 1e-9)
    assert met >= 20


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_it_improves_on_the_construction(objective):
    instance = kv_bound(40, 3, 2500)
    with Search(instance.with_objective(objective), 8.0, threads=1) as search:
        list_schedules(search)
        before = search.value
        large_neighbourhood(search)
        assert search.value < (0.985 if objective == "total_completion" else 1.0) * before


def test_the_clock_is_that_of_evaluate():
    for seed in range(730, 760):
        instance = tiny_instance(seed, "total_completion")
        plan = listed(instance)
        schedule = evaluate(instance, plan).schedule
        starts = starts_of(plan)
        for w in range(len(instance.workers)):
            clock = clock_of(instance, starts, w)
            for start in starts:
                if start.worker == w:
                    last = start.round + int(instance.requests.decode_tokens[start.request]) - 1
                    assert clock.end_s[last - 1] == pytest.approx(schedule.completion_s[start.request])


def test_only_the_free_requests_have_a_choice_of_starts():
    instance = generate("kv-uniform", 25, 1)
    with Search(instance.with_objective("total_completion"), 5.0, threads=1) as search:
        list_schedules(search)
        run = _Run(search, search.plan)
        choice = run.window(8)
        part, _ = run.part(choice)
        others = np.setdiff1d(np.arange(instance.n), choice.free)
        assert np.isin(np.flatnonzero(np.bincount(part.starts[0]) > 1), choice.free).all()
        assert (np.bincount(part.starts[0])[others] == 1).all()
        assert (part.starts[2][part.kept] == run.round).all()


@pytest.mark.parametrize("slots", [None, 3])
def test_left_shift_keeps_plans_feasible_and_removes_idle_room(slots):
    moved = 0
    for seed in range(6):
        instance = generate("kv-uniform", 20, seed)
        worker = replace(instance.workers[0], slots=slots)
        instance = replace(instance, workers=(worker,))
        plan = listed(instance)
        late = [start._replace(round=2 * start.round) for start in starts_of(plan)]
        shifted = within_caps(instance, left_shift(instance, late))
        assert [s.request for s in sorted(shifted)] == [s.request for s in sorted(shifted, key=lambda s: s.round)]
        made = plan_of(instance, shifted, "shifted")
        assert not evaluate(instance, made).violations
        moved += sum(s.round for s in shifted) < sum(s.round for s in late)
    assert moved == 6


def test_ctrl_c_keeps_the_plan():
    instance = kv_bound(60, 1)
    with Search(instance.with_objective("total_completion"), 60.0, threads=1) as search:
        list_schedules(search)
        search.interrupted = True
        before = search.plan
        large_neighbourhood(search)
        assert search.plan is before
    assert not evaluate(instance, search.plan).violations
