"""The start model against enumeration, and the grouping of lengths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip.methods.start_model import EXTRA, PENALTY, LengthClasses, build
from llmsched_mip.solvers.highs import solve_arrays


def enumerate_starts(length, prompt, count, starts, horizon, slots, kv_capacity):
    """Least price of what is left over, by trying all counts of every class at every prefill round."""
    best = np.inf
    per_class = []
    for d, n in zip(length, count, strict=True):
        open_rounds = [k for k, t in enumerate(starts) if t + d <= horizon]
        per_class.append(
            [
                dict(zip(open_rounds, chosen, strict=True))
                for chosen in itertools.product(range(n + 1), repeat=len(open_rounds))
                if sum(chosen) <= n
            ]
        )
    for choice in itertools.product(*per_class):
        price = sum(
            PENALTY * (d + EXTRA) / slots * (n - sum(started.values()))
            for d, n, started in zip(length, count, choice, strict=True)
        )
        if price < best and _fits(choice, length, prompt, starts, horizon, slots, kv_capacity):
            best = price
    return best


def _fits(choice, length, prompt, starts, horizon, slots, kv_capacity):
    """Between two prefill rounds no slot is refilled, and every request counts with the most KV it then holds."""
    for begin, end in itertools.pairwise([*starts, horizon]):
        active, held = 0, 0.0
        for a, started in enumerate(choice):
            for k, x in started.items():
                if starts[k] <= begin < starts[k] + length[a]:
                    active += x
                    held += x * max(
                        prompt[a] + t - starts[k] for t in range(begin, end + 1) if t <= starts[k] + length[a]
                    )
        if active > slots or (kv_capacity is not None and held > kv_capacity):
            return False
    return True


@settings(max_examples=60)
@given(
    requests=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5)), min_size=1, max_size=5),
    later=st.sets(st.integers(1, 7), max_size=2),
    horizon=st.integers(8, 10),
    slots=st.integers(1, 3),
    kv=st.none() | st.integers(8, 20),
)
def test_counts_and_lp_against_enumeration(requests, later, horizon, slots, kv):
    prefill, decode = np.array([p for p, _ in requests]), np.array([d for _, d in requests])
    classes = LengthClasses.of(prefill, decode, 40)
    starts = np.array([0, *sorted(later)])
    best = enumerate_starts(
        classes.length.tolist(), classes.prompt.tolist(), classes.count.tolist(), starts.tolist(), horizon, slots, kv
    )
    counts = solve_arrays(build(classes, starts, horizon, slots, kv, integer=True).arrays, threads=1)
    relaxed = solve_arrays(build(classes, starts, horizon, slots, kv).arrays, threads=1)
    assert counts.value == pytest.approx(best, abs=1e-6)
    assert relaxed.value <= best + 1e-6


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 30)), min_size=1, max_size=25), st.integers(1, 6))
def test_classes_cover_all_requests_with_the_least_rounding(requests, most):
    prefill, decode = np.array([p for p, _ in requests]), np.array([d for _, d in requests])
    classes = LengthClasses.of(prefill, decode, most)
    members = np.concatenate(classes.members)
    assert sorted(members.tolist()) == list(range(len(requests)))
    assert len(classes.length) <= most
    for top, prompt, chosen in zip(classes.length, classes.prompt, classes.members, strict=True):
        assert decode[chosen].max() == top
        assert prefill[chosen].mean() == pytest.approx(prompt)
        assert decode[chosen].tolist() == sorted(decode[chosen].tolist(), reverse=True)
    rounding = sum(
        int((top - decode[chosen]).sum()) for top, chosen in zip(classes.length, classes.members, strict=True)
    )
    lengths = np.unique(decode)
    if len(lengths) <= 9:
        assert rounding == least_rounding(decode, lengths, most)


def least_rounding(decode, lengths, most):
    best = np.inf
    for size in range(1, min(most, len(lengths)) + 1):
        for tops in itertools.combinations(lengths.tolist(), size):
            if tops[-1] == lengths[-1]:
                best = min(best, sum(min(t for t in tops if t >= d) - d for d in decode.tolist()))
    return best


def test_very_many_lengths_are_grouped():
    random = np.random.default_rng(0)
    decode = random.integers(1, 100_000, 4000)
    classes = LengthClasses.of(np.ones(4000, dtype=np.int64), decode, 20)
    assert len(classes.length) <= 20
    assert int(classes.count.sum()) == 4000
    assert classes.length[-1] == decode.max()
