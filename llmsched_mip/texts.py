"""Figures as people read them."""

from __future__ import annotations

import math

LONG_S = 120.0
LEAST_GAIN = 5e-5
"""A share that the sentence would print as nothing."""


def seconds_text(value: float | None) -> str:
    """Seconds with four decimals, a dash without a value."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4f}"


def percent_text(value: float | None, digits: int = 2) -> str:
    """A share as a percentage, a dash without a value."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def duration_text(seconds: float | None) -> str:
    """Seconds as 2 h 13 min, 3 min 20 s or 12.3 s."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return "{} min {:02d} s".format(*divmod(round(seconds), 60))
    return "{} h {:02d} min".format(*divmod(round(seconds / 60), 60))


def long_text(seconds: float | None) -> str:
    """A duration beside its seconds, where these are more than people read at a glance; else nothing."""
    return duration_text(seconds) if seconds is not None and LONG_S <= seconds < math.inf else ""


def verdict_text(objective: str, value: float, bound: float | None, optimal: bool, fcfs: float | None) -> str:
    """What people want to know of a plan, in one sentence.

    Parameters
    ----------
    objective : str
        ``makespan``: a plan is faster or slower; ``total_completion``: its total is below or above.
    value, bound : float
        Of the plan, seconds; the sentence says (value - bound) / bound.
    optimal : bool
        Proven.
    fcfs : float or None
        The value of first-come-first-served, seconds; the sentence says (fcfs - value) / fcfs, or nothing of it.
    """
    proven = "optimal" if optimal else None
    if proven is None and bound:
        proven = f"at most {percent_text((value - bound) / bound)} above the optimum"
    text = "; ".join(part for part in (_beside_fcfs(objective, value, fcfs), proven) if part)
    return text[:1].upper() + text[1:]


def _beside_fcfs(objective: str, value: float, fcfs: float | None) -> str | None:
    if not fcfs:
        return None
    gain = (fcfs - value) / fcfs
    total = "" if objective == "makespan" else " total completion time"
    if abs(gain) < LEAST_GAIN:
        return f"the{total} of first-come-first-served" if total else "as fast as first-come-first-served"
    better, worse = ("less", "more") if total else ("faster", "slower")
    share = percent_text(abs(gain), 1 if abs(gain) >= 0.01 else 2)
    return f"{share} {better if gain > 0 else worse}{total} than first-come-first-served"
