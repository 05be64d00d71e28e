"""The table at the end of a study: a line for each row, with means over the cases."""

from __future__ import annotations

from pathlib import Path

import pandas

from llmsched_mip.console import percent_text, seconds_text, table
from llmsched_mip.study.reader import read_ledger
from llmsched_mip.study.runner import FAILED


def summary_table(folder: Path) -> str:
    """Results, failures, and means of value, gap, utilization and seconds of every row, objective and time limit."""
    frame = read_ledger(folder, decode=False)
    lines = []
    for (label, lengths, objective, limit), own in frame.groupby(
        ["row", "lengths", "objective", "time_limit_s"], sort=False
    ):
        lines.append(
            [
                str(label),
                str(lengths),
                str(objective),
                f"{limit:g}",
                str(int(own["status"].notna().sum())),
                str(int((own["status"] == FAILED).sum())),
                seconds_text(_mean(own["value"])),
                percent_text(_mean(own["gap"]), 3),
                percent_text(_mean(own["utilization"])),
                seconds_text(_mean(own["seconds"])),
            ]
        )
    head = ["row", "lengths", "objective", "limit s", "results", "failed", "mean value", "mean gap"]
    return table(lines, [*head, "utilization", "mean seconds"])


def _mean(values: pandas.Series) -> float | None:
    numbers = pandas.to_numeric(values, errors="coerce").dropna()
    return float(numbers.mean()) if len(numbers) else None
