"""Progress of a study on standard error: a live display on a terminal, else a line for each case."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from llmsched_mip.cli import console
from llmsched_mip.io import streams
from llmsched_mip.study.layout import FAILED
from llmsched_mip.texts import percent_text

if TYPE_CHECKING:
    from llmsched_mip.study.cases import Case
    from llmsched_mip.study.runner import RowResult


class Counts:
    """Where a study stands."""

    def __init__(self) -> None:
        self.total = self.done = self.new = self.failed = self.handed = 0
        self.began = time.monotonic()
        self.best: tuple[float, str] | None = None
        self.width: Callable[[], int] = lambda: 1

    def begin(self, total: int, recorded: int, width: Callable[[], int]) -> None:
        """See `Watcher`."""
        self.total, self.done, self.width = total, recorded, width
        self.began = time.monotonic()

    def add(self, results: list[RowResult]) -> None:
        """Count a case that is recorded."""
        self.done += 1
        self.new += 1
        self.failed += any(result.columns["status"] == FAILED for result in results)
        gap = least_gap(results)
        if gap is not None and (self.best is None or gap < self.best):
            self.best = gap

    @property
    def running(self) -> int:
        """Cases that run now: all workers are busy as long as there are cases for them."""
        return min(self.width(), self.total - self.done) if self.handed else 0

    def text(self) -> str:
        """Cases done, running, time left and best gap, in one line."""
        parts = [f"{self.done} of {self.total} done", f"{self.running} running"]
        if self.new and self.done < self.total:
            parts.append(f"{_duration((time.monotonic() - self.began) / self.new * (self.total - self.done))} left")
        if self.best is not None:
            parts.append(f"best gap {percent_text(self.best[0], 3)} ({self.best[1]})")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join(parts)


def least_gap(results: list[RowResult]) -> tuple[float, str] | None:
    """The smallest gap of a case's rows, and the instance."""
    gaps = [result.columns["gap"] for result in results if result.columns.get("gap") is not None]
    return (min(gaps), str(results[0].columns.get("instance"))) if gaps else None


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class PlainProgress:
    """A line when a case is recorded."""

    def __init__(self) -> None:
        self.counts = Counts()

    def begin(self, total: int, recorded: int, width: Callable[[], int]) -> None:
        """See `Watcher`."""
        self.counts.begin(total, recorded, width)
        note = f", {recorded} of them recorded before" if recorded else ""
        console.note(f"{total} cases{note}")

    def started(self, case: Case) -> None:
        """See `Watcher`."""
        self.counts.handed += 1

    def finished(self, case: Case, results: list[RowResult]) -> None:
        """See `Watcher`."""
        self.counts.add(results)
        gap = least_gap(results)
        errors = [result.columns["error"] for result in results if result.columns["status"] == FAILED]
        found = f"gap {percent_text(gap[0], 3)}" if gap else "no gap"
        if errors:
            found = f"failed: {errors[0]}"
        console.note(f"{case.source.name} {case.objective}: {found} | {self.counts.text()}")

    def end(self) -> None:
        """See `Watcher`."""


class LiveProgress:
    """A bar and a line on a terminal."""

    def __init__(self) -> None:
        self.counts = Counts()
        terminal: Any = streams.Unfailing(sys.stderr)
        columns = (SpinnerColumn(), BarColumn(bar_width=30), TimeElapsedColumn(), TextColumn("{task.description}"))
        self._display = Progress(*columns, console=Console(file=terminal), refresh_per_second=4)
        self._task = self._display.add_task("starting", total=None)

    def begin(self, total: int, recorded: int, width: Callable[[], int]) -> None:
        """See `Watcher`."""
        self.counts.begin(total, recorded, width)
        self._display.start()
        self._show()

    def started(self, case: Case) -> None:
        """See `Watcher`."""
        self.counts.handed += 1
        self._show()

    def finished(self, case: Case, results: list[RowResult]) -> None:
        """See `Watcher`."""
        self.counts.add(results)
        for result in results:
            if result.columns["status"] == FAILED:
                self._display.console.print(escape(f"{case.source.name}: failed: {result.columns['error']}"))
                break
        self._show()

    def _show(self) -> None:
        self._display.update(
            self._task, description=escape(self.counts.text()), total=self.counts.total, completed=self.counts.done
        )

    def end(self) -> None:
        """See `Watcher`."""
        self._display.stop()


def watcher() -> PlainProgress | LiveProgress:
    """The display that fits standard error."""
    return LiveProgress() if sys.stderr.isatty() else PlainProgress()
