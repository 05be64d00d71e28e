"""Tables of a report: what they hold, apart from how they are written (`formats`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from llmsched_mip.report.columns import Column, Table
from llmsched_mip.report.data import Report, is_baseline
from llmsched_mip.report.statistics import deviation, mean, paired, primal_dual_integral, shifted_geometric_mean
from llmsched_mip.report.stochastic import stochastic_table

SECONDS_SHIFT, GAP_SHIFT = 1.0, 0.01
PUBLISHED = {
    "fcfs": (201.00, 80.2, None),
    "hybrid": (190.58, 89.1, 52.4),
}
PUBLISHED_NOTE = (
    "Published: LLaMA-65B and GSM8K, 1319 requests, 200 clients: baseline and hybrid method; over 100 cases, 8.0 % "
    "more utilization on average."
)


def all_tables(report: Report) -> list[Table]:
    """The tables that this data allows, in the order of the page."""
    made = [summary_table(report), gap_table(report), means_table(report), stochastic_table(report)]
    made.append(failures_table(report))
    return [table for table in made if table is not None]


def _percent(values: pd.Series) -> pd.Series:
    return 100 * values


def _text(values: pd.Series) -> pd.Series:
    return values.where(values != "", None)


def gap_table(report: Report) -> Table:
    """One line per result: value, best bound, both readings of the gap, which bound, seconds, status."""
    rows = report.rows
    several = rows["objective"].nunique() > 1
    parts: list[tuple[Column, Callable[[], pd.Series], bool]] = [
        (Column("instance"), lambda: _text(rows["instance"]), True),
        (Column("seed", digits=0), lambda: rows["seed"], bool(rows["seed"].notna().any())),
        (Column("row"), lambda: _text(rows["series"]), True),
        (Column("objective"), lambda: rows["objective"], several),
        (Column("value", "s", 3), lambda: rows["value"], True),
        (Column("best bound", "s", 3), lambda: rows["best_bound"], True),
        (Column("gap of value", "%", 3), lambda: _percent(rows["gap_value"]), True),
        (Column("gap of bound", "%", 3), lambda: _percent(rows["gap_bound"]), True),
        (Column("gap closure", "%", 1), lambda: _percent(rows["closure"]), bool(rows["closure"].notna().any())),
        (Column("bound"), lambda: _text(rows["best_bound_name"].str.replace("_", " ")), True),
        (Column("utilization", "%", 1), lambda: _percent(rows["utilization"]), True),
        (Column("time", "s", 3), lambda: rows["seconds"], True),
        (Column("status"), lambda: rows["status"], True),
    ]
    shown = [(column, values().tolist()) for column, values, wanted in parts if wanted]
    note = (
        "Gap of value: (value − bound) / value; gap of bound: (value − bound) / bound. The best bound of an instance "
        "is the largest that any row has proven for it. Gap closure: (baseline − value) / (baseline − bound)."
    )
    lines = [list(line) for line in zip(*(values for _, values in shown), strict=True)]
    return Table("gaps", "Values, bounds and gaps", [column for column, _ in shown], lines, note)


def summary_table(report: Report) -> Table | None:
    """Baseline, offline, online, hybrid as in a paper; None without a baseline row."""
    rows = report.rows[report.rows["objective"] == "makespan"]
    if rows.empty or not is_baseline(rows).any() or rows["series"].nunique() < 2:
        return None
    base = rows[is_baseline(rows)].drop_duplicates("case").set_index("case")
    published = {
        name: figures for name, figures in PUBLISHED.items() if name in {label.casefold() for label in rows["row"]}
    }
    columns = [
        Column("row"), Column("cases", digits=0), Column("total time", "s", 2), Column("utilization", "%", 1),
        Column("gain", "points", 1), Column("gap closure", "%", 1), Column("gap of value", "%", 2),
        Column("better than baseline"), Column("p", digits=4),
    ]  # fmt: skip
    if published:
        columns += [
            Column("published time", "s", 2),
            Column("published utilization", "%", 1),
            Column("published closure", "%", 1),
        ]
    lines = []
    for series, runs in rows.groupby("series", sort=False):
        lines.append(_summary_line(str(series), runs, base))
        if published:
            lines[-1] += published.get(runs["row"].iloc[0].casefold(), (None, None, None))
    note = (
        "Mean ± standard deviation over cases. Gain: utilization above the baseline's on the same case. p: two-sided "
        "Wilcoxon signed-rank test of the total times against the baseline, paired by case."
    )
    families = sorted({family for family in rows["family"] if family})
    if published:
        note += " " + PUBLISHED_NOTE + (f" Here: {', '.join(families)}." if families else "")
    return Table("summary", "Baseline, offline, online, hybrid", columns, lines, note)


def _summary_line(series: str, runs: pd.DataFrame, base: pd.DataFrame) -> list[Any]:
    ran = runs[runs["value"].notna()]
    with_base = ran[ran["case"].isin(base.index)].drop_duplicates("case")
    reference = base.loc[with_base["case"]]
    gain = 100 * (with_base["utilization"].to_numpy() - reference["utilization"].to_numpy())
    against = paired(reference["value"], with_base["value"])
    baseline = bool(is_baseline(runs).all())
    return [
        series,
        len(ran),
        _pair(ran["value"]),
        _pair(_percent(ran["utilization"])),
        None if baseline else _pair(gain),
        None if baseline else _pair(_percent(ran["closure"])),
        _pair(_percent(ran["gap_value"])),
        None if baseline else f"{against.better} of {against.pairs}",
        None if baseline else against.p_value,
    ]


def _pair(values: Any) -> tuple[float, float]:
    return mean(values), deviation(values)


def means_table(report: Report) -> Table | None:
    """Shifted geometric means and primal-dual integrals of every row; None for a single result."""
    if len(report.done) < 2:
        return None
    rows = report.done.assign(integral=integrals(report.done))
    traced = bool(rows["integral"].notna().any())
    columns = [
        Column("row"), Column("results", digits=0), Column("failed", digits=0),
        Column("time, shifted geometric mean", "s", 3), Column("gap of bound, shifted geometric mean", "%", 3),
        Column("median gap of bound", "%", 3), Column("largest gap of bound", "%", 3),
        Column("proven optimal", digits=0),
    ]  # fmt: skip
    columns += [Column("primal-dual integral, mean", "s", 3)] if traced else []
    lines = []
    for series, runs in rows.groupby("series", sort=False):
        gaps = runs["gap_bound"].dropna()
        line = [
            str(series),
            len(runs),
            int(runs["value"].isna().sum()),
            shifted_geometric_mean(runs["seconds"], SECONDS_SHIFT),
            100 * shifted_geometric_mean(gaps, GAP_SHIFT),
            100 * float(gaps.median()) if len(gaps) else None,
            100 * float(gaps.max()) if len(gaps) else None,
            int((runs["status"] == "optimal").sum()),
        ]
        lines.append([*line, mean(runs["integral"])] if traced else line)
    note = (
        f"Shifts: {SECONDS_SHIFT:g} s for times, {100 * GAP_SHIFT:g} percentage point for gaps. Primal-dual "
        "integral: of the gap |incumbent − bound| / max(|incumbent|, |bound|), 1 as long as one is missing, over the "
        "time of the run."
    )
    return Table("means", "Methods compared", columns, lines, note)


def integrals(rows: pd.DataFrame) -> list[float]:
    """Primal-dual integral of every row, seconds; NaN without a trace or a time."""
    return [
        primal_dual_integral(trace, seconds) if trace and np.isfinite(seconds) else float("nan")
        for trace, seconds in zip(rows["trace"], rows["seconds"], strict=True)
    ]


def failures_table(report: Report) -> Table | None:
    """Cases that ran and have no value, and why; None when there is none."""
    failed = report.done[report.done["value"].isna()]
    if failed.empty:
        return None
    columns = [Column("instance"), Column("row"), Column("status"), Column("error")]
    lines = [_text(failed[name]).tolist() for name in ("instance", "series", "status", "error")]
    return Table("failures", "Cases without a result", columns, [list(line) for line in zip(*lines, strict=True)])
