"""The KV cache at ends: by hand, against all sequences of ages, against optima, and against what it extends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from brute_force import optimum
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.bounds import BOUNDS, bound
from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.completion_levels import BLOCKS, Levels, smith, total_completion
from llmsched_mip.relaxations.kv_ends import LEAST_PRICE, KvEnds, prices
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.workload import generate


def rounds_alone(lengths, capacity, objective="makespan"):
    """Requests of these prompts and outputs in rounds of 1 s, prefill free, on one worker."""
    p, d = (list(column) for column in zip(*lengths, strict=True))
    worker = Worker("w", AffinePrefill(0.0, 0.0), DecodeTime(1.0), kv_capacity=capacity)
    return Instance("rounds", Requests([f"r{i}" for i in range(len(p))], p, d), (worker,), objective=objective)


def test_each_of_two_requests_that_fill_the_cache_at_its_end_waits_for_the_other():
    # 2 + 3 + 4 tokens each: 18 token-rounds are 5 rounds of 4 tokens.  But either ends with the cache to itself.
    instance = rounds_alone([(1, 3), (1, 3)], 4)
    found = bound(instance, names=["kv_volume", "kv_ends"])
    assert (found["kv_volume"].value, found["kv_ends"].value) == (5, 6)
    assert optimum(instance, "makespan") == 6


def test_the_sum_of_completions_counts_one_after_the_other():
    instance = rounds_alone([(1, 3), (1, 3), (1, 1)], 4, "total_completion")
    found = BOUNDS["kv_ends"](instance, Budget())
    assert found.value == pytest.approx(3 + 6, rel=0.2)
    assert found.value <= optimum(instance, "total_completion")


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 9), st.sampled_from((0.0, 0.1, 0.7, 3.0, 40.0)), st.integers(40, 80))
def test_the_minimum_is_over_all_sequences_of_ages(prompt, rounds, price, capacity):
    """Against each of the 2^(d - 1) sets of rounds in which others end."""
    least = min(
        sum((b - a + price) * (prompt + b) for a, b in itertools.pairwise((0, *ages, rounds)))
        for size in range(rounds)
        for ages in itertools.combinations(range(1, rounds), size)
    )
    limits = Limits.of(rounds_alone([(prompt, rounds), (1, 1)], capacity), 0)
    expected = max(least / limits.kv - price, 0.0)
    assert KvEnds(limits).rounds(price)[0] == pytest.approx(expected, rel=1e-6, abs=1e-6 * (1 + price))


def test_long_requests_take_the_same_minimum():
    """Against the recursion without an envelope, 300 rounds at prices that cut them into few and many."""
    for price in (0.01, 0.5, 7.0, 300.0):
        least = [0.0]
        for age in range(1, 301):
            least.append(min(least[b] + (age - b + price) * (20 + age) for b in range(age)))
        limits = Limits.of(rounds_alone([(20, 300), (20, 120)], 400), 0)
        expected = np.maximum(np.array([least[300], least[120]]) / limits.kv - price, 0.0)
        assert KvEnds(limits).rounds(price) == pytest.approx(expected, rel=1e-6, abs=1e-6 * (1 + price))


@settings(max_examples=150, deadline=None)
@given(instances(most_requests=4, most_workers=2), st.sampled_from(("makespan", "total_completion")))
def test_no_optimum_is_below(instance, objective):
    found = BOUNDS["kv_ends"](instance.with_objective(objective), Budget())
    assert found is None or found.value <= optimum(instance, objective) * (1 + 1e-9)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 7)), min_size=1, max_size=5),
    st.integers(0, 12),
    st.sampled_from(("makespan", "total_completion")),
)
def test_no_optimum_of_rounds_is_below_where_the_cache_is_small(lengths, room, objective):
    instance = rounds_alone(lengths, max(p + d for p, d in lengths) + room, objective)
    assert BOUNDS["kv_ends"](instance, Budget()).value <= optimum(instance, objective) * (1 + 1e-9)


def test_it_is_the_kv_volume_or_more_and_far_more_for_few_large_requests():
    for family, gain in (("kv-uniform", 1.25), ("mooncake-conv", 1.0)):
        instance = generate(family, 200).with_objective("makespan")
        found = bound(instance, names=["kv_volume", "kv_ends"])
        assert found["kv_ends"].value >= gain * found["kv_volume"].value * (1 - LEAST_PRICE)


def test_no_capacity_no_bound():
    worker = Worker("w", AffinePrefill(0.0, 0.0), DecodeTime(1.0), slots=2)
    instance = Instance("slots", Requests(["a", "b"], [1, 1], [3, 3]), (worker,))
    assert BOUNDS["kv_ends"](instance, Budget()) is None


def weighted_least(work, weight):
    """The least Σ ω C over all orders, where each C is at least the work up to it at every price."""
    n = len(weight)
    return min(
        sum(weight[order[k]] * work[:, list(order[: k + 1])].sum(axis=1).max() for k in range(n))
        for order in itertools.permutations(range(n))
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_levels_are_below_the_best_order_and_above_one_price(seed, equal):
    """Against all orders of seven requests with three prices."""
    rng = np.random.default_rng(seed)
    work, weight = rng.exponential(size=(3, 7)), np.ones(7) if equal else rng.uniform(0.5, 3.0, 7)
    found = total_completion(work, weight)
    assert max(smith(one, weight) for one in work) - 1e-9 <= found <= weighted_least(work, weight) + 1e-9


def test_levels_of_one_price_are_smiths_rule():
    """With one cell for each request, equal weights: the prices ρ make every place of a request as dear as its own."""
    work = np.sort(np.random.default_rng(3).exponential(size=60))[None, :]
    levels = Levels(work, np.ones(60), 60)
    assert levels.value(np.zeros(BLOCKS, dtype=np.int64)) == pytest.approx(smith(work[0], np.ones(60)), rel=1e-9)


def test_levels_see_more_than_one_price():
    instance = generate("kv-uniform", 100).with_objective("total_completion")
    ends = KvEnds(Limits.of(instance, 0))
    work = np.array([ends.rounds(price) for price in prices()])
    assert total_completion(work, np.ones(100)) > 1.02 * max(smith(one, np.ones(100)) for one in work)
