"""How proven optima move with the instance: by enumeration, and by `solve` where it proves both."""

from __future__ import annotations

import math
import random

import pytest
from brute_force import optimum
from fuzzing.change import fewer, heavier, later, roomier, stream
from fuzzing.draw import SMALL, TINY
from proofs import ONLINE, bound_of, proven, replayed, solved
from strategies import feasible_plan

from llmsched_mip import evaluate
from llmsched_mip.bounds import BOUNDS
from llmsched_mip.methods import METHODS
from llmsched_mip.tolerance import RELATIVE_TOLERANCE, at_most


def optima(instance, other):
    """The two optima by enumeration, and of every fifth instance by `solve` where it proves both."""
    yield tuple(optimum(case, case.objective) for case in (instance, other))
    by_solve = [proven(case) for case in (instance, other)] if int(instance.name.split()[2]) % 5 == 0 else [None]
    if None not in by_solve:
        yield tuple(by_solve)


def test_more_room_raises_no_optimum():
    rng = random.Random(21)
    for instance in stream(121, 250, TINY):
        if len(instance.workers) == 4:
            continue
        for tight, wide in optima(instance, roomier(instance, rng)):
            assert at_most(wide, tight), instance.name


def test_one_more_request_lowers_no_optimum():
    rng = random.Random(22)
    for instance in stream(122, 250, TINY):
        if instance.n == 1:
            continue
        for all_of_them, without_one in optima(instance, fewer(instance, rng)):
            assert at_most(without_one, all_of_them), instance.name


def test_later_arrivals_move_optima():
    rng = random.Random(23)
    for instance in stream(123, 120, TINY):
        span = optimum(instance, "makespan")
        by = span * rng.choice((0.5, 1.0, 3.0, 1000 * rng.random()))
        factor = 1.0 if instance.objective == "makespan" else math.fsum(instance.requests.weight)
        for first, second in optima(instance, later(instance, by)):
            assert second == pytest.approx(first + factor * by, rel=RELATIVE_TOLERANCE, abs=0), instance.name


def total_completion(seed, number, *kinds):
    return (case for case in stream(seed, number, *kinds) if case.objective == "total_completion")


@pytest.mark.parametrize("name", BOUNDS)
def test_doubled_weights_double_bounds(name):
    for instance in total_completion(124, 60, TINY, SMALL):
        first, second = bound_of(instance, name), bound_of(heavier(instance, 2.0), name)
        assert second == (None if first is None else 2 * first), instance.name


@pytest.mark.parametrize("method", METHODS)
def test_doubled_weights_double_values(method):
    for instance in total_completion(125, 24, TINY, SMALL):
        (status, value), (status_of_heavier, value_of_heavier) = (
            solved(case, method) for case in (instance, heavier(instance, 2.0))
        )
        assert (status_of_heavier, value_of_heavier) == (status, 2 * value), instance.name


@pytest.mark.parametrize("policy", ONLINE)
def test_doubled_weights_change_no_decision(policy):
    for instance in total_completion(126, 40, TINY, SMALL):
        first, second = (replayed(case, policy, "known") for case in (instance, heavier(instance, 2.0)))
        assert (first.schedule.completion_s == second.schedule.completion_s).all(), instance.name


@pytest.mark.parametrize("name", BOUNDS)
def test_no_bound_above_any_plan(name):
    for instance in stream(127, 60, TINY, SMALL):
        bound = bound_of(instance, name)
        if bound is None:
            continue
        for k in range(4):
            plan = feasible_plan(instance, k)
            measures = evaluate(instance, plan).measures
            assert at_most(bound, measures.objective(instance.objective)), (instance.name, k)
