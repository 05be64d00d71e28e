"""Every case of `scale_cases` by `solve`, with one process and with two: docs/results/scale.md; resumable."""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from _ledger import Table
from _results import markdown_table, run_with, write_page
from _solves import solved_apart
from scale_cases import CASES

HEADER = ("case", "processes", "limit s", "value", "bound", "gap", "aim", "plan by", "bound by", "first plan s", "MiB")
ABOUT = Path(__file__).resolve().parent / "scale.md"


class Run(NamedTuple):
    """One case with so many processes and this share of its time limit."""

    name: str
    threads: int
    share: float

    @property
    def key(self) -> str:
        """Its name in the ledger."""
        return f"{self.name}-t{self.threads}-x{self.share:g}"

    def row(self) -> dict[str, object]:
        """Solve it."""
        case = CASES[self.name]
        seconds = self.share * case.seconds
        solved = solved_apart(case.make(), seconds, self.threads)
        return {"case": self.name, "threads": self.threads, "limit_s": seconds, "aim": case.gap, **asdict(solved)}


def main() -> None:
    """Run what is not in the ledger yet, print each row, and write the page when all cases were asked for."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark scale", description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=sorted(CASES), default=list(CASES), metavar="NAME")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="solves at once, each in a process of its own")
    parser.add_argument("--share", type=float, default=1.0, help="of each case's time limit")
    parser.add_argument("--out", type=Path, default=Path("out/scale"), help="folder of the ledger")
    parser.add_argument("--recorded", action="store_true", help="run nothing, take what is in the ledger")
    parser.add_argument("--page", action="store_true", help="write docs/results/scale.md")
    options = parser.parse_args()
    table, began = Table(options.out / "scale.csv"), time.perf_counter()
    runs = [Run(name, threads, options.share) for name in options.cases for threads in options.threads]
    if options.recorded:
        runs = [run for run in runs if run.key in table]
    for run in runs:
        if run.key in table:
            print("  ".join(_cells(table.rows[run.key])), flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        left = {pool.submit(run.row): run.key for run in runs if run.key not in table}
        for done in as_completed(left):
            table.add(left[done], done.result())
            print("  ".join(_cells(table.rows[left[done]])), flush=True)
    if options.page:
        command = f"scripts/benchmark scale{' --recorded' * options.recorded} --page"
        rows = [_cells(table.rows[run.key]) for run in runs]
        about = ABOUT.read_text(encoding="utf-8") if ABOUT.exists() else "# At scale\n"
        write_page("scale.md", [about, markdown_table(HEADER, rows), run_with(command, began)])


def _cells(row: dict[str, str]) -> list[str]:
    return [
        row["case"],
        row["threads"],
        f"{float(row['limit_s']):g}",
        f"{float(row['value']):.6g}",
        f"{float(row['bound']):.6g}",
        f"{float(row['gap']):.2%}",
        f"{float(row['aim']):.1%}",
        row["method"],
        row["binding"],
        f"{float(row['first_plan_s']):.2f}",
        f"{float(row['memory_mib']):.0f}",
    ]


if __name__ == "__main__":
    main()
