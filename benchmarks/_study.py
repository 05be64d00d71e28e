"""Published studies: run them through `llmsched study`, also killed on the way, and read what they recorded."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from llmsched_mip.study import LedgerError, read_ledger

STUDIES = Path("docs/studies")
ROWS = ("fcfs", "offline only", "online only", "hybrid")
TIMES = ["seconds", "started", "finished", "host", "trace"]
POLL_SECONDS = 0.2


def study_file(name: str, folder: Path, seeds: int | None = None) -> Path:
    """The study file `name`, or a copy in `folder` with another number of seeds."""
    path = STUDIES / f"{name}.toml"
    if seeds is None:
        return path
    text, found = re.subn(r"count = \d+", f"count = {seeds}", path.read_text(encoding="utf-8"))
    if found != 1:
        raise ValueError(f"{path}: expected one count of seeds, found {found}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{seeds}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def command(path: Path, folder: Path, jobs: int) -> list[str]:
    """The command that runs a study, or continues it."""
    program = [sys.executable, "-m", "llmsched_mip.cli", "study", str(path)]
    return [*program, "--out", str(folder), "--jobs", str(jobs), "--resume"]


def run(path: Path, folder: Path, jobs: int) -> pd.DataFrame:
    """Run or continue a study; its ledger.  Ends the script where the study fails, as it says itself why."""
    code = subprocess.run(command(path, folder, jobs), stdout=sys.stderr).returncode
    if code:
        sys.exit(code)
    return read_ledger(folder)


def run_killed(path: Path, folder: Path, jobs: int, kills: int = 2) -> pd.DataFrame:
    """Run a study, kill it (SIGKILL) `kills` times at even parts of its cases, and continue it each time."""
    if recorded_share(folder):
        raise LedgerError(f"{folder}: holds results already, expected a new folder for a study that is to be killed")
    for k in range(1, kills + 1):
        process = subprocess.Popen(command(path, folder, jobs), stdout=subprocess.DEVNULL)
        while process.poll() is None and recorded_share(folder) < k / (kills + 1):
            time.sleep(POLL_SECONDS)
        if process.poll() is not None:
            raise RuntimeError(f"the study ended before it could be killed for time {k}")
        process.send_signal(signal.SIGKILL)
        process.wait()
        print(f"killed with {recorded_share(folder):.0%} of the results recorded", file=sys.stderr, flush=True)
    return run(path, folder, jobs)


def recorded_share(folder: Path) -> float:
    """Results over rows of a ledger that may be in use, or not there yet."""
    path = folder / "ledger.sqlite"
    if not path.is_file():
        return 0.0
    try:
        with closing(sqlite3.connect(path.resolve().as_uri() + "?mode=ro", uri=True, timeout=10)) as database:
            (results,) = database.execute("SELECT count(*) FROM results").fetchone()
            (cases,) = database.execute("SELECT count(*) FROM cases").fetchone()
    except sqlite3.Error:
        return 0.0
    return results / max(1, cases)


def without_times(frame: pd.DataFrame) -> pd.DataFrame:
    """A ledger without what a clock or the machine decides; of the trace, the incumbents and bounds remain."""
    frame = frame.copy()
    frame["found"] = [str([point[1:] for point in trace]) for trace in frame["trace"]]
    for name in ("bounds", "options", "versions"):
        frame[name] = frame[name].map(str)
    return frame.drop(columns=TIMES).sort_values("position").reset_index(drop=True)


def same_results(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two ledgers agree up to times and the order of recording."""
    return without_times(one).equals(without_times(other))


def complete(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The ledger where every row has a plan; raises `LedgerError` with the first error otherwise."""
    wrong = frame[~frame["status"].isin(["optimal", "feasible"])]
    if len(wrong):
        first = wrong.iloc[0]
        raise LedgerError(
            f"{folder}: {len(wrong)} rows without a schedule, the first: {first['row']}: {first['error']}"
        )
    return frame


def closure(frame: pd.DataFrame, baseline: pd.DataFrame) -> np.ndarray:
    """Share of the gap to the bound that each row closes against the baseline of its instance, shape (cases,)."""
    base, bound = baseline["value"].to_numpy(), frame["bound"].to_numpy()
    closed: np.ndarray = (base - frame["value"].to_numpy()) / (base - bound)
    return closed
