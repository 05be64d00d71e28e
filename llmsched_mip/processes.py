"""Processes of our own on this machine: how many, and how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

WATCH_S = 0.5


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Threads and processes started inside never see Ctrl-C: it is for this one, which then ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve_only(parent: int, tidy: Callable[[], None] | None = None) -> None:
    """Make this process one that serves `parent`: it leaves Ctrl-C to it, and ends when it is gone.

    Parameters
    ----------
    parent : int
        Process id; a parent that is killed can't end its processes.
    tidy : callable, optional
        Called before the end in that case.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    threading.Thread(target=_end_with, args=(parent, tidy), daemon=True).start()


def _end_with(parent: int, tidy: Callable[[], None] | None) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    if tidy is not None:
        with contextlib.suppress(OSError):
            tidy()
    os._exit(1)
