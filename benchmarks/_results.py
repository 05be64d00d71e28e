"""Pages of docs/results: a heading, what was run, tables; and the bound that values are compared with."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from llmsched_mip import Instance
from llmsched_mip.bounds import BOUNDS, Bound, best
from llmsched_mip.budget import Budget
from llmsched_mip.workload import deployment

RESULTS = Path("docs/results")
CAPACITY = 16_492


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def write_page(name: str, parts: Iterable[str]) -> Path:
    """Write docs/results/`name`; `parts` are its paragraphs and tables."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / name
    path.write_text("\n".join(part.rstrip("\n") + "\n" for part in parts), encoding="utf-8")
    return path


def run_with(command: str, began: float) -> str:
    """The line that says how a page came to be."""
    minutes = (time.perf_counter() - began) / 60
    return f"Written by `{command}`: {minutes:.1f} minutes, one thread, on a machine of {os.cpu_count()} cores."


def in_unit_rounds(instance: Instance, capacity: int = CAPACITY) -> Instance:
    """The same lengths in the unit-round model with `capacity` KV tokens and no slots."""
    return replace(
        instance, workers=(replace(deployment("unit-round"), kv_capacity=capacity),), objective="total_completion"
    )


def best_bound(instance: Instance, seconds: float) -> Bound:
    """The best of the quick bounds on total completion and of the dual prices, `seconds` long."""
    found = [
        BOUNDS[name](instance.with_objective("total_completion"), Budget(seconds))
        for name in ("alone", "kv_volume", "kv_dual")
    ]
    return best(bound for bound in found if bound is not None)
