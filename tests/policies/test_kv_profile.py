"""KVProfile against a profile that is computed anew, round by round."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip.policies.parts.kv_profile import KVProfile


def held(active, round_):
    """KV tokens in a round: every request that has started and not finished holds p + rounds since its start."""
    return sum(p + round_ - start for start, p, length in active if start < round_ <= start + length)


def fits(active, candidate, now):
    """Whether the KV cache holds in every coming round when the candidate starts."""
    together = [*active, candidate]
    last = max(start + length for start, _, length in together)
    return all(held(together, t) <= fits.capacity for t in range(now + 1, last + 1))


@settings(max_examples=500)
@given(
    capacity=st.integers(5, 80),
    steps=st.lists(
        st.tuples(st.sampled_from("aaaardt"), st.integers(1, 12), st.integers(1, 15), st.integers(0, 9)), max_size=40
    ),
)
def test_admits_what_a_round_by_round_profile_admits(capacity, steps):
    fits.capacity = capacity
    profile, active, now = KVProfile(capacity), {}, 0
    for number, (kind, prompt, length, choice) in enumerate(steps):
        if kind == "a":
            candidate = (now, prompt, length)
            admitted = profile.admits(*candidate)
            assert admitted == fits(list(active.values()), candidate, now)
            if admitted:
                profile.add(number, *candidate)
                active[number] = candidate
        elif kind == "r" and active:
            gone = sorted(active)[choice % len(active)]
            profile.remove(gone)
            del active[gone]
        elif kind == "t":
            for gone in sorted(active)[-(1 + choice) :]:
                profile.remove(gone)
                del active[gone]
        elif kind == "d":
            now += choice
            overdue = profile.overdue(now)
            assert sorted(overdue) == sorted(i for i, (s, _, n) in active.items() if s + n <= now)
            for i in overdue:
                profile.remove(i)
                del active[i]
        assert len(profile) == len(active)
    profile.remove(10**6)
    assert len(profile) == len(active)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_requests_over_the_capacity_already(requests):
    """Estimates that were raised may overflow: then nothing that is there at the overflow is admitted."""
    profile = KVProfile(10)
    for i, (prompt, length) in enumerate(requests):
        profile.add(i, 0, prompt, length)
    fits.capacity = 10
    active = [(0, p, n) for p, n in requests]
    overflow = any(held(active, t) > 10 for t in range(1, 10))
    if overflow:
        first = min(t for t in range(1, 10) if held(active, t) > 10)
        assert not profile.admits(0, 1, first)


@pytest.mark.parametrize("sync", [False, True])
def test_grows_past_its_first_table(sync):
    profile = KVProfile(10**9)
    for i in range(1500):
        profile.add(i, 0, 1, 1 + i % 700)
        if sync:
            assert profile.overdue(0) == []
    assert len(profile) == 1500
    for i in range(0, 1500, 2):
        profile.remove(i)
        if sync:
            assert len(profile.overdue(10**6)) == len(profile)
    assert sorted(profile.overdue(10**6)) == list(range(1, 1500, 2))
    assert sorted(profile.overdue(3)) == [1, 701, 1401]


def test_a_retracted_request_leaves_nothing_behind():
    """Capacity 10: two requests of 2 + 3 tokens fill it; one is taken out and put back between checks."""
    profile = KVProfile(10)
    profile.add(0, 0, 2, 3)
    profile.add(1, 0, 2, 3)
    for _ in range(3):
        assert not profile.admits(0, 1, 3)
        profile.remove(1)
        assert profile.admits(0, 2, 3) and not profile.admits(0, 3, 3)
        profile.add(1, 0, 2, 3)
        profile.remove(1)
        profile.add(1, 0, 2, 3)
    assert len(profile) == 2
