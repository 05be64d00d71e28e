"""Other processes that work on the same instance: how they are started, what they do, how they end.

A helper is a Python of its own that runs `serve`, not a fork and not a copy of the caller's main module: what the
caller has imported, and whether it guards its own main, does not matter.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from llmsched_mip.lower_bound import Bound
from llmsched_mip.methods.board import Board, remove
from llmsched_mip.methods.search import Search
from llmsched_mip.normal_form import NormalForm
from llmsched_mip.processes import interrupts_blocked, serve_only
from llmsched_mip.result import Failure

TASK = "task"
PATIENCE_S = 2.0
MEMORY_BYTES = 4 * 2**30
"""What a helper may allocate: a part of it that needs more fails, and no other part or process with it."""
START = "from llmsched_mip.methods.helpers import serve; serve()"

Program = Callable[[Search, int, int], None]
"""What one of several processes does: the search, the number of the process and how many there are."""


class Task(NamedTuple):
    """What a helper gets: see `Search`; `ends` is the time of day at which the limit passes."""

    form: NormalForm
    ends: float
    gap: float
    seed: int
    bounds: dict[str, float]
    program: Program
    processes: int


class Helpers:
    """Processes 1, 2, ... of a search, from their start until this context is left.

    Parameters
    ----------
    search : Search
        That of process 0; it gets the board.
    program : Program
        A function of a module.
    processes : int
        Together with this one.
    """

    def __init__(self, search: Search, program: Program, processes: int):
        self.search, self.program, self.processes = search, program, processes
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._folder = Path()

    def __enter__(self) -> Helpers:
        search = self.search
        if self.processes < 2:
            return self
        self._folder = Path(tempfile.mkdtemp(prefix="llmsched-"))
        try:
            ends = time.time() + search.whole.remaining
            task = Task(
                search.form,
                ends,
                search.gap_target,
                search.seed,
                dict(search.bounds),
                self.program,
                self.processes,
            )
            (self._folder / TASK).write_bytes(pickle.dumps(task, protocol=pickle.HIGHEST_PROTOCOL))
            search.board = Board(self._folder, 0, self.processes)
            search.exchange(search.board)
            with interrupts_blocked():
                for process in range(1, self.processes):
                    self._running[process] = self._start(process)
        except OSError as error:
            search.fail("helpers", error)
        return self

    def _start(self, process: int) -> subprocess.Popen[bytes]:
        # What is importable here is so there, from wherever this package was imported.
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        with open(self._folder / f"{process}.stderr", "wb") as stderr:
            return subprocess.Popen(
                [sys.executable, "-c", START, str(self._folder), str(process), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, "PYTHONPATH": path},
            )

    def process_ids(self) -> list[int]:
        """Of the helpers that were started."""
        return [helper.pid for helper in self._running.values()]

    def wait(self) -> None:
        """Take over what the helpers find, until they are through, the goal is reached or the time has passed."""
        while not self.search.budget.spent() and any(helper.poll() is None for helper in self._running.values()):
            time.sleep(0.02)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        search, board = self.search, self.search.board
        if board is None:
            return
        codes = {process: helper.poll() for process, helper in self._running.items()}
        for helper in self._running.values():
            helper.terminate()
        for helper in self._running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                helper.wait(PATIENCE_S)
            if helper.poll() is None:
                helper.kill()
                helper.wait()
        search.exchange(board)
        search.board = None
        for process, code in codes.items():
            if code:
                search.report_failure(Failure(f"process {process}", self._last_words(process, code)))
        remove(self._folder)

    def _last_words(self, process: int, code: int) -> str:
        how = f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        with contextlib.suppress(OSError):
            lines = (self._folder / f"{process}.stderr").read_text(errors="replace").strip().splitlines()
            return f"{how}: {lines[-1]}" if lines else how
        return how


def serve() -> None:
    """Main function of a helper: the folder, its number and the caller's process id are its arguments."""
    folder, process, parent = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    _limit_memory()
    serve_only(parent, lambda: remove(folder))
    task: Task = pickle.loads((folder / TASK).read_bytes())
    search = Search(
        task.form.instance,
        max(0.0, task.ends - time.time()),
        task.gap,
        threads=1,
        seed=task.seed + process,
        form=task.form,
    )
    search.raise_bounds(Bound(name, value) for name, value in task.bounds.items())
    search.board = Board(folder, process, task.processes)
    search.exchange(search.board)
    task.program(search, process, task.processes)
    search.exchange(search.board)


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        resource = importlib.import_module("resource")
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, most))
