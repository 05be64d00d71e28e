"""Every policy with every view of the lengths: all complete, limits hold at every event, what ran is a plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from event_log_checker import check_log
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import feasible_plan, instances

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker, evaluate
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import Executor
from llmsched_mip.policies import POLICIES, make_policy
from llmsched_mip.policies.protocol import VISIBILITY, Lengths, Problem
from llmsched_mip.policies.threshold import IdleThreshold
from llmsched_mip.workload import generate

ONLINE = (*(name for name in POLICIES if name != "plan"), "lagrangian:published")
KNOWN_ONLY = ("h-sf",)
RESTARTS = ("geometric-slicing",)
RELAXED = ("sorted-lp", "lp-swap")


def run(instance, policy):
    events = []
    executor = Executor(instance, policy, events.append)
    executor.run()
    outcome = executor.outcome("test", 0.0)
    return outcome, events


@st.composite
def with_intervals(draw, most_requests=9):
    """An instance whose intervals may miss the length on either side."""
    instance = draw(instances(most_requests=most_requests, most_workers=3))
    column = st.lists(st.integers(1, 12), min_size=instance.n, max_size=instance.n)
    low, width = np.array(draw(column)), np.array(draw(column))
    return instance.with_requests(replace(instance.requests, decode_lower=low, decode_upper=low + width - 1))


def assert_valid(instance, outcome, events, restarts=False):
    check_log(instance, events, outcome, restarts)
    if outcome.evictions:
        return
    evaluation = evaluate(instance, outcome.to_plan(instance))
    assert evaluation.feasible, evaluation.violations
    for name in ("makespan", "total_completion", "mean_latency", "p99_latency", "mean_time_to_first_token"):
        assert getattr(evaluation.measures, name) == pytest.approx(getattr(outcome.measures, name), rel=1e-9)
    for name in ("prefill_iterations", "decode_rounds", "kv_peak"):
        assert getattr(evaluation.measures, name) == getattr(outcome.measures, name)


@pytest.mark.parametrize("lengths", VISIBILITY)
@pytest.mark.parametrize("name", ONLINE)
@settings(max_examples=40)
@given(instance=with_intervals(), seed=st.none() | st.integers(0, 99))
def test_every_policy_completes_within_the_limits(name, lengths, instance, seed):
    if name in KNOWN_ONLY and lengths != "known":
        with pytest.raises(InvalidInputError, match="needs lengths 'known'"):
            make_policy(name, Problem.of(instance, lengths))
        return
    plan = None if seed is None else feasible_plan(instance, seed)
    outcome, events = run(instance, make_policy(name, Problem.of(instance, lengths, plan)))
    assert_valid(instance, outcome, events, name in RESTARTS)
    if lengths == "known" and name not in RESTARTS:
        assert outcome.evictions == 0


@settings(max_examples=150)
@given(
    instance=with_intervals(),
    lengths=st.sampled_from(VISIBILITY),
    idle=st.integers(1, 5),
    skip=st.booleans(),
    data=st.data(),
)
def test_list_with_a_threshold_completes_within_the_limits(instance, lengths, idle, skip, data):
    order = data.draw(st.none() | st.permutations(range(instance.n)))
    problem = Problem.of(instance, lengths)
    outcome, events = run(instance, IdleThreshold(problem, order, idle, skip))
    assert_valid(instance, outcome, events)


@pytest.mark.parametrize("lengths", VISIBILITY)
@pytest.mark.parametrize("name", ONLINE)
def test_larger_instances_with_kv_and_arrivals(name, lengths):
    if name in KNOWN_ONLY:
        lengths = "known"
    instance = generate("gsm8k-opt66b-a100", 60 if name in RELAXED else 200, 3, slots=40, rate=4.0, intervals=4.0)
    worker = replace(instance.workers[0], kv_capacity=6000)
    twin = replace(worker, name="small", slots=10, kv_capacity=2500, prefill_token_cap=600)
    instance = replace(instance, workers=(worker, twin))
    outcome, events = run(instance, make_policy(name, Problem.of(instance, lengths)))
    assert_valid(instance, outcome, events, name in RESTARTS)


@settings(max_examples=150)
@given(st.data())
def test_unknown_lengths_are_not_seen_before_they_show(data):
    """Two instances that differ in some lengths behave alike until the first request shows a difference.

    A request with lengths d ≠ d' shows it in its round min(d, d'): up to that round's end, all events agree.
    """
    first = data.draw(instances(most_requests=7, most_workers=2))
    n = first.n
    lengths = data.draw(st.lists(st.integers(1, 8), min_size=n, max_size=n))
    changed = np.minimum(lengths, np.maximum(1, _most_tokens(first)))
    second = first.with_requests(replace(first.requests, decode_tokens=changed))
    name = data.draw(st.sampled_from([name for name in ONLINE if name not in KNOWN_ONLY]))
    logs, shown = [], []
    for instance in (first, second):
        outcome, events = run(instance, make_policy(name, Problem.of(instance, "unknown")))
        logs.append(events)
        differs = first.requests.decode_tokens != changed
        shown.append(min(outcome.schedule.completion_s[differs], default=np.inf))
    until = min(shown) - 1e-9
    # A run of rounds that is under way when the difference shows began, and is logged, before.
    early = [[e for e in events if e.time < until] for events in logs]
    assert early[0] == early[1]


def _most_tokens(instance):
    """Largest length with which each request still fits some worker."""
    room = []
    for worker in instance.workers:
        fits = worker.fits(instance.requests.prefill_tokens, np.ones(instance.n, dtype=np.int64))
        kv = 2**31 if worker.kv_capacity is None else worker.kv_capacity
        room.append(np.where(fits, kv - instance.requests.prefill_tokens, 1))
    return np.max(room, axis=0)


def test_a_problem_holds_no_hidden_lengths():
    """Nothing that is reachable from the Problem or the worker views holds the true lengths."""
    decode = np.array([101, 57, 89])
    requests = Requests(
        ["a", "b", "c"], [5, 6, 7], decode, decode_lower=np.array([1, 2, 3]), decode_upper=np.array([200, 201, 202])
    )
    worker = Worker("w", AffinePrefill(1.0, 0.0), DecodeTime(1.0), 2)
    instance = Instance("hidden", requests, (worker,))
    for visible in ("interval", "unknown"):
        problem = Problem.of(instance, visible)
        found = _reachable(problem)
        assert not any(value is instance or value is requests for value in found)
        for value in found:
            if isinstance(value, np.ndarray | list | tuple) and len(value) == 3:
                assert list(value) != decode.tolist()
    assert Lengths.of(instance, "unknown").lower is None
    assert Problem.of(instance, "known").lengths.lower.tolist() == decode.tolist()


def _reachable(root):
    """Values reachable from `root` by attributes and containers."""
    found, stack = [], [root]
    while stack:
        value = stack.pop()
        if any(value is other for other in found):
            continue
        found.append(value)
        names = [*getattr(value, "__dict__", {}), *getattr(type(value), "__slots__", ())]
        stack += [getattr(value, name) for name in names if not name.startswith("__")]
        if isinstance(value, tuple | list | set):
            stack += list(value)
        elif isinstance(value, dict):
            stack += [*value.keys(), *value.values()]
    return found


@settings(max_examples=80)
@given(st.data())
@pytest.mark.parametrize("name", ["longest-first", "lagrangian"])
def test_order_of_requests_does_not_matter(name, data):
    """A backlog of distinct lengths without KV limit: the makespan does not depend on the order in the file."""
    instance = data.draw(instances(most_workers=1, arrivals=False))
    n = instance.n
    distinct = np.array(data.draw(st.permutations(range(1, n + 4)))[:n])
    worker = replace(instance.workers[0], kv_capacity=None)
    instance = Instance("distinct", replace(instance.requests, decode_tokens=distinct), (worker,))
    order = data.draw(st.permutations(range(n)))
    makespans = [
        run(case, make_policy(name, Problem.of(case, "known")))[0].measures.makespan
        for case in (instance, instance.take(order))
    ]
    assert makespans[0] == pytest.approx(makespans[1], rel=1e-12)
