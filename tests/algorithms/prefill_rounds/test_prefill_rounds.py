"""Prefill rounds: what the search counts is what stands there, a tiny case is solved, plans are feasible."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker, evaluate
from llmsched_mip.algorithms.prefill_rounds.anneal import Cooling, _change_chains, _Draft, _stage, anneal
from llmsched_mip.algorithms.prefill_rounds.state import HORIZON, Backlog, chains_from, chains_of
from llmsched_mip.budget import Budget
from llmsched_mip.methods.prefill_rounds import applies, prefill_round_plans


def case_of(length, slots, kv_capacity=None, prefill_s=0.5):
    requests = Requests([f"r{i}" for i in range(len(length))], [3] * len(length), length)
    worker = Worker("w", AffinePrefill(prefill_s, 0.001), DecodeTime(1.0), slots=slots, kv_capacity=kv_capacity)
    return Instance("rounds", requests, (worker,))


def backlog_of(random, n=30):
    length, prompt = random.integers(1, 25, n), random.integers(1, 9, n)
    return Backlog(prompt, length, 5, 70, 10.0)


def counted(b, s):
    """Starts, ends, starts by round, KV tokens by round: one chain after the other, by the definition."""
    far = len(s.open)
    used, kv, start, ends = [0] * far, [0] * far, {}, []
    for requests, size in zip(s.request.tolist(), s.size.tolist(), strict=True):
        now = 0
        for i in requests[:size]:
            while not s.open[now]:
                now += 1
            start[i] = now
            used[now] += 1
            for k in range(int(b.length[i])):
                kv[now + k] += int(b.prompt[i]) + k + 1
            now += int(b.length[i])
        ends.append(now)
    return [start[i] for i in range(len(b.length))], ends, used, kv


def assert_counted(b, s):
    start, ends, used, kv = counted(b, s)
    assert s.start_round.tolist() == start
    assert s.end.tolist() == ends and s.rounds == max(ends)
    assert s.used.tolist() == used and s.prefills == sum(count > 0 for count in used)
    assert s.kv.tolist() == kv
    late = sum(max(0, end - int(s.totals[HORIZON])) for end in ends)
    assert s.totals[1:].tolist() == [late, sum(max(0, held - b.kv_capacity) for held in kv)]
    for i, (c, k) in enumerate(zip(s.chain.tolist(), s.place.tolist(), strict=True)):
        assert s.request[c, k] == i
    assert sorted(s.request[c, k] for c in range(b.slots) for k in range(s.size[c])) == list(range(len(b.length)))


@pytest.mark.parametrize("moves", [0, 50, 700, 20_000])
@pytest.mark.parametrize("share", [0.0, 0.2])
def test_what_is_counted_on_the_way_is_what_stands_there(moves, share):
    random = np.random.default_rng(moves)
    b = backlog_of(random)
    before = chains_of(b, 1.1, 4, random)
    untouched = before.copy()
    cooling = Cooling(20.0, 5.0, 4.0, (1.3, 3.0), (3.0, 9.0), moves, share, 1)
    s = before.copy()
    other, rank = s.beside(), np.argsort(np.argsort(b.length, kind="stable"))
    draft = _Draft.of(s)
    limits = (cooling.hot, share, 24, (4.0, 1.3, 3.0 * 5 / 70))
    for _ in range(3):
        _stage(b, s, other, draft, (np.argsort(b.length, kind="stable"), rank), limits, moves, random)
        assert_counted(b, s)
    anneal(b, before, cooling, Budget(), random)
    for column, same in zip(before, untouched, strict=True):
        assert column.tolist() == same.tolist()


def test_changes_of_chains_alone_keep_every_count():
    random = np.random.default_rng(3)
    b = backlog_of(random)
    s = chains_of(b, 1.1, 4, random)
    by_length = np.argsort(b.length, kind="stable")
    lists, draft, price = (by_length, np.argsort(by_length, kind="stable")), _Draft.of(s), 0.5
    changed = 0
    for _ in range(3000):
        before = s.request.copy()
        _change_chains(b, s, draft, lists, (2.0, 1.3, price), 30.0 * random.random(), random)
        if (before != s.request).any():
            changed += 1
            assert_counted(b, s)
    assert changed > 300


@pytest.mark.parametrize("kv_capacity", [9, 30])
def test_the_search_finds_the_least_of_a_tiny_case_that_no_wait_for_kv_cache_makes(kv_capacity):
    length, slots, prefill = [2, 3, 4, 5, 1], 2, 3
    b = Backlog(np.ones(5, dtype=np.int64), np.array(length), slots, kv_capacity, float(slots * prefill))
    least = min(
        max(start + d for start, d in zip(starts, length, strict=True)) + prefill * len(set(starts))
        for starts in product(range(9), repeat=5)
        if fits(starts, length, slots, kv_capacity)
    )
    values = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        cooling = Cooling(8.0, 0.3, 2.0, (1.3, 50.0), (5.0, 50.0), 60_000, 0.2)
        found = anneal(b, chains_of(b, 1.1, 3, random), cooling, Budget(), random)
        assert not found.fits or fits(found.start_round.tolist(), length, slots, kv_capacity)
        values.append(found.rounds + prefill * found.prefills if found.fits else np.inf)
    # No chain waits longer than until the next open round, as the least may have to where KV cache is short.
    assert min(values) >= least
    assert kv_capacity == 9 or min(values) == least


@pytest.mark.parametrize("seed", range(3))
def test_chains_of_given_starts_start_there_or_earlier(seed):
    random = np.random.default_rng(seed)
    b = backlog_of(random)
    s = chains_of(b, 1.1, 4, random)
    again = chains_from(b, s.start_round)
    assert_counted(b, again)
    assert (again.start_round <= s.start_round).all() and again.rounds <= s.rounds and again.prefills <= s.prefills


def fits(starts, length, slots, kv_capacity):
    """Slots and KV tokens (prompts of one token), round by round."""
    for t in range(max(starts) + max(length)):
        ages = [t - start + 1 for start, d in zip(starts, length, strict=True) if start <= t < start + d]
        if len(ages) > slots or sum(1 + age for age in ages) > kv_capacity:
            return False
    return True


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
