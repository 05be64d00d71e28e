"""Hidden lengths: what policies reach that see intervals, or nothing, and what is possible; docs/results/hidden.md."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

import numpy as np
from _hidden_cases import (
    ADAPTIVE,
    COMPLETION_FAMILIES,
    COMPLETION_POLICIES,
    COMPLETION_REQUESTS,
    MAKESPAN_FAMILIES,
    MISSES,
    all_cases,
    column,
    run_all,
)
from _ledger import Table
from _results import markdown_table, run_with, write_page
from scipy.stats import wilcoxon

SECTIONS = ("makespan", "completion", "wrong", "arrivals")
Rows = list[dict[str, str]]


def main() -> None:
    """Replay what is not in the ledger and write docs/results/hidden.md."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark hidden", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sections", nargs="*", default=list(SECTIONS), choices=SECTIONS)
    parser.add_argument("--out", type=Path, default=Path("out/hidden"), help="folder of the ledger; it is continued")
    options = parser.parse_args()
    began = time.perf_counter()
    table = run_all(list(all_cases(options.seeds, options.sections)), options.out / "hidden.csv", options.jobs)
    command = shlex.join(["scripts/benchmark", "hidden", *sys.argv[1:]])
    how = run_with(command, began).replace(
        "one thread", "one process" if options.jobs == 1 else f"{options.jobs} processes"
    )
    intro = (
        "What policies reach that see a prediction interval of each length (u = 4 l, the length anywhere inside on a "
        "logarithmic scale), or nothing. *p*: two-sided Wilcoxon signed-rank tests of paired differences. For the "
        "makespan `lagrangian-stochastic` and `rolling` decide as `lagrangian` does. The learned policy on the "
        "families that it is trained for: [learned](learned.md)."
    )
    writers = {"makespan": _makespan, "completion": _completion, "wrong": _wrong, "arrivals": _arrivals}
    parts = [part for name in SECTIONS for part in writers[name](table)]
    print(f"wrote {write_page('hidden.md', ['# Hidden lengths', intro, how, *parts])}")


def _rows(table: Table, section: str, **fixed: str) -> Rows:
    rows = (row for row in table.rows.values() if row["section"] == section)
    return [row for row in rows if all(row[name] == value for name, value in fixed.items())]


def _p(first: np.ndarray, second: np.ndarray) -> str:
    if len(first) < 5 or np.all(first == second):
        return "-"
    p = float(wilcoxon(first, second).pvalue)
    return f"{p:.1g}" if p >= 1e-9 else "< 1e-9"


def _makespan(table: Table) -> list[str]:
    parts = []
    for family in MAKESPAN_FAMILIES:
        reference = _rows(table, "makespan", family=family, policy="fcfs", sight="known")
        if not reference:
            continue
        fcfs, bound, blind = (column(reference, name) for name in ("value", "bound", "blind_bound"))
        header = [
            "policy",
            "sees",
            "makespan s",
            "closed %",
            "of what is possible %",
            "evictions",
            "most",
            "better",
            "p",
        ]
        lines: list[list[str]] = []
        for sight in ("known", "interval", "unknown"):
            same_rows = _rows(table, "makespan", family=family, policy="fcfs", sight=sight)
            same = column(same_rows, "value")
            for policy in ("fcfs", "longest-first", *ADAPTIVE):
                rows = _rows(table, "makespan", family=family, policy=policy, sight=sight)
                if len(rows) != len(reference):
                    continue
                value, evictions = column(rows, "value"), column(rows, "evictions")
                closed = 100 * float(np.mean((fcfs - value) / (fcfs - bound)))
                possible = 100 * float((fcfs - value).mean() / (fcfs - blind).mean())
                line = [policy, sight, f"{value.mean():.2f}", f"{closed:.1f}"]
                line += [f"{possible:.0f}" if sight == "unknown" else "-", f"{evictions.mean():.1f}"]
                line += [f"{evictions.max():.0f}", f"{int((value < same).sum())} of {len(value)}", _p(value, same)]
                lines.append(line)
        parts += [
            f"## {family}",
            f"{len(reference)} backlogs of 1,319 requests (seeds 0 to {len(reference) - 1}), makespan. *Closed*: mean "
            "share of the gap between `fcfs` with known lengths and the proven bound for known lengths. *Of the "
            "possible*: mean gain over that of those who are told the lengths in the order of the starts, and may not "
            "change it (`llmsched bound --lengths unknown`). *Better* and *p*: against `fcfs` that sees the same. "
            f"Means: bound {bound.mean():.2f} s, without lengths {blind.mean():.2f} s.",
            markdown_table(header, lines),
        ]
    return parts


def _completion(table: Table) -> list[str]:
    rules = COMPLETION_POLICIES[1:]
    header = ["family", "sees", "fcfs, mean s", *rules, "better than fcfs, svf, machine-time", "p"]
    lines: list[list[str]] = []
    for family in COMPLETION_FAMILIES:
        for sight in ("known", "interval", "unknown"):
            all_rows = {
                policy: _rows(table, "completion", family=family, policy=policy, sight=sight)
                for policy in COMPLETION_POLICIES
            }
            if not all_rows["fcfs"]:
                continue
            values = {policy: column(rows, "value") for policy, rows in all_rows.items()}
            fcfs, simple = values["fcfs"], np.minimum.reduce([values[rule] for rule in ("fcfs", "svf", "machine-time")])
            mine = values["lagrangian"]
            line = [family, sight, f"{fcfs.mean() / COMPLETION_REQUESTS:.2f}"]
            line += [f"{np.mean(values[rule] / fcfs):.3f}" for rule in rules]
            lines.append([*line, f"{int((mine < simple).sum())} of {len(mine)}", _p(mine, simple)])
    if not lines:
        return []
    return [
        "## Total completion",
        f"{COMPLETION_REQUESTS} requests at once, measured times; the mean completion of `fcfs`, and of the others the "
        "mean ratio to it. *Better* and *p*: `lagrangian` against the best of the three on the same instance. "
        "What limits the work in progress: [policies](../policies.md#work-in-progress).",
        markdown_table(header, lines),
    ]


def _wrong(table: Table) -> list[str]:
    seeds = len({row["seed"] for row in _rows(table, "wrong")})
    if not seeds:
        return []
    header = ["family", "policy", "right, u = 5 l", *MISSES]
    lines: list[list[str]] = []
    for family in ("lmsys-chat", "mixture", *MAKESPAN_FAMILIES):
        for policy in ADAPTIVE:
            blind = _rows(table, "wrong", family=family, policy=policy, sight="unknown")
            if not blind:
                continue
            cells = []
            for kind in ("intervals:5", *MISSES.values()):
                rows = _rows(table, "wrong", family=family, policy=policy, sight="interval", kind=kind)
                ratio = column(rows, "value") / column(blind, "value")
                cells.append(f"{ratio.mean():.3f} ({column(rows, 'evictions').mean():.3g})")
            lines.append([family, policy, *cells])
    return [
        "## Wrong intervals",
        f"Value over that of the same policy with nothing known, mean over {seeds} seeds, and the evictions. "
        "lmsys-chat and mixture: 1,000 requests in unit rounds without slots, M = 16,492, total completion; the others "
        "makespan.",
        markdown_table(header, lines),
    ]


def _arrivals(table: Table) -> list[str]:
    parts: list[str] = []
    for family in dict.fromkeys(row["family"] for row in _rows(table, "arrivals")):
        fcfs = _rows(table, "arrivals", family=family, policy="fcfs")
        values = {
            policy: rows
            for policy in dict.fromkeys(row["policy"] for row in _rows(table, "arrivals", family=family))
            if len(rows := _rows(table, "arrivals", family=family, policy=policy)) == len(fcfs)
        }
        lines: list[list[str]] = []
        tail = column(fcfs, "p99_latency")
        for policy, rows in values.items():
            mean, p99 = column(rows, "mean_latency"), column(rows, "p99_latency")
            line = [policy, rows[0]["sight"], f"{mean.mean():.2f}", f"{p99.mean():.1f}", f"{np.mean(p99 / tail):.2f}"]
            lines.append([*line, f"{column(rows, 'evictions').mean():.1f}", f"{column(rows, 'seconds').mean():.1f}"])
        header = ["policy", "sees", "mean latency s", "p99 s", "p99 over fcfs", "evictions", "seconds"]
        parts += [
            f"## {family}, arrivals of the trace",
            f"Workers as in [arrivals](arrivals.md), intervals u = 5 l; {len(fcfs)} seeds of the intervals.",
            markdown_table(header, lines),
        ]
    return parts


if __name__ == "__main__":
    main()
