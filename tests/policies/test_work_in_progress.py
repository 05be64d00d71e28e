"""The limit on work in progress: by hand, by laws, and against every fixed number in progress."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from llmsched_mip import Instance, Requests, Worker
from llmsched_mip.execution import replay
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.parts.work_in_progress import WorkInProgress
from llmsched_mip.policies.protocol import Problem, WorkerView
from llmsched_mip.timing import AffinePrefill, DecodeTime
from llmsched_mip.workload import generate


def backlog(prefill, decode, slots=64, token_s=0.01, round_s=0.05, weight=None):
    n = len(prefill)
    requests = Requests([f"r{i}" for i in range(n)], prefill, decode, weight=weight)
    worker = Worker("w", AffinePrefill(0.0, token_s), DecodeTime(round_s, 0.0, 0.0), slots, None)
    return Instance("by hand", requests, (worker,), "total_completion")


def cut_of(instance, active=(), factor=1.0):
    """How many of all that are not active would be prefilled while these are active."""
    problem = Problem.of(instance, "known")
    outlook = Outlook(Estimator(problem.lengths), problem)
    progress = WorkInProgress(problem, outlook, factor)
    view = WorkerView(0, instance.workers[0])
    for i in range(instance.n):
        outlook.arrived(i)
    outlook.started(list(active), view)
    view.started.update(dict.fromkeys(active, 0))
    return progress.cut([i for i in range(instance.n) if i not in active], view), progress, view


@pytest.mark.parametrize(("n", "prefill", "decode"), [(60, 100, 40), (200, 500, 100), (30, 2000, 10)])
def test_like_requests(n, prefill, decode):
    expected = max(1, math.floor(math.sqrt(n * 0.05 * decode / (2 * 0.01 * prefill))))
    instance = backlog([prefill] * n, [decode] * n)
    assert cut_of(instance)[0] == expected
    assert cut_of(instance, active=[0])[0] == expected - 1


def test_without_prefill_time_there_is_no_limit():
    assert cut_of(backlog([5] * 40, [3] * 40, token_s=0.0))[0] == 40


def test_something_is_always_in_progress():
    instance = backlog([10**6] * 5, [1] * 5)
    assert cut_of(instance)[0] == 1
    assert cut_of(instance, active=[4])[0] == 0


def test_weights_of_one_size_and_of_two():
    lengths = [100] * 40, [40] * 40
    assert cut_of(backlog(*lengths, weight=[3.0] * 40))[0] == cut_of(backlog(*lengths))[0]
    # With those in front nine times as heavy as the others: 2 · 9 k · k · 1 s <= (9 · 10 + 30) · 2 s.
    assert cut_of(backlog(*lengths, weight=[9.0] * 10 + [1.0] * 30))[0] == 3


def test_a_stall_is_priced_by_who_waits_for_it():
    _, progress, view = cut_of(backlog([100] * 10, [40] * 10), active=[0, 1])
    assert progress.stall_s([2, 3, 4], view) == pytest.approx(3.0 / 10)
    view.started.clear()
    assert progress.stall_s([2], view) == 0.0


@pytest.mark.parametrize("policy", ["lagrangian", "rolling"])
@pytest.mark.parametrize("lengths", ["known", "unknown"])
def test_no_fixed_number_in_progress_is_much_better(policy, lengths):
    """All numbers of slots are tried without the limit: by fcfs, as all requests are alike."""
    instance = backlog([200] * 60, [30] * 60)
    slots = range(1, 61)
    fixed = [replace(instance, workers=(replace(instance.workers[0], slots=j),)) for j in slots]
    values = [replay(each, "fcfs").measures.total_completion for each in fixed]
    value = replay(instance, policy, lengths=lengths).measures.total_completion
    assert value <= 1.06 * min(values) < 0.8 * values[-1]


def test_where_prefill_takes_long_less_is_in_progress_and_all_end_earlier():
    instance = generate("azure-code", 200, 0).with_objective("total_completion")
    limited = replay(instance, "lagrangian").measures
    for policy in ("machine-time", "svf", "sorted-f", "fcfs"):
        other = replay(instance, policy).measures
        assert limited.total_completion < 0.75 * other.total_completion
        assert limited.kv_peak < other.kv_peak
