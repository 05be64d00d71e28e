"""Bounds against numbers worked out by hand, and the parts they are made of."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from brute_force import optimum

from llmsched_mip import AffinePrefill, DecodeTime, Instance, LevelPrefill, Requests, Worker
from llmsched_mip.bounds import BOUNDS, best, compute
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.relaxations.limits import Limits, exact_sum
from llmsched_mip.relaxations.prefill_cover import bins_needed, least_prefill


def make(p, d, worker, **columns):
    return Instance("hand", Requests([f"r{i}" for i in range(len(p))], p, d, **columns), (worker,))


def value(name, instance, objective="makespan"):
    bound = BOUNDS[name](instance.with_objective(objective), Budget())
    assert bound is not None
    return bound.value


@pytest.fixture
def three():
    """d = 4, 3, 3 on two slots: area 5, P||Cmax 6 rounds; two prefill iterations at least."""
    worker = Worker("w", AffinePrefill(10.0, 1.0), DecodeTime(2.0, 0.5, 0.25), slots=2)
    return make([1, 2, 3], [4, 3, 3], worker)


def test_one_worker_by_hand(three):
    # vol = 4 + 10, 6 + 6, 9 + 6 = 41; b Σd = 5; c Σvol = 10.25; prefill 2 · 10 + 6 = 26; sum 41.25
    assert value("area", three) == pytest.approx(41.25 + 2 * 5)
    assert value("longest", three) == pytest.approx(41.25 + 2 * 4)
    assert value("mmbpp", three) == pytest.approx(41.25 + 2 * 6)
    # two largest peaks 6 + 5 bound the KV held by 11: ⌈41 / 11⌉ = 4 rounds
    assert value("kv_volume", three) == pytest.approx(41.25 + 2 * 4)
    # alone, r0: 11 + 4 · 2.5 + 0.25 · 14 = 24.5; r1: 12 + 7.5 + 3 = 22.5; r2: 13 + 7.5 + 3.75 = 24.25
    assert value("alone", three) == pytest.approx(24.5)
    assert value("alone", three, "total_completion") == pytest.approx(24.5 + 22.5 + 24.25)
    assert optimum(three, "makespan") == pytest.approx(53.25)
    assert best(compute(three)).name == "mmbpp"


def test_kv_capacity_binds_by_hand():
    worker = Worker("w", AffinePrefill(0.0, 0.0), DecodeTime(1.0), kv_capacity=11)
    instance = make([5] * 4, [2] * 4, worker)
    # p + 1 = 6: one at a time, so 8 rounds; by volume 4 · 13 / 7 (one peak) also gives 8
    assert Limits.of(instance, 0).slots == 1
    assert value("area", instance) == 8.0
    assert value("kv_volume", instance) == 8.0
    assert optimum(instance, "makespan") == 8.0


def test_release_counts_what_is_left_of_earlier_requests():
    # Rounds of 1 s, and 1 s for each request in it.  At 5.5 s the first has begun 3 of its 10: the second runs 10
    # rounds, and 7 + 10 times 1 s come to them.  In truth it joins at 6 s: 7 rounds of 3 s, 3 of 2 s.
    worker = Worker("w", AffinePrefill(0.0, 0.0), DecodeTime(1.0, 1.0))
    instance = make([1, 1], [10, 10], worker, arrival_s=np.array([0.0, 5.5]))
    assert value("release", instance) == pytest.approx(5.5 + 10 + 17)
    assert optimum(instance, "makespan") == 33.0


def test_release_by_hand():
    worker = Worker("w", AffinePrefill(1.0, 0.0), DecodeTime(1.0), slots=1)
    instance = make([1, 1, 1], [1, 2, 3], worker, arrival_s=np.array([0.0, 10.0, 10.0]))
    # from 10 on: two prefill iterations and five rounds
    assert value("release", instance) == 17.0
    assert optimum(instance, "makespan") == 17.0
    assert BOUNDS["release"](make([1], [1], worker).with_objective("makespan"), Budget()) is None


def test_total_completion_is_tight_for_unit_slots():
    # no prefill time, one slot: a single machine, Smith's rule is optimal: 2, 2+3, 2+3+5
    worker = Worker("w", AffinePrefill(0.0, 0.0), DecodeTime(1.0), slots=1)
    instance = make([1, 1, 1], [5, 2, 3], worker)
    assert value("area", instance, "total_completion") == pytest.approx(2 + 5 + 10)
    # Eastman, Even and Isaacs on two machines: 17 / 2 + 10 / 4 = 11
    two = make([1, 1, 1], [5, 2, 3], Worker("w", AffinePrefill(0.0, 0.0), DecodeTime(1.0), slots=2))
    assert value("area", two, "total_completion") == pytest.approx(17 / 2 + 10 / 4)


def test_equal_workers_share_the_work():
    worker = Worker("w0", AffinePrefill(1.0, 0.5), DecodeTime(1.0, 0.1, 0.01), slots=2)
    one = make([3] * 8, [5] * 8, worker)
    both = Instance("hand", one.requests, (worker, Worker("w1", *_parts(worker))))
    # prefill: 24 · 0.5 + 8/2 · 1; decode: 40/2 · 1 + 40 · 0.1 + 0.01 · 8 · 30; halved
    assert value("area", one) == pytest.approx(12 + 4 + 20 + 4 + 2.4)
    assert value("area", both) == pytest.approx((12 + 4 + 20 + 4 + 2.4) / 2)


def _parts(worker):
    return worker.prefill_time, worker.decode_time, worker.slots, worker.kv_capacity, worker.prefill_token_cap


def test_request_that_fits_one_worker_is_charged_there():
    small = Worker("small", AffinePrefill(0.0, 0.0), DecodeTime(1.0), slots=1, kv_capacity=5)
    slow = Worker("slow", AffinePrefill(0.0, 0.0), DecodeTime(10.0), slots=1)
    requests = Requests(["a", "b", "c"], [9, 9, 1], [2, 2, 1])
    instance = Instance("hand", requests, (small, slow))
    assert value("split", instance) >= 40.0 * (1 - 1e-9)
    assert optimum(instance, "makespan") == 40.0


def test_worker_that_fits_nothing_changes_no_bound():
    worker = Worker("w", AffinePrefill(1.0, 0.5), DecodeTime(1.0, 0.1, 0.01), slots=2)
    useless = Worker("u", AffinePrefill(0.0, 0.0), DecodeTime(0.0), kv_capacity=2)
    one = make([3, 4, 5], [4, 2, 2], worker)
    both = Instance("hand", one.requests, (worker, useless))
    for objective in ("makespan", "total_completion"):
        assert (
            best(compute(both.with_objective(objective))).value
            >= 0.8 * best(compute(one.with_objective(objective))).value
        )
        assert best(compute(both.with_objective(objective))).value <= optimum(one, objective) * (1 + 1e-9)


def test_fewer_fit_together_than_their_first_tokens_say():
    # 3 + 3 + 3 <= 10, but when the first completes it holds 5: two at a time, P||Cmax gives 6
    instance = make([2] * 3, [3] * 3, Worker("w", AffinePrefill(0.0, 0.0), DecodeTime(1.0), kv_capacity=10))
    assert Limits.of(instance, 0).slots == 2
    assert value("area", instance) == 5.0
    assert value("mmbpp", instance) == 6.0 == optimum(instance, "makespan")


def test_long_prompts_go_one_at_a_time():
    # the two prompts of 6 cannot be together: 4 + 4 rounds; the short ones fit beside them
    instance = make([6, 6, 1, 1], [4, 4, 1, 1], Worker("w", AffinePrefill(0.0, 0.0), DecodeTime(1.0), kv_capacity=13))
    assert value("area", instance) == 8.0 == optimum(instance, "makespan")


def test_unequal_workers_balance():
    # speeds 1 and 2, ten unit jobs each divisible: T = 10 / (1 + 1/2) in the fluid relaxation
    workers = (
        Worker("fast", AffinePrefill(0.0, 0.0), DecodeTime(1.0), slots=1),
        Worker("slow", AffinePrefill(0.0, 0.0), DecodeTime(2.0), slots=1),
    )
    instance = Instance("hand", Requests([f"r{i}" for i in range(10)], [1] * 10, [1] * 10), workers)
    assert value("split", instance) == pytest.approx(20 / 3, rel=1e-6)


def test_level_cover_needs_integer_iterations():
    # 700 tokens by levels 256 (1 s) and 512 (1.5 s): 512 + 256 is 2.5 s; the fluid cost is 700 · 1.5 / 512
    levels = LevelPrefill((256, 512), (1.0, 1.5))
    instance = make([100] * 7, [1] * 7, Worker("w", levels, DecodeTime(0.0)))
    seconds, proof = least_prefill(Limits.of(instance, 0))
    assert seconds == pytest.approx(2.5)
    assert proof["prefill_levels"] == [1, 1]


def test_level_cover_respects_long_prompts_and_slots():
    levels = LevelPrefill((10, 100), (1.0, 5.0))
    instance = make([50, 1, 1, 1], [1] * 4, Worker("w", levels, DecodeTime(0.0), slots=2))
    # the prompt of 50 needs the high level; four requests in pairs need two iterations
    assert least_prefill(Limits.of(instance, 0))[0] == pytest.approx(6.0)
    assert optimum(instance, "makespan") == pytest.approx(6.0)


def brute_bins(sizes, capacity):
    for count in range(1, len(sizes) + 1):
        for where in itertools.product(range(count), repeat=len(sizes)):
            if np.bincount(where, weights=sizes, minlength=count).max() <= capacity:
                return count
    raise AssertionError


def test_bins_needed_never_above_the_truth():
    rng, tight = np.random.default_rng(3), 0
    for _ in range(80):
        capacity = int(rng.integers(3, 13))
        sizes = rng.integers(1, capacity + 1, int(rng.integers(1, 6)))
        exact, bound = brute_bins(sizes, capacity), bins_needed(sizes, capacity)
        assert bound <= exact
        tight += bound == exact
    assert tight >= 70


def test_exact_sum_does_not_overflow():
    assert exact_sum(np.array([2**61, 2**61, 2**61])) == pytest.approx(3 * 2**61, rel=1e-9)
    assert exact_sum(np.array([3, 4])) == 7


def test_unknown_names_are_refused(three):
    with pytest.raises(InvalidInputError, match="makespan, total_completion"):
        compute(three.with_objective("speed"))
    with pytest.raises(InvalidInputError, match="expected one of alone"):
        compute(three, names=["nonsense"])


def test_stop_ends_early_with_a_bound(three):
    assert len(compute(three, Budget(interrupted=lambda: True))) == 1


def test_no_time_still_gives_bounds(three):
    assert {b.name for b in compute(three, Budget(0.0))} >= {"alone", "area", "longest"}
