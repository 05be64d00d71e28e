"""Policies for total completion: against optima by brute force, lists against the executor, promises of A_max."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import optimum
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip import Instance, Requests, evaluate
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import Executor, replay
from llmsched_mip.policies import POLICIES, make_policy
from llmsched_mip.policies.parts.swaps import swapped
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.relaxations.interval_indexed import mean_start_rounds
from llmsched_mip.timing import AffinePrefill
from llmsched_mip.unit_loads import list_starts
from llmsched_mip.workload import deployment, generate, with_intervals

PLANS = [name for name in POLICIES if name not in ("plan", "geometric-slicing")]
OVERFLOWING = ("a-max", "a-min", "mc-sf", "lagrangian", "lagrangian-stochastic", "geometric-slicing", "svf")


@st.composite
def unit_rounds(draw, most=4, arrivals=True):
    """A tiny instance of the unit-round model."""
    n = draw(st.integers(1, most))
    column = st.lists(st.integers(1, 5), min_size=n, max_size=n)
    prefill, decode = draw(column), draw(column)
    arrival = draw(st.lists(st.integers(0, 4).map(float), min_size=n, max_size=n)) if arrivals else None
    capacity = draw(st.integers(max(p + d for p, d in zip(prefill, decode, strict=True)), 16))
    worker = replace(deployment("unit-round"), kv_capacity=capacity)
    requests = Requests([f"r{i}" for i in range(n)], prefill, decode, arrival)
    return Instance("tiny", requests, (worker,), "total_completion")


def executed(instance, name, lengths="known"):
    executor = Executor(instance, make_policy(name, Problem.of(instance, lengths)))
    executor.run()
    return executor.outcome(name, 0.0)


@settings(max_examples=60)
@given(instance=unit_rounds())
def test_no_policy_is_below_the_optimum(instance):
    least = optimum(instance, "total_completion")
    for name in PLANS:
        evaluation = evaluate(instance, executed(instance, name).to_plan(instance))
        assert evaluation.feasible
        assert evaluation.measures.total_completion >= least - 1e-9
    assert executed(instance, "geometric-slicing").measures.total_completion >= least - 1e-9


@settings(max_examples=100)
@given(instance=unit_rounds(most=8, arrivals=False), data=st.data())
def test_compiled_list_is_what_the_executor_runs(instance, data):
    """Smallest volume first by the list function and by the policy: the same starts."""
    r, n = instance.requests, instance.n
    order = np.lexsort((np.arange(n), instance.kv_volume))
    size = 2 + int(r.decode_tokens.sum())
    starts, load, active = np.zeros(n, dtype=np.int64), np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    list_starts(order, r.prefill_tokens, r.decode_tokens, instance.workers[0].kv_capacity, n, load, active, starts)
    assert executed(instance, "svf").schedule.decode_start_s.tolist() == starts.tolist()
    better = swapped(
        order.copy(), r.prefill_tokens, r.decode_tokens, r.weight, instance.workers[0].kv_capacity, n, 8, 500
    )
    assert sorted(better.tolist()) == list(range(n))
    before = int((starts + r.decode_tokens).sum())
    list_starts(better, r.prefill_tokens, r.decode_tokens, instance.workers[0].kv_capacity, n, load, active, starts)
    assert int((starts + r.decode_tokens).sum()) <= before


@settings(max_examples=40)
@given(instance=unit_rounds(most=8, arrivals=False))
def test_swaps_do_not_harm_the_order_of_the_relaxation(instance):
    totals = [executed(instance, name).measures.total_completion for name in ("sorted-lp", "lp-swap")]
    assert totals[1] <= totals[0]


@settings(max_examples=150)
@given(instance=unit_rounds(most=8), ratio=st.floats(1, 8), seed=st.integers(0, 99))
def test_a_max_never_evicts_when_the_intervals_hold_the_lengths(instance, ratio, seed):
    case = with_intervals(instance, ratio, seed)
    assert executed(case, "a-max", "interval").evictions == 0
    assert executed(case, "a-max", "unknown").evictions == 0


@pytest.mark.parametrize("kind", ["intervals:5", "biased:5:0.3", "wrong:5:0.5", "lognormal:1"])
def test_kv_never_overflows_under_wrong_predictions(kind):
    case = replace(generate("lmsys-chat", 300, 3, predictions=kind), objective="total_completion")
    case = replace(case, workers=(replace(case.workers[0], kv_capacity=4000),))
    for name in OVERFLOWING:
        outcome = executed(case, name, "interval")
        assert outcome.measures.kv_peak <= 4000
        assert np.isfinite(outcome.schedule.completion_s).all()


@pytest.mark.parametrize(
    "name", ["fcfs", "shortest-first", "mc-sf", "sorted-f", "svf", "machine-time", "a-max", "a-min", "h-sf"]
)
def test_ten_thousand_requests(name):
    instance = generate("mixture", 10_000, 1)
    worker = replace(deployment("unit-round"), kv_capacity=16_492)
    outcome = replay(replace(instance, workers=(worker,)), name)
    assert np.isfinite(outcome.schedule.completion_s).all()


def test_order_beats_arrival_on_the_mixture():
    instance = replace(generate("mixture", 200, 4), objective="total_completion")
    values = {
        name: replay(instance, name).measures.total_completion for name in ("fcfs", "shortest-first", "svf", "sorted-f")
    }
    assert max(values["svf"], values["sorted-f"]) < min(values["fcfs"], values["shortest-first"])


def test_mean_starts_of_one_at_a_time():
    """Each fills the cache for one round: they start at 0, 1 and 2, the heaviest weight first."""
    nine, one = np.full(3, 9), np.ones(3, dtype=np.int64)
    starts = mean_start_rounds(nine, one, np.array([1.0, 3.0, 2.0]), 10, 3)
    assert starts == pytest.approx([2, 0, 1])


def test_mean_starts_with_slots_and_without_limits():
    p, d, weight = np.array([1, 1]), np.array([2, 3]), np.ones(2)
    assert mean_start_rounds(p, d, weight, None, 2) == pytest.approx([0, 0])
    # One slot for five rounds: the relaxation may split a request, but the shorter one goes first.
    starts = mean_start_rounds(p, d, weight, None, 1)
    assert starts[0] == pytest.approx(0) and starts[1] == pytest.approx(2)


def test_a_relaxation_that_is_too_large_is_refused():
    instance = generate("mixture", 12_000, 1)
    with pytest.raises(InvalidInputError, match="relaxation of 12000 requests is too large"):
        replay(instance, "sorted-lp")


@pytest.mark.parametrize("policy", ["sorted-lp", "lp-swap"])
def test_relaxation_of_requests_of_millions_of_tokens(policy):
    """Rows are in KV token-rounds, up to 10^16, and a list has 180 million rounds."""
    worker = replace(deployment("unit-round"), kv_capacity=200_000_000)
    requests = Requests(["long", "longer", "short"], [3, 2, 1], [89_000_000, 93_000_000, 7])
    outcome = replay(Instance("huge", requests, (worker,), "total_completion"), policy)
    assert outcome.schedule.completion_s.tolist() == [89_000_000, 93_000_000, 7]


def test_the_order_of_the_relaxation_does_not_depend_on_the_unit_of_weights():
    rng = np.random.default_rng(3)
    p, d, weight = rng.integers(1, 9, 12), rng.integers(1, 9, 12), rng.random(12) + 0.1
    starts = mean_start_rounds(p, d, weight, 20, 12)
    for factor in (2.0**-60, 2.0, 2.0**60):
        assert mean_start_rounds(p, d, factor * weight, 20, 12).tolist() == starts.tolist()


@pytest.mark.parametrize("length", [611, 1001, 4097])
def test_mean_starts_where_lengths_are_no_multiple_of_the_interval(length):
    """Nine equal requests on one slot: the relaxation has room for them, one whole interval after the other."""
    nine = np.full(9, length)
    starts = mean_start_rounds(np.ones(9, dtype=np.int64), nine, np.ones(9), None, 1)
    assert starts.sum() >= 0.95 * length * sum(range(9))


@settings(max_examples=50)
@given(instance=unit_rounds(most=8, arrivals=True))
def test_where_only_rounds_take_time_machine_time_is_volume(instance):
    """The KV share is then all of it: the same order, so the same schedule."""
    by_volume, by_time = (executed(instance, name).schedule.completion_s for name in ("svf", "machine-time"))
    assert by_time.tolist() == by_volume.tolist()


def test_machine_time_by_hand():
    """Prompts of 10 s and 1 s, one and two rounds of 1 s, one slot: the second request goes first."""
    worker = replace(
        deployment("unit-round"), slots=1, kv_capacity=1000, prefill_time=AffinePrefill(base_s=0.0, per_token_s=0.1)
    )
    instance = replace(generate("mixture", 2, 0), workers=(worker,))
    requests = replace(
        instance.requests, prefill_tokens=np.array([100, 10]), decode_tokens=np.array([1, 2]), arrival_s=np.zeros(2)
    )
    instance = instance.with_requests(requests)
    assert executed(instance, "machine-time").schedule.completion_s.tolist() == [14.0, 3.0]
    assert executed(instance, "shortest-first").schedule.completion_s.tolist() == [11.0, 14.0]
