"""How well iteration times fit: errors by region, columns that vary together, and what tables do not cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmsched_mip.operations.iteration_fit import MEASURE, Fit
from llmsched_mip.operations.timing_tables import Timings
from llmsched_mip.timing import FloatArray

BINS = 4
REGIONS = {"tokens": "tokens", "decodes": "decodes", "kv_tokens": "KV tokens of decodes", "context": "context"}
"""What rows are sorted by, and its name."""
MOST_CONDITION = 30.0
"""Above it columns are collinear, and a coefficient with more than half of its variance there is not determined
(D. A. Belsley, E. Kuh and R. E. Welsch, Regression Diagnostics, 1980, chapter 3)."""
MOST_SHARE = 0.5
REACHED = 0.9
"""A table that comes this close to a limit covers it."""


@dataclass(frozen=True)
class Region:
    """Errors of the rows of a region; shares of the measured seconds.

    Parameters
    ----------
    by : str
        What the rows are sorted by, of `REGIONS`.
    least, most : float
        The region's range.
    rows : int
    median, worst : float
        Of the absolute relative errors.
    bias : float
        Median of the relative errors (fitted - measured) / measured.
    """

    by: str
    least: float
    most: float
    rows: int
    median: float
    worst: float
    bias: float


@dataclass(frozen=True)
class Quality:
    """Of a whole regime and by regions.

    Parameters
    ----------
    r2 : float
        Coefficient of determination, of seconds.
    median, worst : float
        Of the absolute relative errors.
    regions : tuple of Region
    """

    r2: float
    median: float
    worst: float
    regions: tuple[Region, ...]


def quality(fit: Fit) -> Quality:
    """Errors of a fit, in all and by quantiles of what is in an iteration."""
    errors = np.abs(fit.relative)
    regions = [
        Region(
            name,
            float(values[rows].min()),
            float(values[rows].max()),
            int(rows.sum()),
            float(np.median(errors[rows])),
            float(errors[rows].max()),
            float(np.median(fit.relative[rows])),
        )
        for name, values in ((name, getattr(fit.timings, name)) for name in REGIONS)
        for rows in _bins(values)
        if values.min() < values.max()
    ]
    return Quality(fit.r2, float(np.median(errors)), float(errors.max()), tuple(regions))


def _bins(values: FloatArray) -> list[FloatArray]:
    """Masks of about equal size; equal values are never parted."""
    inner = np.unique(np.quantile(values, np.arange(1, BINS) / BINS, method="lower"))
    which = np.searchsorted(inner, values, side="left")
    return [which == k for k in np.unique(which)]


def collinear(timings: Timings, parts: Sequence[str]) -> list[str]:
    """Warnings of coefficients that the rows do not tell apart, by condition indices of the columns."""
    columns = [np.ones(len(timings)), *(getattr(timings, MEASURE[part]) for part in parts)]
    design = np.column_stack(columns) / timings.seconds[:, None]
    design /= np.sqrt((design**2).sum(axis=0))
    _, singular, directions = np.linalg.svd(design, full_matrices=False)
    names, found = ["base_s", *parts], []
    with np.errstate(divide="ignore"):
        variance = (directions.T / np.maximum(singular, 1e-300)) ** 2
    shares = variance / variance.sum(axis=1, keepdims=True)
    for k, value in enumerate(singular):
        together = [names[j] for j in np.flatnonzero(shares[:, k] > MOST_SHARE)]
        if singular[0] > MOST_CONDITION * value and len(together) > 1:
            condition = singular[0] / value if value > 0 else np.inf
            found.append(
                f"{' and '.join(together)} are collinear (condition index {condition:.0f}): the rows tell their sum, "
                "not each"
            )
    return found


def uncovered(
    regime: str, timings: Timings, slots: int | None, kv_capacity: int | None, token_budget: int
) -> list[str]:
    """Warnings of limits that the rows of a regime do not reach: beyond the rows times are extrapolated."""
    asked = [("requests in decode", timings.decodes, slots), ("KV tokens of decodes", timings.kv_tokens, kv_capacity)]
    if regime == "mixed":
        asked.append(("tokens", timings.tokens, token_budget))
    return [
        f"the rows reach {values.max():.0f} {what}, the limit is {limit}: beyond them times are extrapolated"
        for what, values, limit in asked
        if limit is not None and len(values) and values.max() < REACHED * limit
    ]
