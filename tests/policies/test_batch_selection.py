"""Selections of a batch of least F: the exact program against all subsets, the others against it."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.parts.batch_selection import SELECTIONS, exact, quantile, scaled, swap
from llmsched_mip.workload import generate


@st.composite
def cases(draw):
    n = draw(st.integers(1, 8))
    capacity = draw(st.integers(5, 40))
    weights = draw(st.lists(st.integers(1, capacity), min_size=n, max_size=n))
    lengths = draw(st.lists(st.integers(1, 20), min_size=n, max_size=n))
    return np.array(weights), np.array(lengths), capacity, draw(st.integers(1, n))


def ratio(lengths, batch):
    return Fraction(int(sum(lengths[i] for i in batch)), len(batch) ** 2)


def least(weights, lengths, capacity, most):
    n = len(weights)
    subsets = chain.from_iterable(combinations(range(n), m) for m in range(1, most + 1))
    fitting = [s for s in subsets if sum(weights[i] for i in s) <= capacity]
    best = min(ratio(lengths, s) for s in fitting)
    return best, max(len(s) for s in fitting if ratio(lengths, s) == best)


@settings(max_examples=300)
@given(cases())
def test_exact_program_against_all_subsets(case):
    lengths = case[1]
    batch = exact(*case)
    assert (ratio(lengths, batch), len(batch)) == least(*case)


@pytest.mark.parametrize("name", SELECTIONS)
@settings(max_examples=150)
@given(case=cases())
def test_every_selection_fits_and_is_not_below_the_least(name, case):
    weights, lengths, capacity, most = case
    batch = SELECTIONS[name](*case)
    assert 1 <= len(batch) <= most and len(set(batch.tolist())) == len(batch)
    assert weights[batch].sum() <= capacity
    assert ratio(lengths, batch) >= least(*case)[0]
    if name in ("auto", "scaled"):
        assert ratio(lengths, batch) == least(*case)[0]


def test_heuristics_are_near_on_a_mixture():
    requests = generate("mixture", 400, 1).requests
    weights, lengths = requests.prefill_tokens + requests.decode_tokens, requests.decode_tokens
    capacity, values = 4_096, {}
    small = np.arange(80)
    for name, select in (("exact", exact), ("scaled", scaled), ("swap", swap), ("quantile", quantile)):
        batch = small[select(weights[small], lengths[small], capacity, 80)]
        values[name] = ratio(lengths, batch)
    assert values["exact"] <= min(values.values())
    for name in ("scaled", "swap", "quantile"):
        assert values[name] <= Fraction(11, 10) * values["exact"]


def test_exact_refuses_what_is_too_large():
    with pytest.raises(InvalidInputError, match="is for small cases"):
        exact(np.full(1000, 5), np.full(1000, 4), 16_492, 1000)
