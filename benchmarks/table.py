"""Quick benchmarks of this version, added to the table of results by version.

Usage: scripts/benchmark table [--only NAME ...]

Runs `startup`, `build`, `replay` and `mmbpp` at a small size, appends a line for each figure to
benchmarks/results.csv, and writes benchmarks/results.md from it again.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import _results
import build
import mmbpp
import replay
import startup
from _figures import Figure

from llmsched_mip import __version__

FOLDER = Path(__file__).resolve().parent
HEAD = ("version", "commit", "date", "machine", "benchmark", "what", "seconds", "reference", "ratio")
QUICK: dict[str, Callable[[], list[Figure]]] = {
    "startup": startup.figures,
    "build": build.figures,
    "replay": replay.figures,
    "mmbpp": mmbpp.figures,
}
INTRO = """\
# Quick benchmarks by version

Written by `scripts/benchmark table`, which adds the figures of the version that runs. Each is the fastest of some runs,
in seconds; the ratio is to what is named beside it, which ran in the same minute on the same machine. Machines are
shared and noisy: compare ratios.
"""


def commit() -> str:
    """Short name of the commit, with a + where files differ from it."""
    command = ["git", "-C", str(FOLDER), "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def machine() -> str:
    """Cores and processor of this machine."""
    names: set[str] = set()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}
    return f"{os.cpu_count()} cores, {', '.join(sorted(names)) or platform.machine()}"


def page(rows: list[list[str]]) -> str:
    """The table as Markdown, the latest figures first."""
    return INTRO + "\n" + _results.markdown_table(HEAD, reversed(rows))


def main() -> None:
    """Run what was asked for, and write both files."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark table", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(QUICK), default=list(QUICK))
    options = parser.parse_args()
    here = [__version__, commit(), datetime.now(UTC).date().isoformat(), machine()]
    path = FOLDER / "results.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    for name in options.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        for figure in QUICK[name]():
            rows.append([*here, name, figure.what, f"{figure.seconds:.3f}", figure.reference, f"{figure.ratio:.3g}"])
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([HEAD, *rows])
    (FOLDER / "results.md").write_text(page(rows), encoding="utf-8")
    print(f"wrote {path} and results.md beside it")


if __name__ == "__main__":
    main()
