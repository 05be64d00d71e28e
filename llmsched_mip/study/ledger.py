"""The ledger of a study: an SQLite file with one row a case's row, written case by case, whole or not at all.

A rollback journal with ``synchronous=FULL``: what was recorded stays after a crash of the program or of the machine,
also on network file systems, where write-ahead logs do not work.  One process writes; any number may read.
"""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from llmsched_mip.io.storage import readable, unwritable, write_bytes
from llmsched_mip.study.cases import Case, Study
from llmsched_mip.study.layout import (
    BUSY_SECONDS,
    CASE_COLUMNS,
    FILE,
    LAYOUT,
    LOCK,
    PLANS,
    RESULT_COLUMNS,
    SQLITE_ERRORS,
    STUDY_COLUMNS,
    TABLES,
    LedgerError,
)
from llmsched_mip.study.runner import RowResult, now


class Ledger:
    """The ledger of `study` in `folder`, open for writing.

    Parameters
    ----------
    folder : Path
        Made where it does not exist.
    study : Study
    resume : bool
        Whether results that are there may be continued.

    Raises
    ------
    LedgerError, UnreadableFileError
        Another process writes it, it holds another study, it has results and `resume` is false, or it can't be
        written.
    """

    def __init__(self, folder: Path, study: Study, resume: bool = False):
        self.folder, self.path = folder, folder / FILE
        self._lock = _locked(folder)
        try:
            with self._failures():
                self._connection = _connect(self.path)
                self._begin(study, resume)
        except BaseException:
            self.close()
            raise

    def _begin(self, study: Study, resume: bool) -> None:
        connection = self._connection
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not tables >= set(TABLES):
            raise LedgerError(f"{self.path}: is not the ledger of a study")
        if not tables:
            self._create(study)
            return
        heads = connection.execute("SELECT name, digest, layout FROM study").fetchall()
        if len(heads) != 1:
            raise LedgerError(f"{self.path}: is not the ledger of a study: {len(heads)} rows in the table study, not 1")
        name, digest, layout = heads[0]
        if layout != LAYOUT:
            raise LedgerError(f"{self.path}: has layout {layout}, expected {LAYOUT}")
        if digest != study.digest:
            raise LedgerError(
                f"{self.folder}: holds another study ({name!r}, or {study.name!r} with other cases); "
                "expected an empty folder or the same study"
            )
        count = connection.execute("SELECT count(*) FROM results").fetchone()[0]
        if count and not resume:
            raise LedgerError(f"{self.folder}: holds {count} results of this study; continue it with --resume")

    def _create(self, study: Study) -> None:
        command = shlex.join(["llmsched", *sys.argv[1:]])
        row = _stored((study.name, study.digest, study.definition, command, now(), LAYOUT))
        with self._transaction() as connection:
            for table, columns in TABLES.items():
                layout = ", ".join(f"{name} {kind}" for name, kind in columns.items())
                connection.execute(f"CREATE TABLE {table} ({layout})")
            connection.execute(_insert("study", STUDY_COLUMNS), row)
            rows = (line for case in study.cases for line in _case_rows(case))
            connection.executemany(_insert("cases", CASE_COLUMNS), rows)

    def recorded(self) -> set[str]:
        """Keys of all rows that have a result."""
        with self._failures():
            return {key for (key,) in self._connection.execute("SELECT key FROM results")}

    def record(self, results: Iterable[RowResult]) -> None:
        """Write the results of one case, all or none; plan files first.

        Raises
        ------
        LedgerError, UnreadableFileError
            The disk is full, another program holds the file, or a key is there already.  Nothing that was recorded
            is lost.
        """
        rows = []
        for result in results:
            name = None if result.plan is None else self._write_plan(result.key, result.plan)
            columns = result.columns | {"key": result.key, "plan": name}
            rows.append(_stored(columns.get(column) for column in RESULT_COLUMNS))
        with self._failures(), self._transaction() as connection:
            connection.executemany(_insert("results", RESULT_COLUMNS), rows)

    def _write_plan(self, key: str, text: str) -> str:
        folder = self.folder / PLANS
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from None
        write_bytes(folder / f"{key}.json", text.encode())
        return f"{key}.json"

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Errors of SQLite as one line."""
        try:
            yield
        except SQLITE_ERRORS as error:
            raise _ledger_error(self.path, error) from None

    def close(self) -> None:
        """Close the file and let other processes write."""
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()
        self._lock.release()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _locked(folder: Path) -> FileLock:
    """The lock file, held by this process until it is released or the process ends."""
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire(timeout=0)
    except Timeout:
        raise LedgerError(f"{folder}: another process writes this ledger ({_holder(path)})") from None
    except (OSError, ValueError, NotImplementedError) as error:
        raise unwritable(folder, error) from None
    try:
        # Where a locked file is closed to other handles (Windows), nobody could read the name either.
        with suppress(PermissionError):
            path.write_text(f"process {os.getpid()}", encoding="utf-8")
    except OSError as error:
        lock.release()
        raise unwritable(folder, error) from None
    return lock


def _holder(path: Path) -> str:
    """The process that holds the lock, by what it wrote into it."""
    with suppress(OSError, ValueError):
        return path.read_text(encoding="utf-8").strip() or "unknown"
    return "unknown"


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA journal_mode = TRUNCATE")
    except BaseException:
        connection.close()
        raise
    return connection


def _ledger_error(path: Path, error: Exception) -> LedgerError:
    text = str(error)
    if "locked" in text:
        return LedgerError(f"{path}: locked by another process, nothing was written to it")
    if "not a database" in text or "malformed" in text:
        return LedgerError(f"{path}: is not the ledger of a study: {text}")
    if "UNIQUE" in text:
        return LedgerError(f"{path}: a case that was recorded already came a second time")
    return LedgerError(f"{path}: cannot be written: {text}; what was recorded is kept, continue with --resume")


def _insert(table: str, columns: dict[str, str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _stored(values: Iterable[Any]) -> tuple[Any, ...]:
    """Values as SQLite takes them: it holds no text that is not UTF-8."""
    return tuple(readable(value) if isinstance(value, str) else value for value in values)


def _case_rows(case: Case) -> Iterator[tuple[Any, ...]]:
    source = case.source
    for k, (key, row) in enumerate(zip(case.keys, case.rows, strict=True)):
        columns = {
            "key": key,
            "position": case.position + k,
            "instance": source.name,
            "family": source.family,
            "file": source.file,
            "seed": source.seed,
            "row": row.label,
            "method": row.method,
            "policy": row.policy,
            "lengths": row.lengths,
            "objective": case.objective,
            "time_limit_s": case.time_limit_s,
            "options": json.dumps(case.options(row), sort_keys=True),
        }
        yield _stored(columns[name] for name in CASE_COLUMNS)
