"""What `solve` says while it runs: a line per improvement, a live line on a terminal, a heartbeat elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from llmsched_mip.cli import console
from llmsched_mip.compilation import compilations
from llmsched_mip.io import streams
from llmsched_mip.io.storage import unwritable
from llmsched_mip.texts import percent_text, seconds_text

if TYPE_CHECKING:
    from llmsched_mip.result import Event

HEARTBEAT_S = 5.0
"""Nobody waits longer than this for a sign of life."""
TICK_S = 0.25
COMPILING = "compiling, once on this machine: this run may take up to a minute longer (llmsched compile does it all)"
COLUMNS = f"{'Time':>9} | {'Incumbent':>14} | {'Bound':>14} | {'Gap':>8} | Source"


class SolveLog:
    """Listens to `methods.solve`: called with every `Event`, and told of every part that begins (`runs`).

    Parameters
    ----------
    title : str
        First line.
    quiet : bool
        Nothing on standard error.
    file : Path, optional
        Gets every line, heartbeats too, as they come; what was in it before is gone.

    Attributes
    ----------
    kept : callable
        Called with every event: from the first on there is something to keep.
    """

    def __init__(self, title: str, quiet: bool = False, file: Path | None = None):
        self.head = [title, COLUMNS]
        self.quiet, self._path, self._file = quiet, file, None if file is None else _opened(file)
        self.part: str = "start"
        self.event: Event | None = None
        self.kept: Callable[[], object] = lambda: None
        self._began = self._spoke = time.monotonic()
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._live: Live | None = None
        self._thread: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        """A line for an improvement or a note."""
        self.event = event
        self.kept()
        self.say(self._line(event.seconds, event.source))

    def runs(self, part: str) -> None:
        """What is running from now on."""
        self.part = part.replace("_", " ")

    def say(self, line: str) -> None:
        """A line as it is."""
        with self._lock:
            self._spoke = time.monotonic()
            # The head comes with the first line: arguments that are refused before it give one line.
            lines, self.head = [*self.head, line], []
            for text in lines:
                self._write(" ".join(text.splitlines()))

    def _write(self, text: str) -> None:
        if self._file is not None:
            try:
                print(text, file=self._file, flush=True)
            except (OSError, ValueError) as error:
                self._file = None
                console.note(f"llmsched solve: {self._path}: cannot be written: {error}; going on without it")
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        elif not self.quiet:
            streams.say(text)

    def _line(self, seconds: float, source: str) -> str:
        value, bound, gap = (None, None, None) if self.event is None else self.event[1:4]
        return (
            f"{seconds:8.2f}s | {seconds_text(value):>14} | {seconds_text(bound):>14} | "
            f"{percent_text(gap):>8} | {source}"
        )

    def _now(self) -> str:
        return self._line(time.monotonic() - self._began, f"running: {self.part}")

    # -- while it lasts -----------------------------------------------------------------------------------------

    def __enter__(self) -> SolveLog:
        self._began = self._spoke = time.monotonic()
        if not self.quiet and sys.stderr.isatty():
            self._live = _live_line(self._now)
        if self._file is not None or (not self.quiet and self._live is None):
            self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def close(self, *lines: str) -> None:
        """The last lines of the file."""
        if self._file is None:
            return
        with suppress(OSError, ValueError):
            self._file.write("".join(line + "\n" for line in lines))
            self._file.close()

    def _beat(self) -> None:
        """A line where none was said for a while, from a thread of its own."""
        while not self._ended.wait(TICK_S):
            if time.monotonic() - self._spoke >= HEARTBEAT_S:
                self.say(self._now())


@contextmanager
def announced(log: SolveLog) -> Iterator[None]:
    """While it lasts, the first function that has to be compiled is said in the log."""
    said: list[str] = []

    def begins(name: str) -> None:
        if not said:
            said.append(name)
            log.say(COMPILING)

    with compilations(begins):
        yield


def _opened(path: Path) -> TextIO:
    try:
        return path.open("w", encoding="utf-8", errors="backslashreplace")
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from None


def _live_line(text: Callable[[], str]) -> Live:
    """One line at the bottom of the terminal that says where the search stands."""
    stream: Any = streams.Unfailing(sys.stderr)
    spinner, terminal = Spinner("line"), Console(file=stream)

    def line() -> Spinner:
        spinner.update(text=Text(text()[: max(1, terminal.width - 3)]))
        return spinner

    live = Live(
        get_renderable=line,
        console=terminal,
        refresh_per_second=4,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    live.start()
    return live
