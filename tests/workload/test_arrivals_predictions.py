"""Arrivals and prediction intervals added to an instance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from llmsched_mip.workload import generate, with_arrivals, with_intervals

BACKLOG = generate("azure-conv", 20_000, seed=5)


@pytest.mark.parametrize("cv", [1.0, 1.09, 3.0])
def test_rate_and_variation(cv):
    arrival = with_arrivals(BACKLOG, 5.5, seed=1, cv=cv).requests.arrival_s
    gaps = np.diff(arrival)
    assert arrival[0] == 0
    assert (gaps >= 0).all()
    assert gaps.mean() == pytest.approx(1 / 5.5, rel=4 * cv / np.sqrt(len(gaps)))
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.1)


def test_poisson_gaps_are_exponential():
    gaps = np.diff(with_arrivals(BACKLOG, 5.5, seed=1).requests.arrival_s)
    assert kstest(gaps, "expon", args=(0, 1 / 5.5)).pvalue > 0.01


def test_lengths_do_not_depend_on_the_arrivals():
    plain, timed = generate("azure-conv", 100, 2), generate("azure-conv", 100, 2, rate=3.0, intervals=2.0)
    assert plain.requests.decode_tokens.tolist() == timed.requests.decode_tokens.tolist()
    assert timed.name == "azure-conv-n100-s2-rate3-intervals2"


@given(st.floats(1, 64), st.integers(0, 1000))
def test_intervals_contain_the_length(ratio, seed):
    requests = with_intervals(generate("kv-uniform", seed=seed), ratio, seed).requests
    lower, upper, decode = requests.decode_lower, requests.decode_upper, requests.decode_tokens
    assert (lower >= 1).all()
    assert (lower <= decode).all()
    assert (decode <= upper).all()
    assert (upper <= np.maximum(ratio * lower, decode) + 1e-9).all()


def test_upper_end_is_the_ratio_times_the_lower():
    requests = generate("gsm8k-65b", seed=1, intervals=4).requests
    assert (requests.decode_upper == 4 * requests.decode_lower).all()


def test_ratio_of_one_tells_the_length():
    requests = generate("gsm8k-65b", seed=1, intervals=1).requests
    assert (requests.decode_lower == requests.decode_tokens).all()
    assert (requests.decode_upper == requests.decode_tokens).all()


def test_place_in_the_interval_is_uniform_in_logarithm_and_independent_of_the_length():
    requests = generate("gsm8k-65b", 20_000, seed=3, intervals=4).requests
    decode = requests.decode_tokens
    place = np.log(decode / requests.decode_lower) / np.log(4)
    assert np.histogram(place, bins=10, range=(0, 1))[0] == pytest.approx(np.full(10, 2000), rel=0.12)
    assert abs(np.corrcoef(place, decode)[0, 1]) < 0.03
    capped = decode == 512
    assert len(np.unique(requests.decode_lower[capped])) > 300


def test_intervals_of_another_seed_differ():
    a, b = with_intervals(BACKLOG, 4, 1).requests, with_intervals(BACKLOG, 4, 2).requests
    assert (a.decode_lower != b.decode_lower).mean() > 0.9
