"""The one clock: everything that measures or limits time reads `now`.

Under `counting` the clock is driven by its readers: every reading takes a fixed time.  A time limit is then a limit of
work (passes, nodes, callbacks of a solver), and a run repeats exactly on any machine, however busy it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

READING_S = 0.01
"""What a reading counts where work is limited in place of time: `solve --work`, and the parts of a fleet."""

_read: Callable[[], float] = time.perf_counter


def now() -> float:
    """Seconds since an unknown moment; only differences mean something."""
    return _read()


def is_real() -> bool:
    """Whether the clock is the machine's, not a counter of readings."""
    return _read is time.perf_counter


@contextmanager
def counting(reading_s: float = 1e-3) -> Iterator[None]:
    """Replace the clock in this process: every reading takes `reading_s` seconds.

    Solvers that have a clock of their own are stopped by readings in their callbacks alone.
    """
    global _read
    before, readings = _read, count()
    _read = lambda: reading_s * next(readings)  # noqa: E731
    try:
        yield
    finally:
        _read = before
