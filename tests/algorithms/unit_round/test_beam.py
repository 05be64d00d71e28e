"""Beams over starts of unit rounds against enumeration, and the identity that guides them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from exhaustive import optimum
from hypothesis import given, settings
from hypothesis import strategies as st
from test_unit_round_exact import unit_instance

from llmsched_mip import evaluate
from llmsched_mip.algorithms.unit_round.beam import most_width, search
from llmsched_mip.algorithms.unit_round.guide import completion_guide, makespan_guide
from llmsched_mip.budget import Budget
from llmsched_mip.methods.beam import beam
from llmsched_mip.methods.search import Search
from llmsched_mip.relaxations.time_indexed.kv_prices import value_of_prices
from llmsched_mip.relaxations.time_indexed.relaxation import StartRelaxation
from llmsched_mip.unit_rounds import UnitRounds
from llmsched_mip.workload import generate


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([1, 4, 30]))
def test_what_a_schedule_has_lost_is_its_value_less_the_bound_of_the_prices(seed, width):
    instance = unit_instance(seed, 9, 12)
    problem, relaxation = UnitRounds.of(instance), StartRelaxation.of(instance)
    random = np.random.default_rng(seed)
    prices = np.sort(random.exponential(0.2, random.integers(5, 60)))[::-1]
    guide, order = completion_guide(problem, prices)
    starts, lost = search(guide, width, 5, 0, Budget())
    idle = np.zeros(len(starts))
    for member, row in enumerate(starts):
        load = np.zeros(int((row + guide.d).max()) + len(prices) + 1)
        for p, d, s in zip(guide.p, guide.d, row, strict=True):
            load[s + 1 : s + d + 1] += p + np.arange(1, d + 1)
        assert load.max() <= problem.capacity
        later = np.arange(1, len(prices) + 1) > row.max()
        idle[member] = (prices * (problem.capacity - load[1 : len(prices) + 1]))[later].sum()
    values = (starts + guide.d) @ guide.weight
    assert sorted(order.tolist()) == list(range(problem.n))
    assert lost + idle == pytest.approx(values - value_of_prices(relaxation, prices), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("objective", ["total_completion", "makespan"])
def test_wide_beams_find_the_optimum_of_nearly_all_tiny_instances(objective):
    met = 0
    for seed in range(30):
        instance = unit_instance(seed, 4, 8 + seed % 3, objective, most=0.7)
        with Search(instance, 30.0) as run:
            assert beam(run, most_runs=5) is None
        best = optimum(instance, objective)
        assert run.value >= best - 1e-9
        met += run.value <= best + 1e-9
    assert met >= 27


@pytest.mark.parametrize("objective", ["total_completion", "makespan"])
def test_a_limit_of_work_repeats_the_plan(objective):
    instance = generate("kv-uniform", seed=3).with_objective(objective)
    values = []
    for _ in range(2):
        with Search(instance, math.inf, seed=5) as run:
            beam(run, most_runs=4)
        assert evaluate(instance, run.plan).feasible
        values.append(run.value)
    assert values[0] == values[1]


def test_memory_limits_the_width():
    problem = UnitRounds.of(unit_instance(0, 50, 100_000))
    guide, _ = makespan_guide(problem, 1000.0, 0.1)
    assert 1 <= most_width(guide) <= 60_000_000 // (4 * int(problem.d.max()))
