"""Tables of measured iterations: CSV files, one iteration a row, by what was in it.

The layouts are those of

- layer times summed to an iteration, as from LLMServingSim's profiles: ``prefill_chunk, kv_prefill, n_decode,
  kv_decode, iteration_ms``, with the tokens before the chunk and the KV tokens of each decode
- Vidur's profiles, summed likewise: ``batch_size, kv_per_request`` of decodes, ``prompt_tokens`` of prompts, and
  ``with_cpu_ms`` or ``gpu_ms``
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError, UnreadableFileError
from llmsched_mip.io.lines import Lines
from llmsched_mip.requests import MAX_TOKENS
from llmsched_mip.texts import counted
from llmsched_mip.timing import FloatArray
from llmsched_mip.workload.csv_traces import delimiter_of, floats_of
from llmsched_mip.workload.importer import short, wrong

TIMES = ("iteration_ms", "with_cpu_ms", "gpu_ms")
"""Columns of milliseconds; the first that is there counts."""
LAYOUTS: tuple[dict[str, str], ...] = (
    {"chunk": "prefill_chunk", "context": "kv_prefill", "decodes": "n_decode", "kv_each": "kv_decode"},
    {"decodes": "batch_size", "kv_each": "kv_per_request"},
    {"chunk": "prompt_tokens"},
)
"""What a row has of an iteration, and its column; what a layout has not is 0."""
COUNT = f"an integer from 0 to {MAX_TOKENS}"
MOST_MS = 1e12
NAMED = 20


@dataclass(frozen=True, eq=False)
class Timings:
    """Measured iterations, columns of shape (n,).

    Parameters
    ----------
    chunk : float array
        Prompt tokens in the iteration, 0 of pure decode iterations.
    context : float array
        Tokens of that prompt before the chunk.
    decodes : float array
        Requests in decode.
    kv_each : float array
        KV tokens that each of them holds.
    seconds : float array
        Duration, > 0.
    """

    chunk: FloatArray
    context: FloatArray
    decodes: FloatArray
    kv_each: FloatArray
    seconds: FloatArray

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def tokens(self) -> FloatArray:
        """Tokens that the iteration computes."""
        return self.chunk + self.decodes

    @property
    def kv_tokens(self) -> FloatArray:
        """KV tokens of all decodes."""
        return self.decodes * self.kv_each

    @property
    def attention(self) -> FloatArray:
        """Tokens that the chunk attends to, summed over its tokens: chunk · (context + chunk / 2)."""
        return self.chunk * (self.context + self.chunk / 2)

    def take(self, kept: Any) -> Timings:
        """The rows of a mask or of indices."""
        return Timings(*(getattr(self, name)[kept] for name in COLUMNS))


COLUMNS = ("chunk", "context", "decodes", "kv_each", "seconds")


@dataclass(frozen=True, eq=False)
class TimingTable:
    """What was read of one file.

    Parameters
    ----------
    path : str
    timings : Timings
    notes : tuple of str
        What is to be said of how it was read.
    """

    path: str
    timings: Timings
    notes: tuple[str, ...]


def joined(tables: Sequence[TimingTable]) -> Timings:
    """The rows of all tables."""
    return Timings(*(np.concatenate([getattr(table.timings, name) for table in tables]) for name in COLUMNS))


def read_timings(path: Path | str) -> TimingTable:
    """Read a timing table, plain or gzipped, ``-`` from standard input.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        One line: file, line, column, and what was expected.
    """
    with Lines(path) as lines:
        delimiter = delimiter_of(lines.head().lstrip("\r\n").split("\n", 1)[0])
        reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
        try:
            rows = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
        except csv.Error as error:
            raise wrong(lines, f"line {reader.line_num}", f"not valid CSV: {error}") from None
    if not rows:
        raise UnreadableFileError(f"{lines.shown}: empty file, expected a header line with column names")
    header = [name.strip() for name in rows[0][1]]
    numbers, fields = [number for number, _ in rows[1:]], [row for _, row in rows[1:]]
    layout, time = _layout(lines, header)
    if not fields:
        raise wrong(lines, "line 2", "no rows, expected one iteration a row")
    for number, row in zip(numbers, fields, strict=True):
        if len(row) != len(header):
            raise wrong(lines, f"line {number}", f"expected {len(header)} fields as in the header, got {len(row)}")
    table = _Cells(lines, header, numbers, fields, delimiter == ";")
    columns = {name: table.counts(column) for name, column in layout.items()}
    columns = {name: columns.get(name, np.zeros(len(fields))) for name in COLUMNS[:-1]}
    table.require((columns["chunk"] > 0) | (columns["decodes"] > 0), layout)
    timings = Timings(**columns, seconds=table.milliseconds(time) / 1000)
    ignored = [name for name in header if name not in (*layout.values(), time)]
    notes = [f"{counted(len(timings), 'row')}, time in {time}"]
    if ignored:
        notes.append(f"ignored: {', '.join(ignored[:NAMED])}{', ...' if len(ignored) > NAMED else ''}")
    return TimingTable(lines.shown, timings, tuple(notes))


def _layout(lines: Lines, header: list[str]) -> tuple[dict[str, str], str]:
    """The layout whose columns are all there, and the column of the time."""
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise wrong(lines, f"line 1, column {twice[0]!r}", f"stands {header.count(twice[0])} times")
    time = next((name for name in TIMES if name in header), None)
    found = max(LAYOUTS, key=lambda layout: sum(column in header for column in layout.values()) / len(layout))
    missing = [column for column in found.values() if column not in header]
    missing += [TIMES[0]] if time is None else []
    if missing or time is None:
        there = ", ".join(header[:NAMED]) + (", ..." if len(header) > NAMED else "")
        raise wrong(
            lines, "line 1", f"missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; the columns are {there}"
        )
    return found, time


@dataclass(frozen=True)
class _Cells:
    """The fields of a table, and where they stand."""

    lines: Lines
    header: list[str]
    numbers: list[int]
    fields: list[list[str]]
    decimal_commas: bool

    def counts(self, column: str) -> FloatArray:
        """A column of integers ≥ 0."""
        values, texts = self._values(column)
        return self._valid(
            column, values, texts, (values >= 0) & (values <= MAX_TOKENS) & (values == np.floor(values)), COUNT
        )

    def milliseconds(self, column: str) -> FloatArray:
        """A column of times > 0."""
        values, texts = self._values(column)
        expected = f"milliseconds above 0, at most {MOST_MS:g}"
        return self._valid(column, values, texts, (values > 0) & (values <= MOST_MS), expected)

    def require(self, good: Any, layout: dict[str, str]) -> None:
        """Each row has a chunk or decodes."""
        if not good.all():
            names = " or ".join(layout[name] for name in ("chunk", "decodes") if name in layout)
            where = f"line {self.numbers[int(np.argmin(good))]}"
            raise wrong(self.lines, where, f"expected {names} of at least 1, got an iteration without tokens")

    def _values(self, column: str) -> tuple[FloatArray, list[str]]:
        texts = [row[self.header.index(column)] for row in self.fields]
        return floats_of(texts, self.decimal_commas), texts

    def _valid(self, column: str, values: FloatArray, texts: list[str], good: Any, expected: str) -> FloatArray:
        if not good.all():
            bad = int(np.argmin(good))
            where = f"line {self.numbers[bad]}, column {column!r}"
            raise InvalidInputError(where, f"expected {expected}, got {short(texts[bad])}", None, self.lines.shown)
        return values
