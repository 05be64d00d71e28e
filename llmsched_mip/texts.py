"""Figures as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

LONG_S = 120.0
LEAST_GAIN = 5e-5
"""A share that the sentence would print as nothing."""


def seconds_text(value: float | None) -> str:
    """Seconds with four decimals, a dash without a value."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.4f}"


def percent_text(value: float | None, digits: int = 2) -> str:
    """A share as a percentage, a dash without a value."""
    return "-" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def counted(count: int, noun: str) -> str:
    """So many of them: ``1 worker``, ``2 workers``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def limit_text(limit: int | None, unit: str = "") -> str:
    """A limit with its unit, ``no limit`` without one."""
    return "no limit" if limit is None else f"{limit} {unit}".rstrip()


def range_text(values: Sequence[Any]) -> str:
    """The least and the most of some numbers, one where they are equal; a dash of none."""
    if not len(values):
        return "-"
    least, most = min(values), max(values)
    return f"{least:.10g}" if least == most else f"{least:.10g} to {most:.10g}"


def html_table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A small table for a notebook: a heading, then a row for each name and text."""
    left = 'style="text-align: left"'
    lines = (f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table><caption><b>{escape(title)}</b></caption><tbody>{''.join(lines)}</tbody></table>"


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
