"""`pack` against brute force and other solvers; every bound against the true optimum."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip import clock
from llmsched_mip.algorithms.packing import Step, pack
from llmsched_mip.algorithms.packing.arcflow import ArcFlow
from llmsched_mip.algorithms.packing.construct import largest_differencing, longest_first, multifit, subset_fill
from llmsched_mip.algorithms.packing.lower_bounds import (
    area_bound,
    counting_bound,
    knapsack_weights_refute,
    large_items_bound,
    longest_bound,
    reachable_bound,
)
from llmsched_mip.algorithms.packing.search import PairSearch
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.solvers import Status

small = st.lists(st.integers(1, 60), min_size=1, max_size=9)


def brute_force(lengths: list[int], bins: int) -> int:
    """Smallest makespan over all assignments, as the set of all multisets of loads that can be made."""
    states = {(0,) * bins}
    for length in lengths:
        states = {
            tuple(sorted((*loads[:k], loads[k] + length, *loads[k + 1 :]))) for loads in states for k in range(bins)
        }
    return min(loads[-1] for loads in states)


def decreasing(lengths: list[int]) -> np.ndarray:
    return np.array(sorted(lengths, reverse=True))


def makespan(lengths: np.ndarray, assignment: np.ndarray) -> int:
    return int(np.bincount(assignment, weights=lengths).max())


def triplets(seed: int, bins: int) -> np.ndarray:
    """Lengths that fill `bins` bins of 1000 exactly, three to a bin."""
    random = np.random.default_rng(seed)
    first = random.integers(380, 490, bins)
    second = np.array([random.integers(max(251, (1000 - a) // 2 - 100), (1000 - a) // 2) for a in first])
    return np.concatenate((first, second, 1000 - first - second))


@settings(max_examples=150, deadline=None)
@given(small, st.integers(1, 5))
def test_pack_is_optimal_and_says_so(lengths: list[int], bins: int) -> None:
    best = brute_force(lengths, bins)
    packing = pack(np.array(lengths), bins)
    assert packing.status == "optimal"
    assert packing.makespan == packing.bound == best == makespan(np.array(lengths), packing.assignment)
    assert packing.assignment.shape == (len(lengths),)
    assert packing.assignment.min() >= 0 and packing.assignment.max() < bins
    assert packing.gap == 0
    assert max(packing.bounds.values()) == packing.bound


@settings(max_examples=200, deadline=None)
@given(small, st.integers(1, 5))
def test_no_bound_exceeds_the_optimum(lengths: list[int], bins: int) -> None:
    best, d = brute_force(lengths, bins), decreasing(lengths)
    assert area_bound(d, bins) <= best
    assert longest_bound(d) <= best
    assert max(area_bound(d, bins), longest_bound(d)) <= counting_bound(d, bins) <= best
    upper = makespan(d, longest_first(d, bins))
    assert large_items_bound(d, bins, upper) <= best
    assert reachable_bound(d, area_bound(d, bins), upper) <= best


@settings(max_examples=100, deadline=None)
@given(small, st.integers(1, 4), st.randoms(use_true_random=False))
def test_weights_refute_only_what_is_infeasible(lengths: list[int], bins: int, random) -> None:  # type: ignore[no-untyped-def]
    best, d = brute_force(lengths, bins), decreasing(lengths)
    weights = np.array([random.randint(0, 9) for _ in lengths])
    for capacity in range(longest_bound(d), best + 3):
        if knapsack_weights_refute(d, bins, capacity, weights):
            assert capacity < best


def test_weights_refute_what_area_does_not() -> None:
    # Five of 6 into two bins of 16: two fit a bin, so weights of 1 give 5 > 2 * 2, while the area 30 fits 32.
    d = np.full(5, 6)
    assert area_bound(d, 2) <= 16
    assert knapsack_weights_refute(d, 2, 16, np.ones(5, dtype=np.int64))
    assert not knapsack_weights_refute(d, 2, 18, np.ones(5, dtype=np.int64))


@settings(max_examples=40, deadline=None)
@given(small, st.integers(1, 4))
def test_the_arc_flow_model_decides_exactly(lengths: list[int], bins: int) -> None:
    best, d = brute_force(lengths, bins), decreasing(lengths)
    for capacity in range(max(longest_bound(d), best - 2), best + 2):
        graph = ArcFlow.build(d, bins, capacity, 10**6)
        assert graph is not None
        status, assignment = graph.solve(Budget(30.0))
        assert (assignment is not None) == (capacity >= best)
        if assignment is None:
            assert status is Status.INFEASIBLE
        else:
            assert makespan(d, assignment) <= capacity
        if graph.refuted_by_lp(Budget(30.0)):
            assert capacity < best


def test_the_arc_flow_lp_refutes_where_the_other_bounds_do_not() -> None:
    lengths = np.sort(np.random.default_rng(0).integers(40, 300, 60))[::-1]
    packing = pack(lengths, 25, budget=Budget(60))
    others = max(value for name, value in packing.bounds.items() if not name.startswith("arc-flow"))
    if packing.makespan > others:
        assert packing.bounds["arc-flow LP"] > others


@pytest.mark.parametrize("construct", [longest_first, largest_differencing])
@given(lengths=small, bins=st.integers(1, 5))
def test_constructions_place_everything(construct, lengths: list[int], bins: int) -> None:  # type: ignore[no-untyped-def]
    d = decreasing(lengths)
    assignment = construct(d, bins)
    assert ((assignment >= 0) & (assignment < bins)).all()
    if construct is longest_first:  # Graham (1969)
        assert makespan(d, assignment) <= (4 / 3 - 1 / (3 * bins)) * brute_force(lengths, bins) + 1e-9


@given(lengths=small, bins=st.integers(1, 5))
def test_multifit_is_within_its_ratio(lengths: list[int], bins: int) -> None:
    d, best = decreasing(lengths), brute_force(lengths, bins)
    found = multifit(d, bins, max(area_bound(d, bins), longest_bound(d)), int(d.sum()) + 1)
    assert found is not None
    assert makespan(d, found) <= 1.22 * best + 1


@given(small, st.integers(1, 5), st.integers(0, 9), st.integers(0, 20))
def test_subset_fill_places_everything(lengths: list[int], bins: int, skeleton: int, more: int) -> None:
    d = decreasing(lengths)
    assignment = subset_fill(d, bins, longest_bound(d) + more, min(skeleton, len(d)))
    assert ((assignment >= 0) & (assignment < bins)).all()


@given(small, st.integers(2, 5))
def test_the_search_never_makes_it_worse(lengths: list[int], bins: int) -> None:
    d = decreasing(lengths)
    start = np.arange(len(d)) % bins
    search = PairSearch(d, start, bins, area_bound(d, bins))
    found = search.run(50, lambda: False)
    assert search.best_makespan == makespan(d, found) <= makespan(d, start)
    assert (np.bincount(search.assignment, weights=d, minlength=bins) == search.loads).all()


@settings(max_examples=50, deadline=None)
@given(small, st.integers(1, 5), st.permutations(range(9)))
def test_the_order_of_the_lengths_changes_nothing(lengths: list[int], bins: int, order: list[int]) -> None:
    d = np.array(lengths)
    one, other = pack(d, bins), pack(d[[k for k in order if k < len(d)]], bins)
    assert (one.makespan, one.bound, one.bounds) == (other.makespan, other.bound, other.bounds)


def gsm8k_lengths(seed: int) -> np.ndarray:
    """1319 lengths: 54.7 % at 512, the rest log-normal (mean 143, std 60) below 512."""
    random = np.random.default_rng(seed)
    variance = np.log1p((60 / 143) ** 2)
    drawn = np.rint(random.lognormal(np.log(143) - variance / 2, np.sqrt(variance), 2000)).astype(np.int64)
    short = drawn[(drawn >= 1) & (drawn < 512)][:1319]
    return np.where(random.random(1319) < 0.547, 512, short)


def test_full_size_is_proven_in_seconds() -> None:
    seconds = []
    for seed in range(5):
        packing = pack(gsm8k_lengths(seed), 200, budget=Budget(5))
        seconds.append(packing.seconds)
        assert packing.makespan - packing.bound <= 1
        if seed != 1:
            assert packing.status == "optimal"
    assert np.median(seconds) < 1


@pytest.mark.parametrize("seed", range(3))
def test_triplets_are_solved(seed: int) -> None:
    packing = pack(triplets(seed, 15), 15, budget=Budget(60))
    assert (packing.status, packing.makespan) == ("optimal", 1000)


@pytest.mark.parametrize(
    ("lengths", "bins", "best"),
    [
        ([5], 3, 5),
        ([5, 4], 7, 5),
        ([5, 4, 3], 1, 12),
        ([7] * 1000, 30, 34 * 7),
        ([2**31 - 1] * 7, 3, 3 * (2**31 - 1)),
        ([1] * 10, 10, 1),
        ([3, 3, 2, 2, 2], 2, 6),
    ],
)
def test_corner_cases(lengths: list[int], bins: int, best: int) -> None:
    packing = pack(np.array(lengths), bins)
    assert (packing.makespan, packing.status) == (best, "optimal")


def test_large_inputs_need_little_work() -> None:
    lengths = np.random.default_rng(0).integers(1, 2000, 300_000)
    with clock.counting():
        packing = pack(lengths, 256, budget=Budget(20))
    assert packing.status == "optimal"
    assert packing.seconds < 20


def test_the_time_limit_holds_and_a_plan_comes_back() -> None:
    lengths = np.random.default_rng(1).integers(1, 100_000, 1000)
    with clock.counting():
        packing = pack(lengths, 450, budget=Budget(1.0))
    assert packing.seconds < 1.1
    assert packing.bound <= packing.makespan == makespan(lengths, packing.assignment)
    assert (packing.status == "optimal") == (packing.bound == packing.makespan)


def test_the_log_is_the_trace_and_only_improves() -> None:
    steps: list[Step] = []
    packing = pack(gsm8k_lengths(3), 200, log=steps.append)
    assert steps == packing.trace
    assert [s.makespan for s in steps] == sorted((s.makespan for s in steps), reverse=True)
    assert [s.bound for s in steps] == sorted(s.bound for s in steps)
    assert steps[-1].makespan == packing.makespan


def test_stop_keeps_the_best() -> None:
    lengths = np.random.default_rng(1).integers(1, 100_000, 200)
    packing = pack(lengths, 90, budget=Budget(interrupted=lambda: True))
    assert packing.interrupted
    assert packing.makespan == makespan(lengths, packing.assignment)


def test_ctrl_c_keeps_the_best() -> None:
    lengths = np.random.default_rng(1).integers(1, 100_000, 1000)
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        packing = pack(lengths, 450, budget=Budget(600))
    finally:
        timer.cancel()
    assert packing.interrupted
    assert packing.makespan == makespan(lengths, packing.assignment)


def test_ctrl_c_inside_the_solver_ends_the_packing() -> None:
    # At 2.5 s this one is in its arc-flow models, whose driver takes the interrupt.
    lengths = np.random.default_rng(0).integers(1, 3000, 120)
    timer = threading.Timer(2.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        packing = pack(lengths, 48, budget=Budget(600))
    finally:
        timer.cancel()
    assert packing.interrupted


@pytest.mark.parametrize(
    ("lengths", "bins", "field"),
    [
        ([], 1, "lengths"),
        ([3, 0], 1, r"lengths\[1\]"),
        ([1.5], 1, "lengths"),
        ([[1]], 1, "lengths"),
        ([1], 0, "bins"),
    ],
)
def test_bad_input_is_named(lengths: list, bins: int, field: str) -> None:
    with pytest.raises(InvalidInputError, match=field):
        pack(lengths, bins)
