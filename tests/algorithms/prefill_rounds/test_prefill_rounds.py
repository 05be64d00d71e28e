"""Prefill rounds: what the search counts is what stands in them, no penalty means feasible, plans are feasible."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker, evaluate
from llmsched_mip.algorithms.prefill_rounds.anneal import Backlog, Cooling, Points, _change_points, anneal, recount
from llmsched_mip.budget import Budget
from llmsched_mip.methods.prefill_rounds import applies, prefill_round_plans


def case_of(length, slots, kv_capacity=None, prefill_s=0.5):
    requests = Requests([f"r{i}" for i in range(len(length))], [3] * len(length), length)
    worker = Worker("w", AffinePrefill(prefill_s, 0.001), DecodeTime(1.0), slots=slots, kv_capacity=kv_capacity)
    return Instance("rounds", requests, (worker,))


def backlog_of(random, n=30):
    length, prompt = random.integers(1, 25, n), random.integers(1, 9, n)
    return Backlog(prompt, length, 5.0, 90.0, 10.0)


def held(b, points):
    """Requests and KV tokens of every round, by counting."""
    first, rounds = points.start_round, int((points.start_round + b.length).max())
    inside = [(first <= t) & (t < first + b.length) for t in range(rounds)]
    return (
        [int(on.sum()) for on in inside],
        [int((b.prompt + t + 1 - first)[on].sum()) for t, on in enumerate(inside)],
    )


@pytest.mark.parametrize("seed", range(8))
def test_no_penalty_means_that_slots_and_kv_are_kept(seed):
    random = np.random.default_rng(seed)
    b = backlog_of(random)
    before = Points.of(np.append(np.arange(0, 200, 9), 220), random.integers(0, 15, 30))
    untouched = before.copy()
    found = anneal(b, before, Cooling(20.0, 0.5, 4.0, (3.0, 30.0), 60_000), Budget(), random)
    for column, same in zip(before, untouched, strict=True):
        assert column.tolist() == same.tolist()
    assert (np.diff(found.time) > 0).all() and found.time[0] == 0
    again = Points.of(found.time, found.start)
    assert recount(b, again) == pytest.approx(0.0, abs=1e-9)
    assert again.used.tolist() == np.bincount(found.start, minlength=len(found.used)).tolist()
    active, kv = held(b, found)
    assert max(active) <= 5 and max(kv) <= 90
    assert (found.start_round + b.length).max() <= found.time[-1]


def test_changed_points_stay_in_order_and_jumps_keep_starts():
    random = np.random.default_rng(5)
    b = backlog_of(random)
    s = Points.of(np.append(np.arange(0, 120, 8), 140), random.integers(0, 10, 30))
    recount(b, s)
    changed = 0
    for _ in range(4000):
        other = s.copy()
        if not _change_points(b, s, other, 24, random):
            continue
        changed += 1
        assert (np.diff(other.time) > 0).all() and other.time[0] == 0
        assert other.start.min() >= 0 and other.start.max() < len(other.used)
        if other.time[-1] == s.time[-1] and len(np.setdiff1d(s.time, other.time)) == 1:
            gone = int(np.setdiff1d(s.time, other.time)[0])
            if abs(np.setdiff1d(other.time, s.time) - gone)[0] > 4:
                assert other.start_round.tolist() == s.start_round.tolist()
    assert changed > 1000


@pytest.mark.parametrize("kv_capacity", [None, 150])
def test_plans_repeat_are_feasible_and_each_is_better(kv_capacity):
    case = case_of(np.random.default_rng(3).integers(1, 40, 80).tolist(), 10, kv_capacity)
    runs = []
    for _ in range(2):
        plans = list(prefill_round_plans(case, Budget(), 7, most_runs=5, moves=60_000))
        evaluations = [evaluate(case, plan) for plan in plans]
        assert plans and all(evaluation.feasible for evaluation in evaluations)
        runs.append([evaluation.measures.makespan for evaluation in evaluations])
    assert runs[0] == runs[1] == sorted(runs[0], reverse=True)


def test_where_it_applies():
    assert applies(case_of([3, 4, 5], 2))
    assert not applies(case_of([3, 4, 5], 3))
    assert not applies(case_of([3, 4, 5], None, 50))
