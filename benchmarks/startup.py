"""Seconds and memory until a command ends, beside the bare interpreter and `import numpy` in the same run.

Usage: scripts/benchmark startup [--runs N]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from _figures import Figure

from llmsched_mip.cli.console import emit, table

ROOT = Path(__file__).resolve().parents[1]
TINY = str(ROOT / "instances" / "tiny" / "slots.json")
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "llmsched --help": ["-m", "llmsched", "--help"],
    "llmsched solve --help": ["-m", "llmsched", "solve", "--help"],
    "llmsched check TINY": ["-m", "llmsched", "check", TINY],
    "llmsched bound TINY": ["-m", "llmsched", "bound", TINY],
    "llmsched bound TINY --objective total_completion": [
        "-m", "llmsched", "bound", TINY, "--objective", "total_completion", "--time-limit", "0"
    ],
    "llmsched replay TINY --policy fcfs": ["-m", "llmsched", "replay", TINY, "--policy", "fcfs"],
}  # fmt: skip


def run(arguments: list[str]) -> tuple[float, float]:
    """Wall seconds and peak memory (MB) of a Python process."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, cwd=ROOT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"startup: {' '.join(arguments)} ended with status {status}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def fastest(runs: int) -> dict[str, tuple[float, float]]:
    """Seconds and peak memory (MB) of the fastest of some runs of each command."""
    return {name: min(run(arguments) for _ in range(runs)) for name, arguments in COMMANDS.items()}


def figures() -> list[Figure]:
    """For the table of results by version."""
    least = {name: seconds for name, (seconds, _) in fastest(3).items()}
    numpy_s = least["import numpy"]
    return [Figure(name, s, "import numpy", s / numpy_s) for name, s in least.items() if name.startswith("llmsched")]


def main() -> None:
    """Print the table: the fastest of some runs each, and its ratio to importing numpy."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark startup", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each command, the fastest counts (default 5)")
    options = parser.parse_args()
    least = fastest(options.runs)
    numpy_s = least["import numpy"][0]
    rows = [
        [name, f"{seconds:.2f}", f"{seconds / numpy_s:.1f}", f"{megabytes:.0f}"]
        for name, (seconds, megabytes) in least.items()
    ]
    emit(table(rows, ["command", "seconds", "x import numpy", "MB"]))


if __name__ == "__main__":
    main()
