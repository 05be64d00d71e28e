"""Rounds to wait by the KV profile against trying every start, and the policies that use it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip.policies.parts.kv_profile import KVProfile

REQUESTS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9), st.integers(1, 12)), min_size=1, max_size=6)


@settings(max_examples=400)
@given(REQUESTS, st.integers(1, 12), st.integers(1, 12), st.integers(0, 4), st.integers(0, 30))
def test_least_wait_before_the_next_finish(active, prompt, length, margin, spare):
    now = 6
    running = [(s, p, now - s + d) for s, p, d in active]
    peak = max(sum(p + t - s for s, p, d in running if s + d >= t) for t in range(now, now + 13))
    profile = KVProfile(peak + spare)
    for i, (s, p, d) in enumerate(running):
        profile.add(i, s, p, d)
    next_finish = min(s + d for s, _, d in running)

    def fits(start):
        return all(
            sum(p + t - s for s, p, d in running if s + d >= t) + prompt + t - start + margin <= peak + spare
            for t in range(start + 1, start + length + 1)
        )

    waits = [k for k in range(1, next_finish - now) if fits(now + k)]
    assert profile.rounds_to_wait(now, prompt, length, margin) == (waits[0] if waits else None)
