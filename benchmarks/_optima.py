"""Instances with proven values: what the tables of `instances/` say."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from llmsched_mip import Instance, read_instance


class Proven(NamedTuple):
    """An instance, an objective, a lower bound that is proven, and whether it is the optimum (a bound is less)."""

    instance: Instance
    objective: str
    bound: float
    closed: bool


def proven_values(folder: Path) -> Iterator[Proven]:
    """Entries of ``OPTIMA.csv`` (instance, objective, optimum_s) or ``best.csv`` (with value and bound)."""
    for table in (folder / "OPTIMA.csv", folder / "best.csv"):
        if not table.exists():
            continue
        with open(table, newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            path = folder / f"{row['instance'].removesuffix('.json')}.json"
            bound = float(row["optimum_s"] if "optimum_s" in row else row["bound"])
            closed = "optimum_s" in row or bound >= float(row["value"]) * (1 - 1e-9)
            yield Proven(read_instance(path), row["objective"], bound, closed)
