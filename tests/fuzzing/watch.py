"""Limits of real time and memory: a part that hangs or fills the memory is a finding, not the end of the run."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

MEMORY_BYTES = 6 * 2**30


class TooLong(BaseException):
    """The time of a part has passed; not an `Exception`, for `solve` goes on after those."""


def _raise(number: int, frame: FrameType | None) -> None:
    raise TooLong


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TooLong` in the body after `seconds` of real time (compiled code ends first)."""
    before = signal.signal(signal.SIGALRM, _raise)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def limit_memory() -> None:
    """Let an allocation beyond the limit raise `MemoryError`."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
