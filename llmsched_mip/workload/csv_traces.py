"""Importer of CSV traces: a header, then one request a row."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError, UnreadableFileError
from llmsched_mip.instance import MAX_TOKENS, Instance, Requests, Worker
from llmsched_mip.io.storage import read_bytes, readable
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.workload.deployments import deployment
from llmsched_mip.workload.family import request_ids
from llmsched_mip.workload.importer import Columns


def import_csv(
    path: str | os.PathLike[str],
    worker: Worker | str,
    columns: Columns = Columns(),
    *,
    name: str | None = None,
    limit: int | None = None,
    slots: int | None = None,
) -> Instance:
    """Make an instance of the rows of a CSV file, plain or gzipped; other columns are ignored.

    Parameters
    ----------
    path : path
    worker : Worker or str
        The worker, a deployment's name or the path of a deployment file.
    columns : Columns
        Names of the columns that are read.
    name : str, optional
        Of the instance; by default the file's, without its ending.
    limit : int, optional
        Read only the first rows, at least 1.
    slots : int, optional
        Slots in place of the worker's.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        One line: file, line, column, what was expected.
    InfeasibleInstanceError
        When a request does not fit the worker.
    """
    source = os.fspath(path)
    if limit is not None and limit < 1:
        raise InvalidInputError("limit", f"expected an integer ≥ 1, got {limit}")
    engine = deployment(worker) if isinstance(worker, str) else worker
    if slots is not None:
        engine = replace(engine, slots=slots)
    table = _Table(source, limit)
    requests: dict[str, Any] = {
        "prefill_tokens": table.token_counts(columns.prefill),
        "decode_tokens": table.token_counts(columns.decode),
        "id": request_ids(table.count) if columns.id is None else table.ids(columns.id),
        "arrival_s": None if columns.arrival is None else table.seconds(columns.arrival),
    }
    file = readable(Path(source).name)
    used = ", ".join(c for c in (columns.arrival, columns.prefill, columns.decode) if c)
    try:
        return Instance(
            name=name if name is not None else file.removesuffix(".gz").removesuffix(".csv"),
            requests=Requests(**requests),
            workers=(engine,),
            description=f"{table.count} rows of {file}, columns {used}.",
            source=f"Imported from {file}; worker {engine.name}.",
        )
    except InvalidInputError as error:
        raise error.located(source) from None


class _Table:
    """The text of a CSV file by columns; knows the line of every row."""

    def __init__(self, source: str, limit: int | None):
        self.source = source
        self.text = _decoded(source)
        rows = self._rows(limit)
        header = next(rows, (1, []))[1]
        self.header = [column.strip() for column in header]
        if not self.header:
            raise UnreadableFileError(f"{source}: empty file, expected a header line with column names")
        self.limit = limit
        body = [row for _, row in rows]
        self.count = len(body)
        if not body:
            raise self._error("line 2", "no rows, expected one request a row")
        width = len(self.header)
        for i, row in enumerate(body):
            if len(row) != width:
                raise self._error(f"line {self._line(i)}", f"expected {width} fields as in the header, got {len(row)}")
        self.columns: Sequence[Sequence[str]] = list(zip(*body, strict=True))

    def _rows(self, limit: int | None) -> Iterator[tuple[int, list[str]]]:
        """Line number and fields of the header and of the first `limit` rows; empty lines are left out."""
        reader = csv.reader(io.StringIO(self.text, newline=""), strict=True)
        numbered = ((reader.line_num, row) for row in reader if row)
        try:
            yield from islice(numbered, None if limit is None else limit + 1)
        except csv.Error as error:
            raise self._error(f"line {reader.line_num}", f"not valid CSV: {error}") from None

    def _line(self, i: int) -> int:
        return next(islice(self._rows(None), i + 1, None))[0]

    def _error(self, where: str, message: str) -> InvalidInputError:
        return InvalidInputError(where, message, None, self.source)

    def _column(self, name: str) -> Sequence[str]:
        found = self.header.count(name)
        if found != 1:
            there = ", ".join(self.header[:20]) + (", ..." if len(self.header) > 20 else "")
            problem = "missing" if not found else f"stands {found} times"
            raise self._error(f"line 1, column {name!r}", f"{problem}; the columns are {there}")
        return self.columns[self.header.index(name)]

    def _numbers(self, name: str, expected: str, valid: Callable[[FloatArray], Any]) -> FloatArray:
        texts = self._column(name)
        try:
            if "_" in "".join(texts):
                raise ValueError
            values = np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
        except ValueError:
            values = np.array([_number(text) for text in texts])
        good = np.isfinite(values) & valid(values)
        if not good.all():
            bad = int(np.argmin(good))
            raise self._error(
                f"line {self._line(bad)}, column {name!r}", f"expected {expected}, got {_short(texts[bad])}"
            )
        return values

    def token_counts(self, name: str) -> IntArray:
        """A column of integers of at least 1: shape (n,)."""
        values = self._numbers(
            name,
            f"an integer from 1 to {MAX_TOKENS}",
            lambda v: (v >= 1) & (v <= MAX_TOKENS) & (v == np.floor(v)),
        )
        return values.astype(np.int64)

    def seconds(self, name: str) -> FloatArray:
        """A column of finite numbers of at least 0: shape (n,)."""
        return self._numbers(name, "a finite number of seconds ≥ 0", lambda v: v >= 0)

    def ids(self, name: str) -> list[str]:
        """A column of unique texts, none of them empty."""
        seen: set[str] = set()
        texts = list(self._column(name))
        if len(set(texts)) != len(texts) or "" in texts:
            for i, text in enumerate(texts):
                if text in seen or not text:
                    raise self._error(
                        f"line {self._line(i)}, column {name!r}", f"expected a unique id, got {_short(text)}"
                    )
                seen.add(text)
        return texts


def _decoded(source: str) -> str:
    content = read_bytes(source)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UnreadableFileError(f"{source}: line {line}: not UTF-8 text") from None


def _number(text: str) -> float:
    try:
        return float("nan") if "_" in text else float(text)
    except ValueError:
        return float("nan")


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
