"""Where lengths lie in their prediction intervals."""

from __future__ import annotations

import numpy as np

from llmsched_mip.policies.parts.life_table import life_table
from llmsched_mip.timing import FloatArray, IntArray

FARTHEST, BINS = 6, 16
LEAST_UNIT = 0.5
OUTSIDE, DECAY = 0.1, 0.3
PRIOR_WEIGHT = 8.0


class Places:
    """The distribution of the place of a length in its interval, learnt over all requests.

    The place of a length d in [l, u] is ln(d / l) / ln(u / l): 0 at l, 1 at u, outside for a wrong prediction; there it
    is measured in intervals, but none counts as narrower than ratio e^(1/2).  An interval of one length has it at 1/2.
    The distribution is a life table in bins of 1/16 from -6 to 7, smoothed, the fewer lengths the more.

    Parameters
    ----------
    low, high : int arrays, shape (n,)
        l and u of each request, tokens.
    """

    def __init__(self, low: IntArray, high: IntArray):
        self.base = np.log(low.astype(np.float64))
        self.width = np.log(high.astype(np.float64)) - self.base
        self.points = np.arange(-FARTHEST * BINS, (FARTHEST + 1) * BINS + 1) / BINS
        middle = (self.points[:-1] + self.points[1:]) / 2
        away = np.maximum(np.maximum(-middle, middle - 1), 0.0)
        outside = np.where(away > 0, np.exp(-away / DECAY), 0.0)
        self.prior = (1 - OUTSIDE) * (away == 0) / BINS + OUTSIDE * outside / outside.sum()
        self._set(self.prior)

    def _set(self, share: FloatArray) -> None:
        self.below = np.append(0.0, np.cumsum(share))
        ends = np.searchsorted(self.below, (0.02, 0.98))
        self.core = (self.points[max(ends[0] - 1, 0)], self.points[min(ends[1], len(self.points) - 1)])

    def place(self, requests: IntArray, length: np.ndarray) -> FloatArray:
        """Places of lengths of requests (broadcast)."""
        base, width = self.base[requests], self.width[requests]
        along = np.log(length) - base
        unit = np.maximum(width, LEAST_UNIT)
        inside = np.where(width > 0, along / np.where(width > 0, width, 1.0), 0.5)
        above = 1.0 + (along - width) / unit
        return np.asarray(np.where(along < 0, along / unit, np.where(along > width, above, inside)))

    def length(self, requests: IntArray, place: float) -> FloatArray:
        """Length of each request at a place."""
        base, width = self.base[requests], self.width[requests]
        unit = np.maximum(width, LEAST_UNIT)
        along = min(place, 0.0) * unit + min(max(place, 0.0), 1.0) * width + max(place - 1.0, 0.0) * unit
        return np.asarray(np.exp(np.minimum(base + along, 40.0)))

    def learn(self, requests: IntArray, lengths: IntArray, running: IntArray, made: IntArray) -> None:
        """Fit the distribution: `requests` ended with `lengths`, `running` have made more than `made` tokens."""
        ends = self._bin(self.place(requests, lengths.astype(np.float64)))
        lost = self._bin(self.place(running, made + 1.0))
        prior = PRIOR_WEIGHT * self.prior
        prior[-1] += 1e-6
        share = life_table(ends, lost, prior)
        for _ in range(int(np.clip(400 // (len(ends) + 1), 1, 8))):
            padded = np.pad(share, 1, mode="edge")
            share = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
        self._set(share / share.sum())

    def _bin(self, place: FloatArray) -> IntArray:
        return np.clip(np.floor((place + FARTHEST) * BINS), 0, len(self.prior) - 1).astype(np.int64)

    def share_below(self, place: FloatArray) -> FloatArray:
        """Share of the places below each of `place`."""
        return np.asarray(np.interp(place, self.points, self.below))
