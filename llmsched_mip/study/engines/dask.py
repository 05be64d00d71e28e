"""Workers of a Dask cluster: one that runs already, or one that is started on this machine (`llmsched_mip.engines`)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from typing import Any

from llmsched_mip.engines.dask import connected, killed_worker, require_dask
from llmsched_mip.errors import error_text
from llmsched_mip.processes import cores
from llmsched_mip.study.cases import Case
from llmsched_mip.study.engines.engine import EngineError, Finished, Progress, Started
from llmsched_mip.study.runner import failed_case, run_case


class DaskEngine:
    """Runs cases on a Dask cluster, which gives a case whose worker is lost to another worker.

    Parameters
    ----------
    jobs : int, optional
        Worker processes of the cluster on this machine; default: the cores that this process may use.
    scheduler : str, optional
        Address of a scheduler that runs, e.g. ``tcp://node:8786``; without it a cluster is started here.

    Raises
    ------
    EngineError
        `distributed`, or `cryptography` for a cluster of our own, is not installed, or both are given.
    """

    def __init__(self, jobs: int | None = None, scheduler: str | None = None):
        if scheduler is not None and jobs is not None:
            raise EngineError("--jobs goes with a cluster on this machine, the one at --scheduler has its own workers")
        require_dask(scheduler)
        self.jobs, self.scheduler = jobs or cores(), scheduler
        self._width = self.jobs

    @property
    def width(self) -> int:
        """Cases that run at once: the threads of all workers."""
        return self._width

    def run(self, cases: Sequence[Case]) -> Generator[Progress, None, None]:
        """Run every case; see `Engine`."""
        from distributed import as_completed

        if not cases:
            return
        with ExitStack() as stack:
            client = self._connected(stack)
            self._width = max(1, sum(client.nthreads().values()))
            futures = [client.submit(run_case, case, key=f"llmsched-{case.keys[0]}", pure=True) for case in cases]
            by_key = {future.key: case for future, case in zip(futures, cases, strict=True)}
            yield from (Started(case) for case in cases)
            try:
                for future in as_completed(futures, loop=client.loop):
                    yield self._finished(by_key[future.key], future)
                    future.release()
            finally:
                client.cancel(futures, force=True)

    def _connected(self, stack: ExitStack) -> Any:
        """A client of the cluster; `stack` closes what is opened here."""
        return connected(stack, self.scheduler, self.jobs)

    @staticmethod
    def _finished(case: Case, future: Any) -> Finished:
        if future.status == "finished":
            return Finished(case, future.result())
        if future.status in ("cancelled", "lost"):
            raise EngineError("the Dask cluster gave up the cases; what was recorded is kept, continue with --resume")
        error = future.exception()
        if killed_worker(error):
            return Finished(case, failed_case(case, f"the worker process died more than once: {error_text(error)}"))
        # `run_case` records what a case raises: this is the cluster's, e.g. a worker without the package.
        raise EngineError(f"a Dask worker: {error_text(error)}; what was recorded is kept, continue with --resume")
