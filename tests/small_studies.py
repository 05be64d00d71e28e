"""Small study files, and the command line as a process that can be killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from _study import recorded_share, same_results

__all__ = ["command", "recorded_share", "same_results", "start", "wait_for_share", "write_study"]

ROWS = """
[[rows]]
label = "fcfs"
policy = "fcfs"

[[rows]]
label = "offline only"
policy = "plan"
plan = "{method}"

[[rows]]
label = "online only"
policy = "lagrangian"
lengths = ["known", "interval"]

[[rows]]
label = "hybrid"
policy = "lagrangian"
plan = "{method}"
"""


def write_study(
    folder: Path, seeds: int = 3, requests: int = 40, method: str = "lists", name: str = "small", extra: str = ""
) -> Path:
    """A study of the four rows on generated instances, whose solves end by themselves."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    head = f'name = "{name}"\ngap = 0.9\ntime_limits = [60]\n{extra}\n[[instances]]\nfamily = "gsm8k-65b"\n'
    head += f"requests = {requests}\nslots = 8\nseed_range = {{count = {seeds}}}\nintervals = 4.0\n"
    path.write_text(head + ROWS.format(method=method), encoding="utf-8")
    return path


def command(*arguments: object) -> list[str]:
    """`llmsched study` with these arguments."""
    return [sys.executable, "-m", "llmsched_mip.cli", "study", *map(str, arguments)]


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start `llmsched study`."""
    return subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_share(process: subprocess.Popen[str], folder: Path, share: float) -> None:
    """Wait until a share of the results is recorded and the process still runs."""
    until = time.monotonic() + 600
    while recorded_share(folder) < share:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.02)
