"""What runs tasks for `solve`, and what goes wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from llmsched_mip.errors import SchedulingError

ENGINE_NAMES = ("local", "dask")


class EngineError(SchedulingError):
    """An engine that can't be started or was lost; one line."""


class Outcome(NamedTuple):
    """What became of a task: its value, or in one line why there is none."""

    value: Any
    error: str | None = None


class Pool(Protocol):
    """Runs tasks elsewhere.  Nothing is shared by files: a task is pickled, and so is what it returns."""

    def width(self) -> int:
        """Tasks that run at once, at least 1.

        Raises
        ------
        EngineError
            The cluster is lost.
        """

    def run(
        self, action: Callable[[Any], Any], tasks: Sequence[Any], seconds: float, ended: Callable[[], bool]
    ) -> list[Outcome]:
        """What becomes of tasks, in their order, when all are done, `seconds` have passed, or `ended` says so.

        A task that has no answer by then is dropped.

        Raises
        ------
        EngineError
            The cluster is lost.
        """
