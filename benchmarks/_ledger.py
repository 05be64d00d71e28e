"""A resumable table: rows are appended as they are found, and a key that is there is not run again."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Table:
    """A CSV file with a column ``key``.

    Parameters
    ----------
    path : Path
        Made with its folder when the first row is added.
    """

    def __init__(self, path: Path):
        self.path = path
        self.rows: dict[str, dict[str, str]] = {}
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                self.rows = {row["key"]: row for row in csv.DictReader(file) if None not in row.values()}

    def __contains__(self, key: str) -> bool:
        return key in self.rows

    def add(self, key: str, values: Mapping[str, Any]) -> None:
        """Append a row; a line that a kill cut short is written anew with the others before it."""
        row = {"key": key, **{name: "" if value is None else str(value) for name, value in values.items()}}
        self.rows[key] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half = self.path.with_suffix(".half")
        with open(half, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerows(self.rows.values())
        half.replace(self.path)
