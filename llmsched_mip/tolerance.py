"""The one tolerance of everything that is called proven.

Times are sums of products of floating-point numbers, so a value and a bound that are equal in real numbers may differ
in the last digits.  They count as equal within `RELATIVE_TOLERANCE` of the value, whatever its size: no proof knows
an absolute tolerance, because times may be microseconds.
"""

from __future__ import annotations

import math

RELATIVE_TOLERANCE = 1e-9


def same(a: float, b: float) -> bool:
    """Whether two values are equal within the tolerance."""
    return math.isclose(a, b, rel_tol=RELATIVE_TOLERANCE)


def at_most(bound: float, value: float) -> bool:
    """Whether a lower bound does not lie above a value."""
    return not bound > value or same(bound, value)


def meets(bound: float, value: float) -> bool:
    """Whether a lower bound proves a value optimal."""
    return bound >= value or same(bound, value)


def rounded_down(bound: float) -> float:
    """A lower bound from a solver's floating-point numbers, on the safe side of its rounding errors."""
    return bound - RELATIVE_TOLERANCE * abs(bound)
