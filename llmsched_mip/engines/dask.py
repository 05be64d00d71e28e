"""A Dask cluster: one that runs already, or one that is started on this machine.

A Dask scheduler runs whatever it is given.  The cluster that is started here talks TLS with a certificate made for it,
which both sides have to show: other users of the machine reach its ports but are refused.  What a cluster at a given
address asks for is in that user's Dask configuration (``distributed.comm.tls``).
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from llmsched_mip.engines.engine import EngineError, Outcome
from llmsched_mip.errors import error_text
from llmsched_mip.processes import cores

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 5.0
"""For a question to the scheduler, and for the way of an answer that is there."""
POLL_S = 0.02
ALLOWED_FAILURES = 1
GONE = ("cancelled", "lost")


def require_dask(scheduler: str | None) -> None:
    """Raise `EngineError` where a package is missing that the cluster at an address, or one of our own, needs."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise EngineError("--engine dask needs the package distributed: pip install 'llmsched-mip[dask]'") from None
    if scheduler is None and find_spec("cryptography") is None:
        raise EngineError(
            "--engine dask needs the package cryptography, so that nobody else on this machine can use its "
            "cluster: pip install 'llmsched-mip[dask]'"
        )


def connected(stack: ExitStack, scheduler: str | None, jobs: int) -> Any:
    """A client of the cluster; `stack` closes what is opened here.

    Raises
    ------
    EngineError
        Nobody listens at the address, or no cluster can be started.
    """
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        if scheduler is not None:
            return stack.enter_context(Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False))
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": ALLOWED_FAILURES}))
        with _interrupts_ignored():
            cluster = LocalCluster(
                n_workers=jobs,
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
        where = f"scheduler {scheduler}" if scheduler else "a Dask cluster on this machine"
        raise EngineError(f"{where}: no connection: {error_text(error)}") from None


def killed_worker(error: BaseException) -> bool:
    """Whether a task has no result because the process that ran it died, as often as the cluster allows."""
    return type(error).__name__ == "KilledWorker"


class DaskPool:
    """A `Pool` of the workers of a Dask cluster, while this context lasts.

    Parameters
    ----------
    scheduler : str, optional
        Address of a scheduler that runs, e.g. ``tcp://node:8786``; without it a cluster is started here.
    jobs : int, optional
        Worker processes of the cluster on this machine; default: the cores that this process may use.

    Raises
    ------
    EngineError
        A package is missing; entering the context: nobody listens at the address, or no cluster can be started.
    """

    def __init__(self, scheduler: str | None = None, jobs: int | None = None):
        require_dask(scheduler)
        self.scheduler, self.jobs = scheduler, jobs or cores()
        self._stack = ExitStack()
        self._client: Any = None

    def __enter__(self) -> DaskPool:
        with ExitStack() as stack:
            self._client = connected(stack, self.scheduler, self.jobs)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A cluster that is gone can't be closed in good order.
        with suppress(Exception):
            self._stack.close()

    def width(self) -> int:
        """See `Pool`: threads of the workers that the cluster has now."""
        self._require_connection()
        return max(1, int(sum(self._client.nthreads().values())))

    def run(
        self, action: Callable[[Any], Any], tasks: Sequence[Any], seconds: float, ended: Callable[[], bool]
    ) -> list[Outcome]:
        """See `Pool`."""
        self._require_connection()
        futures = [self._client.submit(action, task, pure=False) for task in tasks]
        try:
            last = time.monotonic() + seconds
            while not all(future.done() for future in futures) and time.monotonic() < last and not ended():
                time.sleep(POLL_S)
            self._require_connection()
            return [_outcome(future) for future in futures]
        finally:
            with suppress(Exception):
                self._client.cancel(futures, force=True)

    def _require_connection(self) -> None:
        if self._client.status != "running":
            raise EngineError("the Dask cluster is lost")


def _outcome(future: Any) -> Outcome:
    try:
        if future.status == "finished":
            return Outcome(future.result(timeout=ANSWER_SECONDS))
        if future.status == "error":
            error = future.exception(timeout=ANSWER_SECONDS)
            died = "its process died more than once: " if killed_worker(error) else ""
            return Outcome(None, died + error_text(error))
    except Exception as error:
        return Outcome(None, f"no answer: {error_text(error)}")
    return Outcome(None, "the cluster gave it up" if future.status in GONE else "no answer in time")


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
