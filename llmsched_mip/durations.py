"""Durations as people write them: ``8h``, ``90m``, ``2h13m``, ``3600``; `texts.duration_text` prints them."""

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
