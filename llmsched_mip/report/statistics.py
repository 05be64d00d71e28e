"""Statistics of benchmark reports: shifted geometric means, performance profiles, integrals, paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from llmsched_mip.timing import FloatArray

LEAST_PAIRS = 5
TIE = 1e-9

TracePoint = Sequence[float | None]


def shifted_geometric_mean(values: Any, shift: float) -> float:
    """``exp(mean(log(v + shift))) - shift`` over the finite values; NaN without any.

    Parameters
    ----------
    values : float array
        Each above ``-shift``.
    shift : float
        In the unit of the values; keeps values near 0 from ruling the mean (T. Achterberg, Constraint Integer
        Programming, 2007, appendix A).
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not len(finite) or (finite <= -shift).any():
        return float("nan")
    return float(np.exp(np.mean(np.log(finite + shift))) - shift)


def performance_ratios(costs: FloatArray) -> FloatArray:
    """Cost of every method over the least cost on the same instance.

    Parameters
    ----------
    costs : float array, shape (instances, methods)
        At least 0, NaN where a method failed.

    Returns
    -------
    float array, shape (instances, methods)
        At least 1, and 1 where costs differ by rounding alone; infinity where a method failed (E. Dolan and J. Moré,
        Mathematical Programming 91, 2002).
    """
    costs = np.where(np.isnan(costs), np.inf, costs)
    least = costs.min(axis=1, keepdims=True, initial=np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(costs <= least * (1 + TIE), 1.0, costs / least)
    return np.where(np.isinf(costs), np.inf, ratios)


def performance_profile(ratios: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Steps of the share of instances that one method solves within a factor of the best.

    Parameters
    ----------
    ratios : float array, shape (instances,)
        One column of `performance_ratios`.

    Returns
    -------
    factors, shares : float arrays
        From each factor on, the share of all instances; both increase.
    """
    factors, counts = np.unique(ratios[np.isfinite(ratios)], return_counts=True)
    return factors, np.cumsum(counts) / max(1, len(ratios))


def gap_steps(trace: Sequence[TracePoint]) -> tuple[FloatArray, FloatArray]:
    """Times and gaps of a trace: the gap holds from its time until the next.

    The gap is ``|incumbent - bound| / max(|incumbent|, |bound|)``, and 1 as long as one of them is missing (T.
    Berthold, Operations Research Letters 41, 2013).
    """
    points = np.array([[np.nan if v is None else v for v in point[:3]] for point in trace], dtype=np.float64)
    points = points.reshape(-1, 3)
    points = points[np.argsort(points[:, 0], kind="stable")]
    value, bound = points[:, 1], points[:, 2]
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.abs(value - bound) / np.maximum(np.abs(value), np.abs(bound))
    gap = np.where(value == bound, 0.0, gap)
    return points[:, 0], np.where(np.isnan(gap), 1.0, np.minimum(gap, 1.0))


def primal_dual_integral(trace: Sequence[TracePoint], until_s: float) -> float:
    """Integral of the gap over the time from 0 to `until_s`, seconds; the gap is 1 before the first point."""
    times, gaps = gap_steps(trace)
    borders = np.clip(np.concatenate(([0.0], times, [until_s])), 0.0, until_s)
    return float(np.sum(np.concatenate(([1.0], gaps)) * np.maximum(np.diff(borders), 0.0)))


class Paired(NamedTuple):
    """A method against a baseline on the same instances."""

    pairs: int
    mean: float
    deviation: float
    better: int
    p_value: float


def paired(baseline: Any, values: Any, less_is_better: bool = True) -> Paired:
    """Differences ``values - baseline`` over the pairs in which both are finite.

    Returns
    -------
    Paired
        Number of pairs, mean and standard deviation of the differences, pairs in which `values` is better, and the
        two-sided p-value of Wilcoxon's signed-rank test (NaN for fewer than five pairs or without any difference).
    """
    baseline, values = np.asarray(baseline, dtype=np.float64), np.asarray(values, dtype=np.float64)
    both = np.isfinite(baseline) & np.isfinite(values)
    difference = values[both] - baseline[both]
    better = int(np.sum(difference < 0 if less_is_better else difference > 0))
    count = len(difference)
    p_value = float("nan")
    if count >= LEAST_PAIRS and np.any(difference != 0):
        from scipy.stats import wilcoxon

        p_value = float(wilcoxon(difference).pvalue)
    mean = float(np.mean(difference)) if count else float("nan")
    return Paired(count, mean, deviation(difference), better, p_value)


def deviation(values: Any) -> float:
    """Sample standard deviation of the finite values; NaN for fewer than two."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    return float(np.std(finite, ddof=1)) if len(finite) > 1 else float("nan")


def mean(values: Any) -> float:
    """Mean of the finite values; NaN without any."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    return float(np.mean(finite)) if len(finite) else float("nan")
