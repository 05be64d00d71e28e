"""Straight lines in the KV tokens of a request: the least of them, and its sum over the tokens that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsched_mip.mixed_engine import IterationTime
from llmsched_mip.timing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Pieces:
    """Lines ``base_s + token_s * tokens`` below the seconds of an iteration of up to a number of tokens.

    Parameters
    ----------
    base_s, token_s : float arrays, shape (L,)
        The first base is not negative.  Only what a table and the collectives last.
    """

    base_s: FloatArray
    token_s: FloatArray

    @classmethod
    def below(cls, time: IterationTime, most_tokens: int) -> Pieces:
        """The lines of the lower convex hull of a table on 0..most_tokens; without a table one line, exact.

        Proof.  The table is linear between its points, flat before the first and goes on straight after the last, so
        on 0..most_tokens it lies above the hull of its points there and of both ends.
        """
        base_s, token_s = np.array([time.base_s]), np.zeros(1)
        if time.table is not None:
            inside = [x for x in time.table.tokens if x < most_tokens]
            corners = _hull([(float(x), float(time.table(x))) for x in (0, *inside, most_tokens)])
            x, y = np.array(corners).T
            token_s = np.diff(y) / np.diff(x)
            base_s = y[:-1] - token_s * x[:-1]
        if time.collective is not None:
            base_s, token_s = base_s + time.collective.base_s, token_s + time.collective.per_token_s
        return cls(base_s, token_s)

    def least_seconds(self, tokens: float) -> float:
        """The highest line at so many tokens."""
        return float((self.base_s + self.token_s * tokens).max())

    def chunks_seconds(self, chunks: FloatArray, tokens: FloatArray) -> FloatArray:
        """Least seconds of `chunks` iterations or more of `tokens` together, by lines that do not fall with more."""
        growing = self.base_s >= 0
        each = self.base_s[growing] * chunks[:, None] + self.token_s[growing] * tokens[:, None]
        return np.asarray(each.max(axis=1))


def _hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Corners of the lower convex hull of points whose first coordinates increase."""
    corners: list[tuple[float, float]] = []
    for x, y in points:
        while len(corners) > 1:
            (x0, y0), (x1, y1) = corners[-2:]
            if (y1 - y0) * (x - x0) < (y - y0) * (x1 - x0):
                break
            corners.pop()
        corners.append((x, y))
    return corners


@dataclass(frozen=True)
class Least:
    """The least of some lines ``at + slope * x``: a concave function of x ≥ 0."""

    lines: tuple[tuple[float, float], ...]

    def __call__(self, x: Any) -> FloatArray:
        """Its values."""
        return np.asarray(np.min([at + slope * np.asarray(x, dtype=np.float64) for at, slope in self.lines], axis=0))

    def run(self, before: IntArray, count: IntArray) -> FloatArray:
        """Σ of its values at x = before + 1, ..., before + count."""
        lines = sorted(set(self.lines), key=lambda line: (-line[1], line[0]))
        total, start = np.zeros(len(before)), 0
        end = before + count
        while True:
            line, until = _until(lines, start)
            low, high = np.maximum(before, start), end if until is None else np.minimum(end, until)
            number = np.maximum(high - low, 0).astype(np.float64)
            total += number * line[0] + line[1] * number * (low + (number + 1) / 2)
            if until is None:
                return total
            start = until


def _until(lines: list[tuple[float, float]], start: int) -> tuple[tuple[float, float], int | None]:
    """The lowest line at start + 1, and the last x up to which it is so; None: for ever."""
    x = start + 1
    at, slope = min(lines, key=lambda line: (line[0] + line[1] * x, line[1]))
    lasts = [(other_at - at) / (slope - other) for other_at, other in lines if other < slope]
    last = min(lasts, default=np.inf)
    return (at, slope), None if last >= 2.0**62 else max(x, int(np.floor(last)))


def rounding_up(before: IntArray, count: IntArray, block_tokens: int) -> FloatArray:
    """Σ of ⌈x / block_tokens⌉ - x / block_tokens over x = before + 1, ..., before + count."""

    def summed(x: IntArray) -> IntArray:
        whole, rest = x // block_tokens, x % block_tokens
        return np.asarray(
            whole * (block_tokens * (block_tokens - 1) // 2) + rest * block_tokens - rest * (rest + 1) // 2
        )

    return np.asarray((summed(before + count) - summed(before)) / block_tokens)
