"""Workers of a Dask cluster: one that runs already, or one that is started on this machine.

A Dask scheduler runs whatever it is given.  The cluster that is started here talks TLS with a certificate made for it,
which both sides have to show: other users of the machine reach its ports but are refused.  What a cluster at a given
address asks for is in that user's Dask configuration (``distributed.comm.tls``).
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from llmsched_mip.errors import error_text
from llmsched_mip.processes import cores
from llmsched_mip.study.cases import Case
from llmsched_mip.study.engines.engine import EngineError, Finished, Progress, Started
from llmsched_mip.study.runner import failed_case, run_case

CONNECT_SECONDS = 10.0
ALLOWED_FAILURES = 1


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
        try:
            import distributed  # noqa: F401
        except ImportError:
            raise EngineError("--engine dask needs the package distributed: pip install 'llmsched-mip[dask]'") from None
        if scheduler is None and find_spec("cryptography") is None:
            raise EngineError(
                "--engine dask needs the package cryptography, so that nobody else on this machine can use its "
                "cluster: pip install 'llmsched-mip[dask]'"
            )
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
        import dask
        from distributed import Client, LocalCluster
        from distributed.security import Security

        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        try:
            if self.scheduler is not None:
                return stack.enter_context(Client(self.scheduler, timeout=CONNECT_SECONDS, set_as_default=False))
            stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED_FAILURES}))
            with _interrupts_ignored():
                cluster = LocalCluster(
                    n_workers=self.jobs,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    host="tls://127.0.0.1",
                    security=Security.temporary(),
                    silence_logs=logging.CRITICAL,
                )
            stack.enter_context(cluster)
            return stack.enter_context(Client(cluster, set_as_default=False))
        except (OSError, ValueError, RuntimeError) as error:
            where = f"scheduler {self.scheduler}" if self.scheduler else "a Dask cluster on this machine"
            raise EngineError(f"{where}: no connection: {error_text(error)}") from None

    @staticmethod
    def _finished(case: Case, future: Any) -> Finished:
        if future.status == "finished":
            return Finished(case, future.result())
        if future.status in ("cancelled", "lost"):
            raise EngineError("the Dask cluster gave up the cases; what was recorded is kept, continue with --resume")
        error = future.exception()
        if type(error).__name__ == "KilledWorker":
            return Finished(case, failed_case(case, f"the worker process died more than once: {error_text(error)}"))
        # `run_case` records what a case raises: this is the cluster's, e.g. a worker without the package.
        raise EngineError(f"a Dask worker: {error_text(error)}; what was recorded is kept, continue with --resume")


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Worker processes started inside ignore Ctrl-C, which is for this process (Dask's would print tracebacks)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
