"""Reads the ledger of a study, also while the study runs."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.study.layout import (
    BUSY_SECONDS,
    CASE_COLUMNS,
    FILE,
    JSON_COLUMNS,
    LAYOUT,
    RESULT_COLUMNS,
    SQLITE_ERRORS,
    STUDY_COLUMNS,
    LedgerError,
)

if TYPE_CHECKING:
    import pandas

STORED = {"TEXT": "'text'", "INTEGER": "'integer'", "REAL": "'real', 'integer'"}
EXPECTED = {"TEXT": "a text", "INTEGER": "an integer", "REAL": "a finite number"}
SHAPES: dict[str, Callable[[Any], bool]] = {
    "bounds": lambda value: all(_is_number(bound) for bound in value.values()),
    "trace": lambda value: all(_is_point(point) for point in value),
    "versions": lambda value: True,
    "options": lambda value: True,
}
LAYOUTS = {
    "bounds": "object of numbers",
    "trace": "list of [seconds, incumbent, bound]",
    "versions": "object",
    "options": "object",
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_point(value: Any) -> bool:
    """Seconds, and an incumbent and a bound or null."""
    return (
        isinstance(value, list)
        and len(value) == 3
        and _is_number(value[0])
        and all(number is None or _is_number(number) for number in value[1:])
    )


def read_ledger(folder: str | os.PathLike[str], decode: bool = True) -> pandas.DataFrame:
    """Read a study's cases with their results, also while the study runs.

    Parameters
    ----------
    folder : path
        The study's folder, or its ``ledger.sqlite``.
    decode : bool
        Whether the JSON columns (bounds, trace, versions, options) become dicts and lists; else they stay text.

    Returns
    -------
    pandas.DataFrame
        One row for each row of each case, in the study's order: the columns of the tables ``cases`` and ``results``;
        those of the second are missing where a case has no result yet.

    Raises
    ------
    LedgerError, InvalidInputError
        One line: there is no ledger, it can't be read, or a JSON column is damaged.
    """
    import pandas

    shared = ("key", "instance")
    columns = [f"cases.{name}" for name in CASE_COLUMNS if name != "instance"]
    columns.append("coalesce(results.instance, cases.instance) AS instance")
    found = [f"results.{name}" for name in RESULT_COLUMNS if name not in shared]
    query = f"SELECT {', '.join(columns + found)} FROM cases LEFT JOIN results USING (key) ORDER BY position"
    with _reading(folder) as connection:
        _require_types(folder, connection, "cases", CASE_COLUMNS, {"key"})
        _require_types(folder, connection, "results", RESULT_COLUMNS, {"key"})
        frame = pandas.read_sql_query(query.replace("cases.key", "key", 1), connection)
    if decode:
        for name, kind in JSON_COLUMNS.items():
            values = [_decoded(folder, name, kind, text) for text in frame[name]]
            frame[name] = pandas.Series(values, index=frame.index, dtype=object)
    return frame


def _require_types(
    folder: str | os.PathLike[str],
    connection: sqlite3.Connection,
    table: str,
    columns: dict[str, str],
    required: set[str],
) -> None:
    """Raise `InvalidInputError` for a value of another type than its column's; SQLite takes any value anywhere."""
    for name, kind in columns.items():
        allowed = STORED[kind.split()[0]] + ("" if name in required else ", 'null'")
        wrong = f"typeof({name}) NOT IN ({allowed})"
        if kind == "REAL":
            wrong += f" OR abs({name}) > {sys.float_info.max!r}"
        found = connection.execute(f"SELECT {name} FROM {table} WHERE {wrong} LIMIT 1").fetchone()
        if found is not None:
            message = f"expected {EXPECTED[kind.split()[0]]}, got {str(found[0])[:60]!r}"
            raise InvalidInputError(f"{table}.{name}", message, None, str(_path(folder)))


def _decoded(folder: str | os.PathLike[str], column: str, kind: type, text: Any) -> Any:
    if text is None or text != text:
        return kind()
    try:
        value = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        value = None
    if not (isinstance(value, kind) and SHAPES[column](value)):
        message = f"expected a JSON {LAYOUTS[column]}, got {str(text)[:60]!r}"
        raise InvalidInputError(column, message, None, str(_path(folder)))
    return value


def read_head(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The study's name, digest, definition (its TOML text), command, date and layout.

    Raises
    ------
    LedgerError, InvalidInputError
        As `read_ledger`, and where the layout is another one.
    """
    with _reading(folder) as connection:
        _require_types(folder, connection, "study", STUDY_COLUMNS, {"name", "digest", "layout"})
        rows = connection.execute(f"SELECT {', '.join(STUDY_COLUMNS)} FROM study").fetchall()
    if len(rows) != 1:
        raise InvalidInputError("study", f"expected one row, got {len(rows)}", None, str(_path(folder)))
    head = dict(zip(STUDY_COLUMNS, rows[0], strict=True))
    if head["layout"] != LAYOUT:
        raise InvalidInputError("study.layout", f"expected {LAYOUT}, got {head['layout']}", None, str(_path(folder)))
    return head


def _path(folder: str | os.PathLike[str]) -> Path:
    path = Path(folder)
    return path / FILE if path.is_dir() else path


@contextmanager
def _reading(folder: str | os.PathLike[str]) -> Iterator[sqlite3.Connection]:
    path = _path(folder)
    if not path.is_file():
        raise LedgerError(f"{folder}: no {FILE} in it, expected the folder of a study")
    try:
        connection = _open_to_read(path)
    except SQLITE_ERRORS as error:
        raise LedgerError(f"{path}: cannot be read: {error}") from None
    try:
        yield connection
    except (*SQLITE_ERRORS, TypeError) as error:
        raise LedgerError(f"{path}: is not the ledger of a study: {error}") from None
    except Exception as error:
        if type(error).__name__ != "DatabaseError":
            raise
        raise LedgerError(f"{path}: is not the ledger of a study: {error.__cause__ or error}") from None
    finally:
        connection.close()


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Read only; where a writer was killed in the middle of a commit, its journal has to be rolled back first."""
    uri = path.resolve().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=BUSY_SECONDS)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        connection = sqlite3.connect(f"{uri}?mode=rw", uri=True, timeout=BUSY_SECONDS)
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection
