"""Estimator cases by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.execution import replay
from llmsched_mip.policies.parts.estimator import Estimator, visible_interval
from llmsched_mip.policies.protocol import Lengths, Problem, WorkerView


def interval(low, high):
    return Lengths("interval", np.array(low), np.array(high))


def view_of(started, rounds):
    view = WorkerView(0, Worker("w", AffinePrefill(1.0, 0.0), DecodeTime(1.0)))
    view.started, view.rounds = started, rounds
    return view


def test_known_lengths_are_the_estimates():
    estimator = Estimator(Lengths("known", np.array([7, 3]), np.array([7, 3])))
    assert estimator.exact
    assert [estimator.length(i) for i in (0, 1)] == [7, 3]
    assert [estimator.longest(i) for i in (0, 1)] == [7, 3]
    assert estimator.length(0, made=6) == 7
    left, rate = estimator.remaining(view_of({0: 2, 1: 4}, 5))
    assert left.tolist() == [4.0, 2.0]
    assert (rate >= 0).all()


def test_interval_is_the_mean_of_a_log_uniform_length():
    estimator = Estimator(interval([100], [400]))
    assert estimator.length(0) == round(300 / math.log(4)) == 216
    assert estimator.longest(0) == (216 + 400) // 2
    assert estimator.length(0, made=50) == 216
    assert estimator.length(0, made=199) == round(200 / math.log(2)) == 289
    assert estimator.length(0, made=398) == pytest.approx(399.5, abs=0.51)
    assert estimator.length(0, made=399) == 400
    assert estimator.length(0, made=400) == 500
    assert estimator.length(0, made=1000) == 1250


def test_an_interval_of_one_length():
    estimator = Estimator(interval([5, 1], [5, 1]))
    assert estimator.length(0) == 5 and estimator.length(0, made=4) == 5
    assert estimator.length(0, made=5) == 6
    assert estimator.length(1) == 1 and estimator.length(1, made=1) == 2


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 4), (3, 9), (100, 400)])
def test_the_estimate_is_above_the_tokens_made_and_within_the_interval(low, high):
    estimator = Estimator(interval([low], [high]))
    for made in range(2 * high):
        length = estimator.length(0, made)
        assert length > made
        assert made >= high or low <= length <= high
        assert estimator.longest(0, made) >= length


def test_nothing_visible_is_the_mean_residual_life():
    estimator = Estimator(Lengths("unknown", None, None))
    assert estimator.length(0) == 256 and estimator.length(0, made=200) == 400
    for length in (10, 40, 20, 90):
        estimator.observe(length)
    assert estimator.length(0) == 40
    assert estimator.length(0, made=10) == 50
    assert estimator.length(0, made=39) == 65
    assert estimator.length(0, made=89) == 90
    assert estimator.length(0, made=90) == 256
    assert estimator.length(0, made=300) == 600
    assert estimator.longest(0, made=10) == 50


def test_remaining_of_unknown_lengths():
    estimator = Estimator(Lengths("unknown", None, None))
    left, rate = estimator.remaining(view_of({3: 0, 1: 8}, 10))
    assert left.tolist() == [246.0, 254.0]
    for length in (10, 40, 20, 90):
        estimator.observe(length)
    left, rate = estimator.remaining(view_of({3: 0, 1: 8, 2: 10, 7: -90}, 10))
    assert left.tolist() == [40.0, 38.0, 40.0, 156.0]
    assert rate.tolist() == [1 / 40, 1 / 38, 1 / 40, 1 / 156]


def test_remaining_of_intervals():
    """Hazard 1 / (x ln(u / x)) from l on; before l none; past u the tokens made times 1.25."""
    estimator = Estimator(interval([100, 10, 4], [400, 40, 4]))
    left, rate = estimator.remaining(view_of({0: 20, 1: 1, 2: 17}, 20))
    assert left == pytest.approx([300 / math.log(4), 20 / math.log(2) - 19, 1.0])
    assert rate[:2] == pytest.approx([0.0, 1 / (20 * math.log(2))])
    assert 0 <= rate[2] <= 1


def test_observe_matters_only_where_nothing_is_visible():
    estimator = Estimator(interval([100], [400]))
    estimator.observe(3)
    assert estimator.length(0) == 216


def test_an_unknown_length_beside_the_longest_prompt():
    """Without a KV limit a prompt takes nothing from what a length may be: slices of one token went on for ever."""
    worker = Worker("w0", AffinePrefill(1.0, 0.0), DecodeTime(1.0), slots=1)
    requests = Requests(["long", "short"], [2**31 - 1, 1], [3, 2])
    instance = Instance("longest prompt", requests, (worker,))
    lower, upper = visible_interval(Problem.of(instance, "unknown"))
    assert lower == [1, 1] and upper == [2**31 - 1, 2**31 - 1]
    assert replay(instance, "geometric-slicing", lengths="unknown").measures.decode_rounds < 20
