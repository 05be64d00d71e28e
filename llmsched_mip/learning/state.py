"""Where a training stands: what its candidates were worth, generation by generation, so that it can be continued.

The search is deterministic but for these values.  To continue, its generations are asked for again and told what is
written here: the rest is as if it had never ended.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.files import parse_document
from llmsched_mip.io.storage import read_bytes, write_bytes


@dataclass
class State:
    """Losses that have been computed, in the order in which they are asked for.

    Parameters
    ----------
    path : Path, optional
        File that is written anew after each generation; None: nowhere.
    settings : dict
        What the values depend on.
    losses : dict of str to list of list of float
        By the name of a goal: of each batch of candidates the losses.
    """

    path: Path | None
    settings: dict[str, Any]
    losses: dict[str, list[list[float]]] = field(default_factory=dict)

    @classmethod
    def at(cls, path: Path | None, settings: dict[str, Any], resume: bool) -> State:
        """A new state, or the one in the file.

        Raises
        ------
        UnreadableFileError, InvalidInputError
            One line: the file cannot be read, or was begun with other settings.
        """
        if path is None or not resume:
            return cls(path, settings)
        document = parse_document(os.fspath(path), read_bytes(path), "training")
        settings = json.loads(json.dumps(settings))
        if document.settings != settings:
            other = [key for key, value in settings.items() if document.settings.get(key) != value]
            what = ", ".join(other) or "other settings"
            raise InvalidInputError("settings", f"the training was begun with other {what}", None, os.fspath(path))
        return cls(path, settings, document.losses)

    def write(self) -> None:
        """Write the file, whole."""
        if self.path is not None:
            document = {
                "format": "llmsched-training",
                "version": 1,
                "settings": self.settings,
                "losses": self.losses,
            }
            write_bytes(self.path, json.dumps(document).encode())

    def remove(self) -> None:
        """The training is over."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


class Ledger:
    """The batches of one goal: those that the state has, then new ones."""

    def __init__(self, state: State, goal: str):
        self.state = state
        self.batches = state.losses.setdefault(goal, [])
        self._next = 0

    def recorded(self, count: int) -> list[float] | None:
        """Losses of the next batch of `count` candidates, if they have been computed; raises `InvalidInputError`."""
        if self._next >= len(self.batches):
            return None
        batch = self.batches[self._next]
        if len(batch) != count:
            raise InvalidInputError("losses", f"expected {count} in a batch, got {len(batch)}")
        self._next += 1
        return batch

    def record(self, batch: list[float]) -> None:
        """Add a batch and write the file."""
        self.batches.append(batch)
        self._next += 1
        self.state.write()
