"""Ctrl-C and SIGTERM on the command line: both ask the work to end, and neither keeps a result from being written."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Ending:
    """While it lasts, SIGTERM does what Ctrl-C does, and from a moment on neither of them raises anything.

    The first signal ends the program as Ctrl-C always does, with its own exit code, unless the work has a handler of
    its own by then (`methods.solve` has: it ends with its best plan).  Once there is something to `keep`, whatever
    comes after the work is ignored: the result is being written.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.keeps = False
        self._before: dict[int, Any] = {}

    def keep(self) -> None:
        """From now on there is something to keep."""
        self.keeps = True

    @property
    def terminated(self) -> bool:
        """Whether SIGTERM came first."""
        return self.number == signal.SIGTERM

    def __enter__(self) -> Ending:
        if threading.current_thread() is threading.main_thread():
            self._before = {
                signal.SIGINT: signal.signal(signal.SIGINT, self._interrupt),
                signal.SIGTERM: signal.signal(signal.SIGTERM, self._terminate),
            }
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        if not self.keeps:
            raise KeyboardInterrupt

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self.number = self.number or number
        signal.raise_signal(signal.SIGINT)
