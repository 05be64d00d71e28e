"""Statistics of reports against values computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched_mip.report.statistics import (
    deviation,
    gap_steps,
    mean,
    paired,
    performance_profile,
    performance_ratios,
    primal_dual_integral,
    shifted_geometric_mean,
)

NAN = float("nan")


def test_the_shifted_geometric_mean_by_hand():
    assert shifted_geometric_mean([0.0, 3.0], 1.0) == pytest.approx(1.0)  # sqrt(1 · 4) - 1
    assert shifted_geometric_mean([1.0, 8.0, NAN], 0.0) == pytest.approx(math.sqrt(8))
    assert math.isnan(shifted_geometric_mean([], 1.0))
    assert math.isnan(shifted_geometric_mean([-2.0], 1.0))


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 100))
def test_a_shifted_geometric_mean_lies_between_least_and_mean(values, shift):
    found = shifted_geometric_mean(values, shift)
    scale = max(values) + shift
    assert min(values) - 1e-9 * scale <= found <= np.mean(values) + 1e-9 * scale


def test_performance_ratios_by_hand():
    ratios = performance_ratios(
        np.array([[1.0, 2.0, NAN], [6.0, 3.0, 3.0 * (1 + 1e-12)], [NAN, NAN, NAN], [0, 0, 2.0]])
    )
    inf = math.inf
    np.testing.assert_array_equal(ratios, [[1, 2, inf], [2, 1, 1], [inf, inf, inf], [1, 1, inf]])


def test_a_performance_profile_counts_failures_as_never_solved():
    factors, shares = performance_profile(np.array([1.0, 2.0, 2.0, math.inf]))
    np.testing.assert_array_equal(factors, [1, 2])
    np.testing.assert_array_equal(shares, [0.25, 0.75])


def test_the_primal_dual_integral_by_hand():
    # No incumbent until 1 s: gap 1; then |100 - 80| / 100 until 3 s; then |90 - 81| / 90 until 5 s; optimal to the end.
    trace = [[0.0, None, 80.0], [1.0, 100.0, 80.0], [3.0, 90.0, 81.0], [5.0, 90.0, 90.0]]
    assert primal_dual_integral(trace, 10.0) == pytest.approx(1.0 + 2 * 0.2 + 2 * 0.1)
    assert primal_dual_integral(trace, 2.0) == pytest.approx(1.0 + 0.2)
    assert primal_dual_integral([], 4.0) == pytest.approx(4.0)
    np.testing.assert_allclose(gap_steps(trace)[1], [1.0, 0.2, 0.1, 0.0])


def test_a_paired_comparison_by_hand():
    found = paired([10.0, 12.0, 14.0, 16.0, 18.0, NAN], [9.0, 10.0, 11.0, 12.0, 19.0, 5.0])
    assert (found.pairs, found.better) == (5, 4)
    assert found.mean == pytest.approx(-9 / 5)
    # Signed ranks of -1, -2, -3, -4, +1: ranks 1.5, 3, 4, 5 and +1.5; not significant with five pairs.
    assert 0.05 < found.p_value < 0.5
    assert math.isnan(paired([1.0], [2.0]).p_value)
    assert math.isnan(paired([1.0] * 9, [1.0] * 9).p_value)
    assert paired([1.0, 2.0], [2.0, 3.0], less_is_better=False).better == 2


def test_the_exact_p_value_of_ten_pairs_that_all_improve():
    found = paired(np.arange(10.0, 20.0), np.arange(10.0, 20.0) - np.linspace(0.1, 1, 10))
    assert found.p_value == pytest.approx(2 / 2**10)


def test_means_leave_out_what_is_not_finite():
    assert mean([1.0, 3.0, NAN, math.inf]) == 2.0
    assert deviation([1.0, 3.0, NAN]) == pytest.approx(math.sqrt(2))
    assert math.isnan(mean([])) and math.isnan(deviation([1.0]))
