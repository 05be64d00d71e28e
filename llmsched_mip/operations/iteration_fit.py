"""A regime of iteration times fitted to measured rows: coefficients ≥ 0, by relative errors, robustly.

The form is linear in its coefficients, so each fit is a least-squares problem with non-negative coefficients; a row is
divided by its seconds, so that errors are relative, and rows far from the form count less (soft L1: weights of
(1 + (r / s)²)^-1/2, with s the 90 % quantile of the residuals |r|: up to a tenth of the rows may be accidents, more is
how kernels are; P. J. Huber, Robust Statistics, 1981, chapter 7).  In place
of base and slope by tokens there may be a line through knots that does not fall, linear between them; its knots are
chosen one after another, and how many by cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from llmsched_mip.mixed_engine import IterationTime, TokenTable
from llmsched_mip.operations.timing_tables import Timings
from llmsched_mip.timing import FloatArray

MEASURE = {
    "per_token_s": "chunk",
    "per_attention_s": "attention",
    "per_sequence_s": "decodes",
    "per_kv_token_s": "kv_tokens",
}
"""A coefficient beside the base, and what of an iteration it multiplies."""
PARTS = tuple(MEASURE)
AXES = ("chunk", "decodes", "kv_each")
"""Of an iteration in a busy engine; the context before a chunk is 0 for every prompt within the token budget."""
ROUNDS = 60
SETTLED = 1e-7
LEAST_SPREAD = 1e-6
"""Relative residuals below it are equal: exact tables have none."""
COUNTED = 0.9
"""Part of the rows, by weight, that is taken to show the engine; the worst may be accidents of the measurement."""

MOST_CANDIDATES = 48
KNOTS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
FOLDS = 5
LEAST_GAIN = 0.03
"""A table takes the place of the affine form where its error on rows left out is lower by this part."""
ENOUGH = 0.01
"""The fewest knots whose error is within this part of the lowest."""
CLOSE = 0.003
"""An affine form with errors as small as this stands."""
LEAST_TABLE_ROWS = 30
MOST_COMPARED = 3000
"""Rows, drawn at random, on which forms are compared; the one that is taken is fitted to all."""
SEED = 20230


@dataclass(frozen=True, eq=False)
class Fit:
    """A regime fitted to rows.

    Parameters
    ----------
    time : IterationTime
    timings : Timings
        The rows.
    fitted : float array, shape (n,)
        Seconds of the form.
    affine_error, error : float
        Mean absolute relative error on rows left out (cross-validation), of the affine form and of this one.
    """

    time: IterationTime
    timings: Timings
    fitted: FloatArray
    affine_error: float
    error: float

    @property
    def relative(self) -> FloatArray:
        """(fitted - measured) / measured."""
        return self.fitted / self.timings.seconds - 1.0

    @property
    def r2(self) -> float:
        """Coefficient of determination, of seconds."""
        y = self.timings.seconds
        spread = float(((y - y.mean()) ** 2).sum())
        return 1.0 - float(((y - self.fitted) ** 2).sum()) / spread if spread else 1.0


def nonnegative(
    columns: FloatArray, seconds: FloatArray, weights: FloatArray | None = None, least_s: float = 0.0
) -> FloatArray:
    """Coefficients ≥ 0 of a robust fit by relative errors.

    Parameters
    ----------
    columns : float array, shape (n, k)
    seconds : float array, shape (n,)
        > 0.
    weights : float array, shape (n,), optional
        What a row counts.
    least_s : float
        Seconds that each row has before the columns.

    Returns
    -------
    float array, shape (k,)
    """
    from scipy.optimize import nnls

    design = columns / seconds[:, None]
    scale = np.sqrt((design**2).mean(axis=0))
    scale[scale == 0] = 1.0
    target = 1.0 - least_s / seconds
    rows = np.column_stack([design / scale, target])
    given = np.ones(len(seconds)) if weights is None else weights
    robust, last = np.ones(len(seconds)), np.full(columns.shape[1], np.inf)
    found = np.zeros(columns.shape[1])
    for _ in range(ROUNDS):
        triangle = _triangle(rows * np.sqrt(given * robust)[:, None])
        found = nnls(triangle[:, :-1], triangle[:, -1], maxiter=50 * columns.shape[1])[0]
        if np.abs(found - last).max() <= SETTLED * np.abs(found).max():
            break
        last, residuals = found, np.abs(rows[:, :-1] @ found - target)
        spread = max(_quantile(residuals, given), LEAST_SPREAD)
        robust = (1.0 + (residuals / spread) ** 2) ** -0.5
    return np.asarray(found / scale)


def _triangle(rows: FloatArray) -> FloatArray:
    """Few rows with the same least-squares problems: R of the QR decomposition."""
    found: Any = np.linalg.qr(rows, mode="r")
    return np.asarray(found)


def _quantile(values: FloatArray, weights: FloatArray) -> float:
    """What `COUNTED` of the values, by weight, do not exceed."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(below, COUNTED * below[-1])]])


def fit_iterations(timings: Timings, parts: Sequence[str], least_s: float = 0.0) -> Fit:
    """Fit a regime, with a table by tokens where the affine form misses.

    A row counts by the square of its seconds and by its part of the range, so that what is small is the error in
    seconds integrated over the iterations that may come: times of a replay are sums of them, and grids of tables have
    most of their rows where iterations are short.

    Parameters
    ----------
    timings : Timings
    parts : sequence of str
        Coefficients beside ``base_s``: of `PARTS`.
    least_s : float
        No iteration is to be quicker: where few rows count that are short, the form may not end at 0 for them.
    """
    affine = _Form(tuple(parts), (), least_s)
    squares = _row_weights(timings, affine)
    given = squares * _cells(timings)
    drawn = np.random.default_rng(SEED).permutation(len(timings))[:MOST_COMPARED]
    # Which form it takes is asked of short iterations too: a row counts by its seconds, not by their square.
    compared = np.sqrt(squares)
    tried, weights = timings.take(drawn), compared[drawn]
    errors = {affine: affine.left_out_error(tried, weights)}
    if len(timings) >= LEAST_TABLE_ROWS:
        knots = _knots(timings, affine, compared)
        for count in KNOTS:
            if count <= len(knots):
                form = _Form(tuple(parts), tuple(sorted(knots[:count])), least_s)
                errors[form] = form.left_out_error(tried, weights)
    lowest = min(errors.values())
    chosen = next(form for form, error in errors.items() if error <= (1 + ENOUGH) * lowest)
    if errors[affine] <= CLOSE or errors[chosen] > (1 - LEAST_GAIN) * errors[affine]:
        chosen = affine
    time = chosen.time(timings, given)
    return Fit(time, timings, seconds_of(time, timings), errors[affine], errors[chosen])


def _row_weights(timings: Timings, affine: _Form) -> FloatArray:
    """What the relative error of a row counts: its seconds squared, as a first fit has them, on average 1.

    Measured seconds would make a row that was late by accident count most.
    """
    first = seconds_of(affine.time(timings, np.ones(len(timings))), timings)
    squares = (first / first.max()) ** 2
    return np.asarray(squares / squares.mean())


def _cells(timings: Timings) -> FloatArray:
    """How much of the range of iterations is nearest to each row, on every axis of the grid: shape (n,)."""
    size = np.ones(len(timings))
    for axis in AXES:
        values, place = np.unique(getattr(timings, axis), return_inverse=True)
        if len(values) > 1:
            borders = np.concatenate((values[:1], (values[1:] + values[:-1]) / 2, values[-1:]))
            size *= np.diff(borders)[place]
    return size


def seconds_of(time: IterationTime, timings: Timings) -> FloatArray:
    """What the form says of each row, shape (n,)."""
    return np.asarray(time.seconds(timings.chunk, timings.attention, timings.decodes, timings.kv_tokens))


@dataclass(frozen=True)
class _Form:
    """Which coefficients there are, and where the line by tokens may bend; without knots it is affine."""

    parts: tuple[str, ...]
    knots: tuple[int, ...]
    least_s: float = 0.0

    def columns(self, timings: Timings, ends: tuple[int, int]) -> FloatArray:
        """Of shape (n, k): the base, then a ramp between any two points or the slope, then the other parts."""
        parts = [np.ones(len(timings)), *(getattr(timings, MEASURE[part]) for part in self.rest)]
        if not self.knots:
            return np.column_stack(parts)
        points = self.points(ends)
        ramps = [
            np.clip((timings.tokens - left) / (right - left), 0.0, 1.0 if right < points[-1] else None)
            for left, right in pairwise(points)
        ]
        return np.column_stack([parts[0], *ramps, *parts[1:]])

    def points(self, ends: tuple[int, int]) -> tuple[int, ...]:
        """The knots between the fewest and the most tokens."""
        return (ends[0], *(knot for knot in self.knots if ends[0] < knot < ends[1]), ends[1])

    @property
    def rest(self) -> tuple[str, ...]:
        """Parts that have a column of their own; a table of pure decode iterations is one by their number."""
        if not self.knots:
            return self.parts
        by_tokens = {"per_token_s"} if "per_token_s" in self.parts else {"per_sequence_s"}
        return tuple(part for part in self.parts if part not in by_tokens)

    def time(self, timings: Timings, weights: FloatArray) -> IterationTime:
        """Fitted to the rows."""
        ends = int(timings.tokens.min()), int(timings.tokens.max())
        found = nonnegative(self.columns(timings, ends), timings.seconds, weights, self.least_s).tolist()
        found[0] += self.least_s
        ramps = len(self.points(ends)) - 1 if self.knots else 0
        values = dict(zip(self.rest, found[1 + ramps :], strict=True))
        if not self.knots:
            return IterationTime(found[0], **values)
        seconds = tuple(np.cumsum(found[: 1 + ramps]).tolist())
        return IterationTime(table=TokenTable(self.points(ends), seconds), **values)

    def left_out_error(self, timings: Timings, weights: FloatArray) -> float:
        """Mean absolute relative error of rows that the fit has not seen, each left out once; see `COUNTED`."""
        folds = np.random.default_rng(SEED).permutation(len(timings)) % FOLDS
        errors = np.zeros(len(timings))
        for fold in range(FOLDS):
            seen, left = folds != fold, folds == fold
            if seen.any() and left.any():
                time = self.time(timings.take(seen), weights[seen])
                errors[left] = seconds_of(time, timings.take(left)) / timings.seconds[left] - 1.0
        size = np.abs(errors)
        order = np.argsort(size, kind="stable")
        below = np.cumsum(weights[order])
        counted = order[: max(1, int(np.searchsorted(below, COUNTED * below[-1])))]
        return float(np.average(size[counted], weights=weights[counted]))


def _knots(timings: Timings, affine: _Form, weights: FloatArray) -> list[int]:
    """Where the line by tokens bends, the knot that helps most first.

    Each next knot is the one that lowers the sum of squared relative residuals most; rows far from the affine form
    count as little as in its fit.
    """
    distinct = np.unique(timings.tokens)[1:-1]
    if len(distinct) > MOST_CANDIDATES:
        wanted = np.geomspace(distinct[0], distinct[-1], MOST_CANDIDATES)
        distinct = np.unique(distinct[np.abs(distinct[:, None] - wanted).argmin(axis=0)])
    if not len(distinct):
        return []
    fixed = affine.columns(timings, (0, 0))
    hinges = np.maximum(timings.tokens[:, None] - distinct, 0.0)
    rows = np.column_stack([fixed, hinges]) / timings.seconds[:, None]
    scale = np.sqrt((rows**2).mean(axis=0))
    rows = np.column_stack([rows / np.where(scale > 0, scale, 1.0), np.ones(len(timings))]) * np.sqrt(weights)[:, None]
    triangle = _triangle(rows)
    chosen, order = list(range(fixed.shape[1])), []
    for _ in range(min(max(KNOTS), len(distinct))):
        left = [k for k in range(fixed.shape[1], rows.shape[1] - 1) if k not in chosen]
        best = min(left, key=lambda k: _residual(triangle, [*chosen, k]))
        chosen.append(best)
        order.append(int(distinct[best - fixed.shape[1]]))
    return order


def _residual(triangle: FloatArray, chosen: list[int]) -> float:
    """Sum of squares that is left by these columns."""
    part, target = triangle[:, chosen], triangle[:, -1]
    solution = np.linalg.lstsq(part, target, rcond=1e-12)[0]
    return float(((part @ solution - target) ** 2).sum())
