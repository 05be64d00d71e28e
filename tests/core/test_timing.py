"""Closed forms of timing against sums over single rounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched_mip.timing import (
    AffinePrefill,
    DecodeTime,
    LevelPrefill,
    conserved_seconds,
    request_kv_peak,
    request_kv_volume,
    rounds_within_kv,
    run_kv_peak,
    run_kv_volume,
    varying_seconds,
    weighted_tail_seconds,
)

COUNT = st.integers(0, 60)
COEFFICIENT = st.floats(0, 3, allow_subnormal=False)


@given(COEFFICIENT, COEFFICIENT, COEFFICIENT, COUNT, st.integers(0, 20), COUNT)
def test_run_is_the_sum_of_its_rounds(a, b, c, rounds, active, kv_before):
    decode = DecodeTime(a, b, c)
    held = [kv_before + j * active for j in range(1, rounds + 1)]
    assert run_kv_volume(rounds, active, kv_before) == sum(held)
    assert run_kv_peak(rounds, active, kv_before) == (held[-1] if held else kv_before)
    single = [a + b * active + c * kv for kv in held]
    assert decode.run_seconds(rounds, active, kv_before) == pytest.approx(math.fsum(single), rel=1e-12)
    for kv, seconds in zip(held, single, strict=True):
        assert decode.round_seconds(active, kv) == pytest.approx(seconds, rel=1e-15)


@given(st.integers(1, 50), st.integers(1, 50))
def test_request_volume_and_peak(p, d):
    assert request_kv_volume(p, d) == sum(p + k for k in range(1, d + 1))
    assert request_kv_peak(p, d) == p + d
    assert request_kv_volume(np.array([p]), np.array([d])).tolist() == [request_kv_volume(p, d)]


@given(st.integers(1, 9), st.integers(0, 60), st.integers(0, 60))
def test_rounds_within_kv_is_the_last_that_fits(active, kv_before, room):
    capacity = kv_before + room
    rounds = rounds_within_kv(active, kv_before, capacity)
    assert run_kv_peak(rounds, active, kv_before) <= capacity < run_kv_peak(rounds + 1, active, kv_before)


@given(st.floats(0.01, 2), COEFFICIENT, COEFFICIENT, st.integers(1, 20), COUNT, st.floats(0.001, 5000))
def test_rounds_to_pass_is_the_first_that_reaches(a, b, c, active, kv_before, seconds):
    decode = DecodeTime(a, b, c)
    rounds = decode.rounds_to_pass(seconds, active, kv_before)
    assert decode.run_seconds(rounds, active, kv_before) >= seconds
    assert rounds == 1 or decode.run_seconds(rounds - 1, active, kv_before) < seconds


def test_rounds_to_pass_no_time_and_never():
    assert DecodeTime(1.0).rounds_to_pass(0.0, 3, 4) == 1
    assert DecodeTime(0.0).rounds_to_pass(1.0, 3, 4) == 2**62


def test_levels():
    levels = LevelPrefill((4, 8), (1.0, 2.5))
    assert [levels.seconds(t) for t in (0, 1, 4, 5, 8, 9)] == [1.0, 1.0, 1.0, 2.5, 2.5, math.inf]
    assert levels.seconds(np.array([1, 4, 5, 8, 9])).tolist() == [1.0, 1.0, 2.5, 2.5, math.inf]
    assert levels.max_tokens == 8
    assert AffinePrefill(0.5, 0.25).seconds(np.array([0, 2])).tolist() == [0.5, 1.0]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=6), st.data())
def test_conserved_and_varying_work_make_the_time_of_any_order(lengths, data):
    """The identity of docs/problem.md section 2, on a schedule simulated round by round."""
    p, d = (np.array(column) for column in zip(*lengths, strict=True))
    prefill, decode = AffinePrefill(0.7, 0.11), DecodeTime(1.3, 0.21, 0.017)
    waiting, active, now, rounds, prefills = list(range(len(p))), {}, 0.0, 0, 0
    while waiting or active:
        if waiting and (not active or data.draw(st.booleans())):
            size = data.draw(st.integers(1, len(waiting)))
            now += 0.7 + 0.11 * sum(int(p[i]) for i in waiting[:size])
            active.update((i, 0) for i in waiting[:size])
            waiting, prefills = waiting[size:], prefills + 1
        active = {i: k + 1 for i, k in active.items()}
        now += 1.3 + 0.21 * len(active) + 0.017 * sum(int(p[i]) + k for i, k in active.items())
        active = {i: k for i, k in active.items() if k < d[i]}
        rounds += 1
    identity = conserved_seconds(prefill, decode, p, d) + varying_seconds(prefill, decode, rounds, prefills)
    assert identity == pytest.approx(now, rel=1e-12)


@given(COEFFICIENT, COEFFICIENT, COEFFICIENT, COEFFICIENT, st.integers(1, 30), st.integers(1, 30))
def test_weighted_tail_is_its_sum(a, b, c, share_of_kv, p, d):
    decode, share = DecodeTime(a, b, c), DecodeTime(0.3, 0.0, share_of_kv)
    rounds = [a + b + c * (p + k) for k in range(1, d + 1)]
    expected = math.fsum(
        (0.3 + share_of_kv * (p + k)) * (rounds[k - 1] / 2 + math.fsum(rounds[k:])) for k in range(1, d + 1)
    )
    found = weighted_tail_seconds(share, decode, np.array([p]), np.array([d]))
    assert found[0] == pytest.approx(expected, rel=1e-9)
