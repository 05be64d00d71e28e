"""Columns and tables of a report: raw values, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Column:
    """A column: its head, its unit, and how its values are written; `digits` None for text."""

    name: str
    unit: str = ""
    digits: int | None = None

    @property
    def head(self) -> str:
        """Name with the unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def text(self, value: Any) -> str:
        """A value as text: a dash where there is none."""
        if value is None or value != value:
            return "–"
        if isinstance(value, tuple):
            return f"{self.text(value[0])} ± {self.text(value[1])}" if value[1] == value[1] else self.text(value[0])
        if self.digits is None or isinstance(value, str):
            return str(value)
        if self.name == "p" and value < 10.0**-self.digits:
            return f"{value:.1e}"
        return f"{value:.{self.digits}f}"


@dataclass
class Table:
    """A table of raw values: text, numbers, None, or pairs (mean, standard deviation)."""

    key: str
    title: str
    columns: list[Column]
    rows: list[list[Any]]
    note: str = ""
    emphasis: set[int] = field(default_factory=set)
