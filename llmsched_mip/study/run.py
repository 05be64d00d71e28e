"""Runs a study: its cases through an engine into the ledger."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from llmsched_mip.study.cases import Case, Study
from llmsched_mip.study.engines.engine import Engine, Finished, Started
from llmsched_mip.study.ledger import Ledger
from llmsched_mip.study.runner import RowResult


class Watcher(Protocol):
    """Is told how a study goes."""

    def begin(self, total: int, recorded: int, width: Callable[[], int]) -> None:
        """Total cases, those that an earlier run has recorded, and the cases that run at once."""

    def started(self, case: Case) -> None:
        """A case was handed to a worker."""

    def finished(self, case: Case, results: list[RowResult]) -> None:
        """A case is recorded."""

    def end(self) -> None:
        """The study ended, with or without all cases."""


@dataclass
class Summary:
    """What a run of a study did: cases in all, recorded in all, and recorded by this run."""

    total: int
    recorded: int
    new: int = 0


def run_study(study: Study, folder: Path, engine: Engine, watcher: Watcher, resume: bool = False) -> Summary:
    """Run the cases of a study that have no result yet, and record each as soon as it is done.

    Parameters
    ----------
    study : Study
    folder : Path
        Where the ledger is.
    engine : Engine
    watcher : Watcher
    resume : bool
        Whether to continue a ledger that has results.

    Raises
    ------
    LedgerError, UnreadableFileError
        See `Ledger`; what was recorded is kept.
    EngineError
        See `Engine`.
    KeyboardInterrupt
        Ctrl-C: cases that ran are lost, those recorded are kept.
    """
    with Ledger(folder, study, resume) as ledger:
        recorded = ledger.recorded()
        waiting = [case for case in study.cases if not recorded.issuperset(case.keys)]
        summary = Summary(len(study.cases), len(study.cases) - len(waiting))
        watcher.begin(summary.total, summary.recorded, lambda: engine.width)
        try:
            with closing(engine.run(waiting)) as progress:
                for event in progress:
                    if isinstance(event, Started):
                        watcher.started(event.case)
                        continue
                    assert isinstance(event, Finished)
                    ledger.record(event.results)
                    summary.recorded += 1
                    summary.new += 1
                    watcher.finished(event.case, event.results)
        finally:
            watcher.end()
    return summary
