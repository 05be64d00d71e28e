"""What an engine is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from llmsched_mip.engines.engine import EngineError
from llmsched_mip.study.cases import Case
from llmsched_mip.study.runner import RowResult

__all__ = ["Engine", "EngineError", "Finished", "Progress", "Started"]


@dataclass(frozen=True)
class Started:
    """A case was given to a worker."""

    case: Case


@dataclass(frozen=True)
class Finished:
    """A case came back with a result for each of its rows."""

    case: Case
    results: list[RowResult]


Progress = Started | Finished


class Engine(Protocol):
    """Runs cases."""

    @property
    def width(self) -> int:
        """Cases that run at once, once `run` has begun."""

    def run(self, cases: Sequence[Case]) -> Generator[Progress, None, None]:
        """Run every case; what is raised into the iterator, or closing it, ends all workers.

        A case whose worker process dies is run again once, then it comes back failed.

        Raises
        ------
        EngineError
        """
