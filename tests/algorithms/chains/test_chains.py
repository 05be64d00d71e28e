"""Chains: what the search counts is what stands in them, every request stands once, plans are feasible and improve."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker, evaluate
from llmsched_mip.algorithms.chains.anneal import Chains, anneal
from llmsched_mip.algorithms.packing import pack
from llmsched_mip.budget import Budget
from llmsched_mip.methods.chains import applies, chain_plans


def backlog(length, slots, round_s=1.0, prefill_s=0.02, kv_capacity=None):
    requests = Requests([f"r{i}" for i in range(len(length))], [3] * len(length), length)
    worker = Worker("w", AffinePrefill(prefill_s, 0.001), DecodeTime(round_s), slots=slots, kv_capacity=kv_capacity)
    return Instance("chains", requests, (worker,))


@pytest.mark.parametrize("seed", range(6))
def test_counts_are_those_of_the_chains(seed):
    random = np.random.default_rng(seed)
    length, slots = random.integers(1, 30, 40), 5
    before = Chains.of(length, pack(length, slots, budget=Budget()).assignment, slots)
    untouched = before.copy()
    found = anneal(before, length, before.rounds + seed, 20_000, Budget(), random)
    for column, same in zip(before, untouched, strict=True):
        assert column.tolist() == same.tolist()
    rows = zip(found.request, found.size, strict=True)
    assert sorted(i for row, size in rows for i in row[:size].tolist()) == list(range(40))
    start = found.start_of(length)
    assert found.rounds == (start + length).max()
    assert found.prefills == len(np.unique(start))
    busy = [np.count_nonzero((start <= t) & (t < start + length)) for t in range(found.rounds)]
    assert max(busy) <= slots
    for c in range(slots):
        members = found.request[c, : found.size[c]]
        assert (found.chain[members] == c).all()
        assert (start[members][1:] >= (start + length)[members][:-1]).all()


def test_two_lengths_that_interleave_need_two_prefill_iterations():
    """Four slots, 3 + 5 rounds in each: longest first and shortest first mixed would start at 0, 3 and 5."""
    length = np.array([3, 5] * 4)
    mixed = Chains.of(length, np.repeat(np.arange(4), 2), 4)
    for c in (0, 1):
        mixed.request[c, :2] = mixed.request[c, 1::-1]
    mixed.starts[5], mixed.starts[3] = 2, 2
    assert (mixed.rounds, mixed.prefills) == (8, 3)
    found = anneal(mixed, length, 8, 20_000, Budget(), np.random.default_rng(0))
    assert (found.rounds, found.prefills) == (8, 2)


def test_plans_repeat_and_each_is_better():
    case = backlog(np.random.default_rng(3).integers(1, 60, 120).tolist(), 12, prefill_s=0.3)
    values = [
        [evaluate(case, plan).measures.makespan for plan in chain_plans(case, Budget(), 7, most_moves=60_000)]
        for _ in range(2)
    ]
    assert values[0] == values[1] == sorted(values[0], reverse=True)
    assert values[0][-1] < values[0][0]
    for plan in chain_plans(case, Budget(), 7, most_moves=60_000):
        assert evaluate(case, plan).violations == []


def test_it_applies_where_slots_bind_and_kv_cannot():
    assert applies(backlog([5, 6, 7], 2))
    assert not applies(backlog([5, 6, 7], 3))
    assert applies(backlog([5, 6, 7], 2, kv_capacity=19))
    assert not applies(backlog([5, 6, 7], 2, kv_capacity=18))
