"""Length distributions as quantile functions: a uniform number in, a token count out.

Drawing uniforms and applying a quantile keeps a seed's requests the same over NumPy versions, and makes a
shorter instance the beginning of a longer one of the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares
from scipy.special import ndtri

from llmsched_mip.timing import FloatArray, IntArray

Quantile = Callable[[FloatArray], FloatArray]

STREAMS = {
    "prefill": 0,
    "decode": 1,
    "arrivals": 2,
    "intervals": 3,
    "size": 4,
    "pairs": 5,
    "kind": 6,
    "wrong intervals": 7,
    "log-normal": 8,
}


def stream(seed: int, column: str) -> np.random.Generator:
    """Random numbers of one column of a seed; the columns are independent of each other."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS[column],)))


def draw(quantile: Quantile, count: int, seed: int, column: str) -> IntArray:
    """Draw `count` token counts, rounded to integers of at least 1: shape (count,)."""
    return tokens(quantile(stream(seed, column).random(count)))


def tokens(lengths: Any) -> IntArray:
    """Round lengths to integers of at least 1."""
    whole: IntArray = np.maximum(np.rint(lengths), 1).astype(np.int64)
    return whole


def log_normal(mean: float, std: float, most: float) -> Quantile:
    """Log-normal with the given mean and standard deviation in tokens, cut off at `most`."""
    variance = math.log1p((std / mean) ** 2)
    location, scale = math.log(mean) - variance / 2, math.sqrt(variance)
    return lambda u: np.minimum(np.exp(location + scale * ndtri(u)), most)


def log_normal_of_median(mean: float, median: float, most: float) -> Quantile:
    """Log-normal with the given mean and median in tokens, cut off at `most`."""
    location, scale = math.log(median), math.sqrt(2 * math.log(mean / median))
    return lambda u: np.minimum(np.exp(location + scale * ndtri(u)), most)


def capped(share: float, cap: float, below: Quantile) -> Quantile:
    """Mixture: a `share` of the requests has exactly `cap` tokens, the others follow `below`."""

    def quantile(u: FloatArray) -> FloatArray:
        inside = np.clip(u / (1 - share), 0.0, 1.0 - 1e-16)
        return np.where(u < 1 - share, below(inside), cap)

    return quantile


@dataclass(frozen=True)
class Moments:
    """Published moments of a length in tokens; `least`, the smallest value, is ours."""

    mean: float
    std: float
    p50: float
    p95: float
    most: float
    least: float = 1.0


def fitted(moments: Moments) -> Quantile:
    """Quantile function through the minimum, median, 95th percentile and maximum with the given mean and std.

    Between two of these points it is ``low + (high - low) t^g`` with t from 0 to 1; the three exponents g are
    the ones nearest to 1 (in logarithm) that give the published mean and standard deviation.

    Raises
    ------
    ValueError
        When no exponents reach the mean and the standard deviation.
    """
    knots = np.array([moments.least, moments.p50, moments.p95, moments.most])
    shares, low, rise = np.array([0.5, 0.45, 0.05]), knots[:-1], np.diff(knots)

    def mean_and_std(exponents: FloatArray) -> FloatArray:
        first = low + rise / (exponents + 1)
        second = low**2 + 2 * low * rise / (exponents + 1) + rise**2 / (2 * exponents + 1)
        mean = float(shares @ first)
        return np.array([mean, math.sqrt(max(float(shares @ second) - mean**2, 0.0))])

    published = np.array([moments.mean, moments.std])

    def residual(logs: FloatArray) -> FloatArray:
        return np.append((mean_and_std(np.exp(logs)) / published - 1) * 1e4, 1e-2 * logs)

    exponents = np.exp(least_squares(residual, np.zeros(3), bounds=(-4.0, 4.0), x_scale="jac").x)
    if np.max(np.abs(mean_and_std(exponents) / published - 1)) > 1e-3:
        raise ValueError(f"no such distribution: {moments}")

    def quantile(u: FloatArray) -> FloatArray:
        edges = np.concatenate(([0.0], np.cumsum(shares)))
        piece = np.clip(np.searchsorted(edges, u, side="right") - 1, 0, 2)
        inside = np.clip((u - edges[piece]) / shares[piece], 0.0, 1.0)
        lengths: FloatArray = low[piece] + rise[piece] * inside ** exponents[piece]
        return lengths

    return quantile
