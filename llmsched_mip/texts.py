"""Figures as people read them."""

from __future__ import annotations

import math


def seconds_text(value: float | None) -> str:
    """Seconds with four decimals, a dash without a value."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4f}"


def percent_text(value: float | None, digits: int = 2) -> str:
    """A share as a percentage, a dash without a value."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"
