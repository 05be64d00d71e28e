"""The ledger of a study as the report reads it: `ledger.sqlite` in the study's folder, opened read-only."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from llmsched_mip.errors import InvalidInputError, UnreadableFileError

NAME = "ledger.sqlite"
LAYOUT = 1
JSON_COLUMNS = {"options": dict, "bounds": dict, "trace": list, "versions": dict}


def read_results(folder: Path) -> pd.DataFrame:
    """All cases of a study with their results, JSON columns decoded; a case without result has no status.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        One line: no ledger, not a ledger, a column that can't be read.
    """
    query = (
        "SELECT cases.*, results.instance AS result_instance, results.* FROM cases "
        "LEFT JOIN results ON cases.key = results.key ORDER BY position"
    )
    rows = _select(folder, query)
    frame = pd.DataFrame(rows[1], columns=rows[0])
    named = frame["result_instance"].where(frame["result_instance"].notna(), frame["instance"].iloc[:, 0])
    frame = frame.loc[:, ~frame.columns.duplicated()].drop(columns="result_instance")
    frame["instance"] = named
    for column, kind in JSON_COLUMNS.items():
        frame[column] = [_decoded(folder, column, kind, text) for text in frame[column]]
    return frame


def read_study(folder: Path) -> dict[str, Any]:
    """The one row of the table ``study``: name, digest, definition, command, created, layout."""
    names, rows = _select(folder, "SELECT * FROM study")
    if len(rows) != 1:
        raise InvalidInputError("study", f"expected one row, got {len(rows)}", None, str(folder / NAME))
    study = dict(zip(names, rows[0], strict=True))
    if study.get("layout") != LAYOUT:
        raise InvalidInputError(
            "study.layout", f"expected {LAYOUT}, got {study.get('layout')}", None, str(folder / NAME)
        )
    return study


def _select(folder: Path, query: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    path = folder / NAME
    if not path.is_file():
        raise UnreadableFileError(f"{folder}: no {NAME} in it, expected the folder of a study")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True, timeout=10)) as database:
            cursor = database.execute(query)
            return [own[0] for own in cursor.description], cursor.fetchall()
    except sqlite3.Error as error:
        raise UnreadableFileError(f"{path}: not a ledger that can be read: {error}") from None


def _decoded(folder: Path, column: str, kind: type, text: Any) -> Any:
    if text is None or text != text:
        return kind()
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        value = None
    if not isinstance(value, kind):
        raise InvalidInputError(
            column, f"expected a JSON {kind.__name__}, got {str(text)[:60]!r}", None, str(folder / NAME)
        )
    return value
