"""The bound "round_patterns": below optima, its patterns against enumeration, its L against a naive one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from brute_force import optimum
from hypothesis import given, settings
from hypothesis import strategies as st
from test_start_bounds import unit_rounds

from llmsched_mip.bounds import BOUNDS, round_patterns
from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.time_indexed import patterns
from llmsched_mip.relaxations.time_indexed.kv_prices import value_of_prices
from llmsched_mip.relaxations.time_indexed.relaxation import StartRelaxation
from llmsched_mip.unit_rounds import UnitRounds
from llmsched_mip.workload import generate

PASSES = (60, 30, 20, 20)


def is_pattern(members, capacity):
    """Whether the load is within the capacity in every later round, counted round by round."""
    last = max((r for _, r in members), default=0)
    return all(sum(h + k for h, r in members if r >= k) <= capacity for k in range(last + 1))


@settings(max_examples=30)
@given(unit_rounds(4, 8), st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4]))
def test_value_and_patterns_are_those_of_enumeration(instance, seed, block):
    problem, random = UnitRounds.of(instance), np.random.default_rng(seed)
    types, horizon = patterns.Types.of(problem), int(random.integers(1, 12))
    room = patterns.Room.of(types, horizon)
    count, longest = -(-horizon // block), int(problem.d.max())
    prices = random.exponential(1.0, (count, problem.capacity + 1, longest))
    prices *= random.random(prices.shape) < 0.8
    slope = np.zeros_like(prices)
    value, _ = patterns.value_of_patterns(types, room, prices, block, horizon, slope)
    known = {(p + k, d - k) for p, d in zip(problem.p, problem.d, strict=True) for k in range(1, d + 1)}
    expected = 0.0
    for b in range(count):
        most, size = 0.0, 1
        while True:
            found = [m for m in itertools.combinations_with_replacement(sorted(known), size)
                     if is_pattern(m, problem.capacity)]  # fmt: skip
            if not found or size > 3:
                break
            most, size = max(most, *(sum(prices[b, h, r] for h, r in m) for m in found)), size + 1
        if size > 3:
            return
        expected -= most * min(block, horizon - b * block)
    for p, d, weight in zip(problem.p, problem.d, problem.weight, strict=True):
        expected += min(
            weight * (s + d)
            + sum(prices[(s + k - 1) // block, p + k, d - k] for k in range(1, d + 1) if s + k <= horizon)
            for s in range(horizon + 1)
        )
    assert value == pytest.approx(expected)


@settings(max_examples=30)
@given(unit_rounds(5, 8))
def test_never_above_the_optimum(instance):
    best, found = optimum(instance, "total_completion"), []
    round_patterns.improve(instance.with_objective("total_completion"), Budget(), found.append, PASSES, 0)
    values = [bound.value for bound in found]
    assert values == sorted(values)
    assert 0.6 * best <= values[-1] <= best * (1 + 1e-9)


def test_patterns_see_more_than_the_linear_relaxation():
    instance, found = generate("kv-uniform", 12, seed=3), []
    problem, relaxation = UnitRounds.of(instance), StartRelaxation.of(instance)
    prices = np.linspace(0.5, 0.0, 150)
    types = patterns.Types.of(problem)
    full = prices[:, None, None] * np.arange(problem.capacity + 1.0)[None, :, None] * np.ones((1, 1, problem.d.max()))
    room = patterns.Room.of(types, len(prices))
    value, _ = patterns.value_of_patterns(types, room, full, 1, len(prices), np.zeros_like(full))
    assert value >= value_of_prices(relaxation, prices)
    round_patterns.improve(instance, Budget(), found.append, (600, 100, 20, 20), 0)
    assert found[-1].value > 1.1 * BOUNDS["start_lp"](instance, Budget()).value


def test_where_it_does_not_apply():
    for instance in (
        generate("kv-uniform", 12).with_objective("makespan"),
        generate("gsm8k-opt66b-a100", 12).with_objective("total_completion"),
    ):
        assert round_patterns.round_patterns(instance, Budget(1.0)) is None


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**30])
def test_all_weights_scale(factor):
    problem = UnitRounds.of(generate("kv-uniform", 12, seed=1))
    scaled = UnitRounds(problem.p, problem.d, factor * problem.weight, problem.capacity, problem.round_s)
    prices = np.linspace(0.3, 0.0, 120)
    one = list(patterns.ascend_patterns(problem, prices, Budget(), PASSES, 0))[-1]
    other = list(patterns.ascend_patterns(scaled, factor * prices, Budget(), PASSES, 0))[-1]
    assert other.value == pytest.approx(factor * one.value, rel=1e-9)
