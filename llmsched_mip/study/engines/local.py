"""Worker processes on this machine.

Each has its own pipe, so that a process that dies is known with its case, and no other case suffers.  (A
`ProcessPoolExecutor` is broken as a whole by one dead process and does not say whose case it was.)
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from llmsched_mip.processes import cores, interrupts_blocked, serve_only
from llmsched_mip.study.cases import Case
from llmsched_mip.study.engines.engine import EngineError, Finished, Progress, Started
from llmsched_mip.study.runner import RowResult, failed_case, run_case

TRIALS = 2
PATIENCE_S = 2.0


class LocalEngine:
    """Runs cases in `jobs` processes.

    Parameters
    ----------
    jobs : int, optional
        Default: the cores that this process may use.
    scheduler : None
        Goes with other engines.
    """

    def __init__(self, jobs: int | None = None, scheduler: str | None = None):
        if scheduler is not None:
            raise EngineError("--scheduler goes with --engine dask")
        self.jobs = jobs or cores()

    @property
    def width(self) -> int:
        """Cases that run at once."""
        return self.jobs

    def run(self, cases: Sequence[Case]) -> Generator[Progress, None, None]:
        """Run every case; see `Engine`."""
        waiting = deque((case, 1) for case in cases)
        idle = [_Worker() for _ in range(min(self.jobs, len(cases)))]
        busy: dict[Any, _Worker] = {}
        try:
            while waiting or busy:
                while waiting and idle:
                    worker = idle.pop()
                    case, trial = waiting.popleft()
                    worker.give(case, trial)
                    busy[worker.pipe] = worker
                    if trial == 1:
                        yield Started(case)
                for pipe in wait(list(busy)):
                    worker = busy.pop(pipe)
                    results = worker.take()
                    if results is not None:
                        idle.append(worker)
                        yield Finished(worker.case, results)
                        continue
                    worker.process.join(PATIENCE_S)
                    worker.end()
                    idle.append(_Worker())
                    if worker.trial < TRIALS:
                        waiting.appendleft((worker.case, worker.trial + 1))
                    else:
                        yield Finished(worker.case, worker.epitaph())
        finally:
            for worker in [*idle, *busy.values()]:
                worker.end()


class _Worker:
    """A process and its pipe; started with the first case that it gets."""

    case: Case
    trial: int
    pipe: Connection

    def __init__(self) -> None:
        self.process: Any = None

    def give(self, case: Case, trial: int) -> None:
        self.case, self.trial = case, trial
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
            with interrupts_blocked():
                self.process.start()
            theirs.close()
        # A process that died while it was idle: `take` finds that out.
        with contextlib.suppress(OSError):
            self.pipe.send(case)

    def take(self) -> list[RowResult] | None:
        """Results of the case, or None where the process has died."""
        try:
            results: list[RowResult] = self.pipe.recv()
        except (EOFError, OSError):
            return None
        return results

    def epitaph(self) -> list[RowResult]:
        code = self.process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
        return failed_case(self.case, f"the worker process died {self.trial} times, the last time by {how}")

    def end(self) -> None:
        if self.process is None:
            return
        self.pipe.close()
        if not self.process.is_alive():
            self.process.join()
            return
        self.process.terminate()
        self.process.join(PATIENCE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(pipe: Connection, parent: int) -> None:
    """Run what comes, until nobody is there.  Ctrl-C is for the parent, which then ends this process."""
    serve_only(parent)
    while True:
        try:
            case = pipe.recv()
        except EOFError:
            return
        results = run_case(case)
        try:
            pipe.send(results)
        except OSError:
            return
