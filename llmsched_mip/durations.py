"""Durations as people write and read them: ``8h``, ``90m``, ``2h13m``, ``3600``, and "2 h 13 min"."""

from __future__ import annotations

import math
import re

from llmsched_mip.errors import InvalidInputError

SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0, "ms": 0.001}
NUMBER = r"(?:\d+\.?\d*|\.\d+)"
DURATION = re.compile(rf"(?:{NUMBER}\s*(?:ms|min|d|h|m|s)\s*)+", re.IGNORECASE)
PART = re.compile(rf"({NUMBER})\s*(ms|min|d|h|m|s)", re.IGNORECASE)
MOST_S = 1e12
EXPECTED = "expected a duration above 0 such as 8h, 90m, 2h13m or 3600 (seconds)"


def read_duration(text: str, field: str = "duration") -> float:
    """Seconds of a duration: a number of seconds, or numbers with d, h, m (min), s or ms, largest first.

    Parameters
    ----------
    text : str
    field : str
        What the error calls it.

    Raises
    ------
    InvalidInputError
        Not a duration, not above 0, or a unit twice or in the wrong order.
    """
    given = text.strip()
    if DURATION.fullmatch(given):
        parts = [(float(number), SECONDS[unit.lower()]) for number, unit in PART.findall(given)]
        units = [unit for _, unit in parts]
        if units != sorted(set(units), reverse=True):
            raise InvalidInputError(field, f"{EXPECTED}, each unit once, got {text!r}")
        seconds = sum(number * unit for number, unit in parts)
    else:
        try:
            seconds = float(given)
        except ValueError:
            seconds = math.nan
    if not 0 < seconds <= MOST_S:
        raise InvalidInputError(field, f"{EXPECTED}, got {text!r}")
    return seconds


def duration_text(seconds: float | None) -> str:
    """A duration in its two largest units: ``2 h 13 min``, ``13 min 05 s``, ``8.25 s``; a dash without a value."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 0:
        return f"-{duration_text(-seconds)}"
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms" if round(seconds, 3) < 1 else "1.00 s"
    if round(seconds, 2) < 60:
        return f"{seconds:.2f} s"
    if round(seconds) < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours:02d} h"
