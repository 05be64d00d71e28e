"""The small instances that ship with the package: `example:NAME` stands wherever an instance file does."""

from __future__ import annotations

import os
from pathlib import Path

from llmsched_mip.errors import UnreadableFileError

PREFIX, ENDING = "example:", ".json"
FOLDER = Path(__file__).parents[1] / "examples"


def names() -> list[str]:
    """Names of all examples, the small library instances first."""
    return sorted((path.stem for path in FOLDER.glob("*" + ENDING)), key=lambda name: (not _family(name), name))


def _family(name: str) -> bool:
    return name.startswith("gsm8k")


def located(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The file of ``example:NAME``; any other path as it is.

    Raises
    ------
    UnreadableFileError
        No example has this name; the message lists those that there are.
    """
    text = os.fspath(path)
    if not text.startswith(PREFIX):
        return path
    if (name := text.removeprefix(PREFIX)) not in (known := names()):
        raise UnreadableFileError(f"{text}: no such example, expected one of {', '.join(known)}")
    return FOLDER / (name + ENDING)
