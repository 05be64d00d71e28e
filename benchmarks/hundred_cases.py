"""The four rows over 100 seeds, for lengths that are known, predicted and unknown, through `llmsched study`."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

import _charts
import _results
import _study
import numpy as np
import pandas as pd

from llmsched_mip.errors import SchedulingError
from llmsched_mip.report.statistics import paired

LENGTHS = {
    "known": "Known lengths",
    "interval": "Prediction intervals (upper / lower end = 4)",
    "unknown": "Unknown lengths",
}


def main() -> None:
    """Run the study as the command line says, and write docs/results/hundred_cases.md and .svg."""
    parser = argparse.ArgumentParser(prog="scripts/hundred_cases", description=__doc__)
    parser.add_argument("--seeds", type=int, help="another number of seeds than 100")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes")
    parser.add_argument(
        "--out", type=Path, default=Path("out/hundred_cases"), help="folder; a study in it is continued"
    )
    parser.add_argument("--page", default="hundred_cases", help="name of the page in docs/results")
    parser.add_argument(
        "--kill-twice",
        action="store_true",
        help="kill the study twice and continue it, run it again unbroken beside it, and compare the ledgers",
    )
    options = parser.parse_args()
    began = time.perf_counter()
    try:
        frame = _run(options)
    except SchedulingError as error:
        print(f"hundred_cases: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    command = shlex.join(["scripts/hundred_cases", *sys.argv[1:]])
    how = _results.run_with(command, began).replace("one thread", f"{options.jobs} worker processes")
    if options.kill_twice:
        how += " The study was killed twice and continued; its ledger equals that of an unbroken run up to times."
    print(f"wrote {_page(frame, options.page, how)}")


def _run(options: argparse.Namespace) -> pd.DataFrame:
    path = _study.study_file("hundred_cases", options.out, options.seeds)
    if not options.kill_twice:
        return _study.complete(_study.run(path, options.out, options.jobs), options.out)
    frame = _study.run_killed(path, options.out, options.jobs)
    unbroken = options.out.with_name(options.out.name + "-unbroken")
    if not _study.same_results(frame, _study.run(path, unbroken, options.jobs)):
        print(f"hundred_cases: {options.out} and {unbroken} differ", file=sys.stderr)
        sys.exit(1)
    print("the ledger of the killed study equals that of the unbroken one up to times", file=sys.stderr)
    return _study.complete(frame, options.out)


def _page(frame: pd.DataFrame, name: str, how: str) -> Path:
    seeds = frame["seed"].nunique()
    intro = (
        f"{seeds} backlogs of family `gsm8k-65b` (1319 requests, 200 slots, seeds {frame['seed'].min()} to "
        f"{frame['seed'].max()}), the study `docs/studies/hundred_cases.toml`. Mean ± standard deviation over the "
        "seeds. *Gap*: (time - bound) / time against the best bound proven for the instance with its true lengths. "
        "*Closed*: share of the gap between `fcfs` and the bound. *Better*: cases with a shorter time than `fcfs`; "
        "*p*: two-sided Wilcoxon signed-rank tests of the paired differences in time and in utilization. *Offline "
        "only* executes the plan where lengths are known; else the order of a plan for the estimated lengths. "
        "Published for 100 cases: utilization + 8.0 points on average."
    )
    parts = ["# One hundred cases", intro, how, f"![Time by row]({name}.svg)\n"]
    groups: dict[str, list[float]] = {}
    for lengths, heading in LENGTHS.items():
        rows = frame[frame["lengths"] == lengths]
        parts += [f"## {heading}\n", _table(rows)]
        for label in _study.ROWS:
            runs = rows[rows["row"] == label]
            groups[f"{label}, {lengths}"] = (100 * (runs["makespan"] / runs["bound"] - 1)).tolist()
    page = _results.write_page(f"{name}.md", parts)
    title = f"Total time of 1319 requests on 200 slots over its lower bound, {seeds} cases"
    svg = _results.RESULTS / f"{name}.svg"
    _charts.write_boxes(svg, title, "% above the lower bound of the same instance", groups, {"lower bound": 0.0})
    return page


def _table(rows: pd.DataFrame) -> str:
    base = rows[rows["row"] == "fcfs"].sort_values("seed")
    lines = []
    for label in _study.ROWS:
        runs = rows[rows["row"] == label].sort_values("seed")
        lines.append([label, *_measures(runs, base), *(_compared(runs, base) if label != "fcfs" else ["-"] * 4)])
    head = ["row", "time s", "utilization %", "gap %", "closed %", "utilization - fcfs, points", "better"]
    return _results.markdown_table([*head, "p of time", "p of utilization"], lines)


def _measures(runs: pd.DataFrame, base: pd.DataFrame) -> list[str]:
    return [
        _spread(runs["makespan"], 2),
        _spread(100 * runs["utilization"], 2),
        _spread(100 * runs["gap"], 2),
        _spread(100 * _study.closure(runs, base), 1),
    ]


def _compared(runs: pd.DataFrame, base: pd.DataFrame) -> list[str]:
    time_ = paired(base["makespan"], runs["makespan"])
    utilization = paired(100 * base["utilization"], 100 * runs["utilization"], less_is_better=False)
    return [
        f"{utilization.mean:+.2f} ± {utilization.deviation:.2f}",
        f"{time_.better} of {time_.pairs}",
        _probability(time_.p_value),
        _probability(utilization.p_value),
    ]


def _spread(values: pd.Series | np.ndarray, digits: int) -> str:
    numbers = np.asarray(values, dtype=np.float64)
    spread = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else float("nan")
    return f"{np.mean(numbers):.{digits}f} ± {spread:.{digits}f}"


def _probability(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.1e}"


if __name__ == "__main__":
    main()
