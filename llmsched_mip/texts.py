"""Figures as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


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
