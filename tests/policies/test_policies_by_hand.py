"""Runs of MC-SF, Sorted-F, A_min and geometric slicing computed by hand, in the unit-round model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llmsched_mip import Instance, Requests
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import Executor
from llmsched_mip.policies import make_policy
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.workload import deployment


def instance(prefill, decode, capacity, lower=None, upper=None, arrival=None):
    requests = Requests(
        [f"r{i}" for i in range(len(prefill))], prefill, decode, arrival, decode_lower=lower, decode_upper=upper
    )
    return Instance("hand", requests, (replace(deployment("unit-round"), kv_capacity=capacity),), "total_completion")


def run(case, name, lengths="known"):
    events = []
    executor = Executor(case, make_policy(name, Problem.of(case, lengths)), events.append)
    executor.run()
    return executor.outcome(name, 0.0), events


FIVE = instance([8, 1, 1, 1, 2], [1, 2, 2, 3, 4], 10)


@pytest.mark.parametrize(
    "name", ["sorted-f", "sorted-f:exact", "sorted-f:scaled", "sorted-f:swap", "sorted-f:quantile"]
)
def test_sorted_f(name):
    """Batches with Σ (p + d) ≤ 10: {r1, r2, r3} with F = 7/9 (two of them 1 or more, r0 alone 1), then {r0} with 1,
    then {r4}.  List r1 r2 r3 r0 r4: three start at 0 (9 KV tokens in round 2).  r0 needs 9: it waits until r3 is done
    at 3.  r4 with r0 would hold 3 + 9 in round 4: it starts at 4."""
    outcome, _ = run(FIVE, name)
    assert outcome.schedule.prefill_start_s.tolist() == [3, 0, 0, 0, 4]
    assert outcome.schedule.completion_s.tolist() == [4, 2, 2, 3, 8]
    assert outcome.measures.total_completion == 19


@pytest.mark.parametrize("name", ["mc-sf", "shortest-first", "h-sf"])
def test_mc_sf(name):
    """r0 alone in round 1 (9 + 2 > 10).  r1 r2 r3 start at 1 (round 3: 3 + 3 + 3); r4 would hold 4 more in round 3,
    the last of r1 and r2.  It starts when they are done at 3."""
    outcome, _ = run(FIVE, name)
    assert outcome.schedule.prefill_start_s.tolist() == [0, 1, 1, 1, 3]
    assert outcome.measures.total_completion == 1 + 3 + 3 + 4 + 7


@pytest.mark.parametrize(("name", "starts"), [("fcfs", [0, 0, 0, 1, 2]), ("fcfs:2", [0, 0, 0, 2, 2])])
def test_waiting_for_room_for_two(name, starts):
    """r0 r1 r2 hold 12 of 14 tokens in round 1 and r1 r2 10 in round 2, beside which only one more fits."""
    outcome, _ = run(instance([3] * 5, [1, 2, 2, 2, 2], 14), name)
    assert outcome.schedule.prefill_start_s.tolist() == starts


@pytest.mark.parametrize("name", ["longest-first:9", "shortest-first:9", "svf:9", "machine-time:9"])
def test_waiting_ends_where_nothing_is_active(name):
    """Nine never fit: each batch is what an empty worker takes, and the last one what is left."""
    outcome, _ = run(instance([3] * 5, [2] * 5, 10), name)
    assert sorted(outcome.schedule.prefill_start_s.tolist()) == [0, 0, 2, 2, 4]


def test_mc_sf_starts_in_the_first_round_that_fits_without_a_completion():
    """r1 beside r0 holds 1 + 5 - s in round 5, the last of r0 with 6: it fits from s = 2 on, where nothing ends."""
    outcome, _ = run(instance([1, 1], [5, 6], 10), "mc-sf")
    assert outcome.schedule.prefill_start_s.tolist() == [0, 2]
    assert outcome.schedule.completion_s.tolist() == [5, 8]


def test_mc_sf_keeps_a_margin_free():
    """With 3 of 10 tokens kept free, r1 may hold 2 beside the 5 of r0 in round 4: it starts at 3.  r2 would hold
    9 - s beside the 5 of r1 in round 7: it waits for the empty worker, and then may use all of it."""
    case = instance([1, 1, 2], [4, 4, 8], 10)
    assert run(case, "mc-sf")[0].schedule.prefill_start_s.tolist() == [0, 0, 4]
    assert run(case, "mc-sf:0.3")[0].schedule.prefill_start_s.tolist() == [0, 3, 7]


def test_a_min_with_an_eviction():
    """Lower ends 2 2 3 4.  r0 r1 r2 start at 0: with these lengths round 2 holds 3 + 4 + 3 = 10; r3 does not fit.
    At 2 none has ended and round 3 would hold 13: of the estimates 2 2 3 those of r0 and r1 are least, with equal
    tokens made; the later one, r1, goes, and 8 are left.  r2 ends at 4.  r1 (estimate 2) starts again at 4 beside r0,
    which ends at 5, and makes its three tokens until 7; r3 starts at 5 and ends at 9."""
    case = instance([1, 2, 1, 2], [5, 3, 4, 4], 10, lower=[2, 2, 3, 4], upper=[9, 9, 9, 9])
    outcome, events = run(case, "a-min", "interval")
    assert [(e.time, e.request) for e in events if e.event == "evict"] == [(2, 1)]
    assert outcome.schedule.prefill_start_s.tolist() == [0, 4, 0, 5]
    assert outcome.schedule.completion_s.tolist() == [5, 7, 4, 9]
    assert outcome.measures.kv_peak == 10 and outcome.evictions == 1


def test_a_max_sets_the_upper_end_aside():
    """Each may come to hold 1 + 5 of 10 tokens: one after the other, although both end after two."""
    outcome, _ = run(instance([1, 1], [2, 2], 10, lower=[1, 1], upper=[5, 5]), "a-max", "interval")
    # At the upper end of r0 in round 5 it would hold 6; r1 beside it holds at most 4 from start 2 on, where r0 ends.
    assert outcome.schedule.completion_s.tolist() == [2, 4]
    assert outcome.evictions == 0


@pytest.mark.parametrize("lengths", ["known", "interval", "unknown"])
def test_geometric_slicing(lengths):
    """Slices of KV volume 2, 8, 16: rounds 1 (volume 2), 2 (5) and 4 (14).  The request of 3 tokens is restarted at 1
    and at 3 and ends at 6."""
    outcome, _ = run(instance([1], [3], 10, lower=[3], upper=[3]), "geometric-slicing", lengths)
    assert outcome.evictions == 2
    assert outcome.schedule.completion_s.tolist() == [6]


def test_sorted_f_orders_arrivals_anew():
    """r0 runs until 4.  r1 and r2 wait, r3 arrives at 3: F of {r3} is 1, of {r1} or {r2} 3, and no two fit."""
    case = instance([5, 5, 5, 4], [4, 3, 3, 1], 9, arrival=[0.0, 1.0, 1.0, 3.0])
    outcome, _ = run(case, "sorted-f")
    assert outcome.schedule.prefill_start_s.tolist() == [0, 5, 8, 4]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sorted-f:best", "expected one of auto, exact"),
        ("mc-sf:1", "margin of at least 0 and below 1"),
        ("mc-sf:x", "margin"),
        ("lagrangian-stochastic:0", "risk above 0"),
        ("plan:1", "'plan' takes no option"),
        ("svf:0", "a number of requests to wait for, at least 1, got '0'"),
        ("machine-time:two", "a number of requests to wait for"),
        ("sorted", "expected one of fcfs"),
    ],
)
def test_wrong_names_and_options_are_one_line(name, message):
    with pytest.raises(InvalidInputError, match=message):
        run(FIVE, name)
