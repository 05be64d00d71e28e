"""Many replays on all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any

from llmsched_mip.errors import SchedulingError
from llmsched_mip.processes import cores, interrupts_blocked, serve_only


class Crew:
    """Processes that evaluate rules; with one job all is done in this one.

    Parameters
    ----------
    jobs : int, optional
        Default: the cores that this process may use.
    """

    def __init__(self, jobs: int | None = None):
        self.jobs = jobs or cores()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Crew:
        if self.jobs > 1:
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.jobs, context, serve_only, (os.getpid(),))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, function: Callable[..., float], *columns: Sequence[Any]) -> list[float]:
        """The function of each row, in order.

        Raises
        ------
        SchedulingError
            A process has died.
        """
        if self._pool is None:
            return list(map(function, *columns))
        try:
            with interrupts_blocked():
                futures = [self._pool.submit(function, *row) for row in zip(*columns, strict=True)]
            return [future.result() for future in futures]
        except BrokenProcessPool:
            raise SchedulingError("a process of the training has died, perhaps for want of memory") from None
