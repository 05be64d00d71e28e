"""Prices on the clocks by linear programs: proofs, duality, and what they are better at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import optimum
from random_tiny import tiny_instance
from test_work_clock import FAST, SEVERAL, SMALL, random_instance

from llmsched_mip import Instance, Requests
from llmsched_mip.bounds.work_clock import improve, work_clock
from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.work_clock import linear
from llmsched_mip.relaxations.work_clock.ascent import ascend
from llmsched_mip.relaxations.work_clock.at_cuts import AtCuts, Clock
from llmsched_mip.relaxations.work_clock.prices import feasible, value_of_prices
from llmsched_mip.relaxations.work_clock.relaxation import ClockRelaxation
from llmsched_mip.solvers.highs import solve_arrays
from llmsched_mip.workload import generate

WORKERS = [(FAST,), (FAST, SMALL), (FAST, replace(FAST, name="x"), SMALL)]


@pytest.mark.parametrize("seed", [*range(25), *SEVERAL[:20]])
def test_no_prices_by_programs_give_a_bound_above_the_optimum(seed, monkeypatch):
    monkeypatch.setattr(linear, "STAGES", ((16, 1, 1.0), (16, 2, 0.02)))
    instance = tiny_instance(seed, "total_completion")
    problem = ClockRelaxation.of(instance)
    if problem is None:
        return
    best, told = optimum(instance, "total_completion"), []
    start = ascend(problem, Budget(), 20)
    found = linear.sharpen(problem, start, Budget(), told.append)
    values = [value_of_prices(problem, prices) for prices in (start, *told)]
    assert values == sorted(values)
    assert value_of_prices(problem, found) == values[-1] <= best * (1 + 1e-9)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("seed", range(3))
def test_the_program_in_all_columns_is_worth_what_its_duals_prove(workers, seed):
    """With one round for each request `prices` looks at every round, and both sides of the duality are the same."""
    tokens = random_instance(seed, 12, workers).requests.prefill_tokens
    requests = Requests([f"r{i}" for i in range(12)], tokens, np.ones(12, dtype=np.int64))
    problem = ClockRelaxation.of(Instance("one round", requests, workers, objective="total_completion"))
    start = ascend(problem, Budget(), 60)
    clocks = [Clock(kind, prices, 24, 1) for kind, prices in zip(problem.kinds, start, strict=True)]
    assert linear.choose_near(problem, clocks, 1e9) == sum(24 * len(kind.requests) for kind in problem.kinds)
    model, blocks = linear.program(problem, clocks)
    result = solve_arrays(model, threads=1, options=linear.OPTIONS)
    made = [block.prices(result.row_duals).prices(block.clock.cuts, block.clock.group) for block in blocks]
    proven = value_of_prices(problem, made)
    assert proven >= value_of_prices(problem, start) * (1 - 1e-3)
    # Several tangents share a dual where the best one lies between them: the proof is better than the program.
    assert result.value * (1 - 1e-5) <= proven <= result.value * 1.01


@pytest.mark.parametrize("workers", WORKERS)
def test_columns_that_are_added_give_what_all_give(workers, monkeypatch):
    problem = ClockRelaxation.of(random_instance(4, 20, workers))
    start = ascend(problem, Budget(), 60)
    values = []
    for near in (1e9, 0.01):
        monkeypatch.setattr(linear, "STAGES", ((24, 2, near),))
        values.append(value_of_prices(problem, linear.sharpen(problem, start, Budget(), lambda prices: None)))
    assert values[1] == pytest.approx(values[0], rel=2e-3)
    assert min(values) > value_of_prices(problem, start)


def test_prices_at_cuts_are_the_prices_there():
    problem = ClockRelaxation.of(random_instance(1, 15))
    kind = problem.kinds[0]
    prices = feasible(kind, ascend(problem, Budget(), 30)[0])
    at = AtCuts.of(prices, prices.cuts)
    assert at.second.tolist() == prices.second[:-1].tolist()
    assert at.kv[0] == prices.kv[0] and at.kv[3] == pytest.approx((prices.kv[5] + prices.kv[6]) / 2)
    again = AtCuts.of(at.prices(prices.cuts, prices.group), prices.cuts)
    for one, other in zip(at, again, strict=True):
        assert np.allclose(one, other)


@pytest.mark.parametrize("family", ["mixture", "lmsys-chat", "azure-conv"])
def test_programs_prove_more_of_few_requests(family):
    instance, told = replace(generate(family, 40), objective="total_completion"), []
    improve(instance, Budget(), told.append)
    problem = ClockRelaxation.of(instance)
    by_ascent = value_of_prices(problem, ascend(problem, Budget()))
    assert told[-1].value > 1.02 * by_ascent
    assert told[-1].value == pytest.approx(work_clock(instance, Budget()).value, rel=1e-3)


def test_many_requests_and_little_time_have_no_programs():
    problem = ClockRelaxation.of(random_instance(2, 100))
    assert linear.applies(problem, 60.0) and not linear.applies(problem, 1.0)
    assert not linear.applies(ClockRelaxation.of(random_instance(2, 2_000)), 600.0)


def test_a_spent_budget_leaves_the_prices_that_there_are():
    problem = ClockRelaxation.of(random_instance(3, 30))
    start = ascend(problem, Budget(), 20)
    kept = linear.sharpen(problem, start, Budget(0.0), lambda prices: None)
    assert value_of_prices(problem, kept) == value_of_prices(problem, start)
