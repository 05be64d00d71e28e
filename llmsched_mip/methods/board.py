"""The board: where the processes of one `solve` show each other the best plan and the best bounds.

A folder with two files for each process, its best plan and its state.  A file is replaced whole, so a reader sees the
old one or the new one and nobody waits for anybody; a process that dies leaves what it has shown.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from llmsched_mip.plan import Plan
from llmsched_mip.result import Failure

POLL_S = 0.05
REMOVALS = 10


class Shown(NamedTuple):
    """The best plan of a process and its value, in the unit of the normal form."""

    value: float
    plan: Plan


class State(NamedTuple):
    """What a process has to say beside its plan.

    Parameters
    ----------
    bounds : dict of str to float
        Proven bounds by name, in the unit of the normal form.
    failures : tuple of Failure
        All so far.
    """

    bounds: dict[str, float]
    failures: tuple[Failure, ...]


class Board:
    """The board as one process sees it.

    Parameters
    ----------
    folder : Path
    process : int
        Number of this process: 0 is the one that `solve` was called in.
    processes : int
        How many there are.
    """

    def __init__(self, folder: Path, process: int, processes: int):
        self.folder, self.process, self.processes = folder, process, processes
        self._seen: dict[Path, tuple[int, int]] = {}

    def show(self, news: Shown | State) -> None:
        """Replace what this process has shown of this kind."""
        path = self._path(self.process, type(news))
        half = path.with_suffix(".half")
        half.write_bytes(pickle.dumps(news, protocol=pickle.HIGHEST_PROTOCOL))
        os.replace(half, path)

    def news(self) -> Iterator[tuple[int, Any]]:
        """What the others have shown since this was last asked: number of the process and a `Shown` or a `State`."""
        for other in range(self.processes):
            if other == self.process:
                continue
            for kind in (State, Shown):
                path = self._path(other, kind)
                try:
                    stat = path.stat()
                    mark = (stat.st_ino, stat.st_mtime_ns)
                    if self._seen.get(path) == mark:
                        continue
                    content = path.read_bytes()
                except OSError:
                    continue
                self._seen[path] = mark
                yield other, pickle.loads(content)

    def _path(self, process: int, kind: type) -> Path:
        return self.folder / f"{process}.{kind.__name__.lower()}"


def remove(folder: Path) -> None:
    """Remove the folder of a board, also while its processes write.

    A file that comes into a folder while that is removed keeps it.  So it gets another name first, under which nobody
    begins to write, and is removed until nothing is left of what had begun.
    """
    gone = folder.with_suffix(".gone")
    with contextlib.suppress(OSError):
        os.rename(folder, gone)
    for _ in range(REMOVALS):
        shutil.rmtree(gone, ignore_errors=True)
        if not gone.exists():
            break
