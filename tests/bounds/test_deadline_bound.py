"""The bound of few waves: refuted deadlines."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from llmsched_mip import bound, generate
from llmsched_mip.relaxations.time_indexed.coarse_deadline import RoundLimits, Segments
from llmsched_mip.timing import DecodeTime


def unit_instance(prompts, lengths, capacity, workers=1):
    tiny = generate("kv-uniform", len(prompts))
    arrays = {
        "prefill_tokens": np.array(prompts),
        "decode_tokens": np.array(lengths),
        "arrival_s": np.zeros(len(prompts)),
    }
    requests = replace(tiny.requests, **arrays, decode_lower=None, decode_upper=None)
    fleet = [replace(tiny.workers[0], name=f"w{k}", kv_capacity=capacity) for k in range(workers)]
    return replace(tiny, requests=requests, workers=tuple(fleet), objective="makespan")


def fewest_rounds(prompts, lengths, capacity):
    """By all starts."""
    for rounds in range(max(lengths), sum(lengths) + 1):
        for starts in product(*(range(rounds - d + 1) for d in lengths)):
            held = np.zeros(rounds + 1)
            for p, d, s in zip(prompts, lengths, starts, strict=True):
                held[s + 1 : s + d + 1] += p + np.arange(1, d + 1)
            if held.max() <= capacity:
                return rounds
    raise AssertionError


def of(instance):
    return bound(instance, names=["deadline"])["deadline"].value


def test_of_three_that_overflow_at_a_common_end_one_ends_earlier():
    # Two hold 22 at their ends, the third ends when they hold 20 or less: one round before them.
    prompts, lengths = [1, 1, 1], [10, 10, 10]
    assert fewest_rounds(prompts, lengths, 31) == 11
    assert of(unit_instance(prompts, lengths, 31)) == 11


def test_never_above_the_fewest_rounds_and_often_above_volume_and_length():
    rng = np.random.default_rng(5)
    better = 0
    for _ in range(40):
        n = int(rng.integers(2, 4))
        prompts, lengths = rng.integers(1, 4, n).tolist(), rng.integers(3, 9, n).tolist()
        capacity = int(rng.integers(max(p + d for p, d in zip(prompts, lengths, strict=True)), 20))
        value, best = of(unit_instance(prompts, lengths, capacity)), fewest_rounds(prompts, lengths, capacity)
        volume = sum(p * d + d * (d + 1) // 2 for p, d in zip(prompts, lengths, strict=True))
        assert value <= best
        better += value > max(max(lengths), -(-volume // capacity))
    assert better >= 10


def test_two_workers_hold_no_more_than_both():
    prompts, lengths = [1] * 6, [10] * 6
    assert of(unit_instance(prompts, lengths, 31, workers=2)) == 11 == fewest_rounds(prompts[:3], lengths[:3], 31)


def test_slots_alone_need_two_waves():
    family = generate("gsm8k-65b", 400)
    found = bound(family, names=["area", "longest", "deadline"])
    assert found["deadline"].value > 1.3 * max(found["area"].value, found["longest"].value)
    # More than J requests of 512 rounds: two waves of them.
    assert found["deadline"].certificate["rounds"] <= 2 * 512


def test_classes_and_segments_only_lower_it():
    rng = np.random.default_rng(2)
    p, d = rng.integers(20, 120, 300), rng.integers(50, 500, 300)
    limits = RoundLimits.of(p, d, 40_000, 90, 16)
    assert limits.members.sum() == 300 and len(limits.p) == 16
    room = Segments(limits, 900, 20)
    start = rng.integers(0, 900 - limits.d + 1)
    use = room.use(start)
    by_round = np.zeros((16, 900))
    for c in range(16):
        by_round[c, start[c] : start[c] + limits.d[c]] = limits.p[c] + np.arange(1, limits.d[c] + 1)
    assert use[:, : room.number] == pytest.approx(np.add.reduceat(by_round, room.border[:-1], axis=1))
    prices = rng.random((2, room.number))
    paid = use @ np.concatenate(prices)
    least, _ = room.cheapest(prices)
    assert np.all(least <= paid + 1e-9)


def test_long_schedules_are_left_to_the_volume():
    assert "deadline" not in bound(generate("gsm8k-65b", 4000), names=["deadline", "area"])


def test_a_request_that_is_too_long_for_the_slow_worker_goes_to_the_fast_one():
    # Three requests of 10 rounds, one at a time: 10 s each on the fast worker, 100 s on the slow one.  Any makespan
    # below 100 s has all three on the fast one, one after the other, as 11 tokens fit once.
    fast = unit_instance([1, 1, 1], [10, 10, 10], 11)
    slow = replace(fast.workers[0], name="slow", decode_time=DecodeTime(10.0))
    found = bound(replace(fast, workers=(fast.workers[0], slow)), names=["split", "deadline"])
    assert found["deadline"].value == pytest.approx(30)
    assert found["split"].value < 29
