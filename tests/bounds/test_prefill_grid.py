"""The bound on rounds against prefill iterations: its two counts by brute force, a case by hand, random plans."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, combinations_with_replacement, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker, evaluate, generate
from llmsched_mip.bounds.prefill_grid import RoundedUp, pairs, prefill_grid
from llmsched_mip.budget import Budget
from llmsched_mip.methods import Search
from llmsched_mip.methods.lists import list_schedules


@given(st.lists(st.integers(1, 12), min_size=1, max_size=9), st.integers(1, 9))
def test_rounded_up_to_few_values(requests, values):
    """Against every choice of values."""
    lengths, counts = np.unique(requests, return_counts=True)
    rounded = RoundedUp(lengths, counts)
    choices = [
        chosen
        for size in range(1, min(values, len(lengths)) + 1)
        for chosen in combinations(lengths.tolist(), size)
        if chosen[-1] == lengths[-1]
    ]
    expected = min(sum(min(v for v in chosen if v >= d) for d in requests) for chosen in choices)
    assert rounded.total(values) == expected


@pytest.mark.parametrize("longest", [2, 3])
@pytest.mark.parametrize("iterations", [2, 3, 4])
def test_pairs_that_are_near(iterations, longest):
    """Against all places of prefill iterations that leave no round without somebody active."""
    for end in range(1, iterations * longest + 1):
        found = 0
        for middle in combinations_with_replacement(range(end + 1), iterations - 1):
            times = (0, *middle, end)
            if all(b - a <= longest for a, b in pairwise(times)):
                found = max(found, sum(b - a < longest for a, b in combinations(times, 2)))
        assert found <= pairs(iterations, end // longest + 1)


def instance(lengths, slots, base_s):
    worker = Worker("w", AffinePrefill(base_s, 0.0), DecodeTime(1.0, 0.0, 0.0), slots, None, None)
    n = len(lengths)
    return Instance("hand", Requests([f"r{i}" for i in range(n)], np.ones(n, dtype=int), np.array(lengths)), (worker,))


def test_by_hand():
    """Two slots, lengths 1, 3, 1, 3, and an iteration costs ten rounds: all that is known is two iterations for four
    requests on two slots.  The prefill iterations are at 0, t and the end.  Two differences at most are below 3, so
    three values, which are enough for no loss: four rounds and two iterations, 24 s, and a plan needs no more."""
    bound = prefill_grid(instance([1, 3, 1, 3], 2, 10.0), Budget())
    assert bound.value == 24.0
    # Lengths 1 to 8 on four slots: two iterations leave three near pairs; four values lose 8 slot-rounds or more.
    cheap, dear = (prefill_grid(instance(range(1, 9), 4, base), Budget()) for base in (1e-6, 100.0))
    assert cheap.certificate["rounds"] == 9
    assert dear.certificate["prefill_iterations"] == 2 and dear.certificate["rounds"] == 10


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=40), st.integers(1, 6), st.sampled_from([0.1, 1.0, 5.0]))
def test_below_plans(lengths, slots, base_s):
    case = instance(lengths, slots, base_s)
    bound = prefill_grid(case, Budget())
    search = Search(case, 60.0)
    list_schedules(search)
    assert bound.value <= evaluate(case, search.plan).measures.makespan * (1 + 1e-9)


def test_it_sees_the_trade():
    """gsm8k-opt66b-a100: more than slots and iterations alone by more than 0.1 %; scaled with all times."""
    case = generate("gsm8k-opt66b-a100", 1319, 0)
    bound = prefill_grid(case, Budget())
    assert bound.value > 262.4 and bound.certificate["prefill_iterations"] > 7
    worker = case.workers[0]
    decode = DecodeTime(*(8 * x for x in (worker.decode_time.base_s, worker.decode_time.per_sequence_s,
                                          worker.decode_time.per_kv_token_s)))  # fmt: skip
    prefill = AffinePrefill(8 * worker.prefill_time.fixed_seconds, 8 * worker.prefill_time.per_token_s)
    slower = replace(case, workers=(replace(worker, prefill_time=prefill, decode_time=decode),))
    assert prefill_grid(slower, Budget()).value == pytest.approx(8 * bound.value, rel=1e-12)


def test_where_it_does_not_apply():
    case = generate("gsm8k-small", 8, 0)
    assert prefill_grid(case.with_objective("total_completion"), Budget()) is None
    assert prefill_grid(generate("kv-uniform", 8, 0).with_objective("makespan"), Budget()) is None
