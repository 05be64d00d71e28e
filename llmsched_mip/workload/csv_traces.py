"""Importers of CSV traces: a header, then one request a row; commas, semicolons or tabs between the fields.

The presets are the published layouts of

- `azure`: AzurePublicDataset, AzureLLMInferenceDataset2023.md and AzureLLMInferenceDataset2024.md (both have
  ``TIMESTAMP,ContextTokens,GeneratedTokens``; TIMESTAMP is a date with up to seven decimals, in 2024 with an offset)
- `burstgpt`: HPMLL/BurstGPT, README.md (``Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type``;
  seconds; failures have 0 response tokens; later releases add ``Session ID`` and ``Elapsed time``)
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError, UnreadableFileError
from llmsched_mip.io.lines import Lines
from llmsched_mip.requests import MAX_TOKENS
from llmsched_mip.timing import FloatArray
from llmsched_mip.workload.importer import Columns, Reading, Trace, short, without_output, wrong

CHUNK_ROWS = 1 << 16
DELIMITERS = "\t;,"
TOKENS = f"an integer from 1 to {MAX_TOKENS}"
COUNT = f"an integer from 0 to {MAX_TOKENS}"
SECONDS = "a finite number of seconds ≥ 0"
DATE = "a date and time like 2024-05-10 09:30:00.5"
WEIGHT = "a finite number > 0"
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
LONG_AGO_S = 1e8
"""Numbers above are times since 1970, not since the first request."""
AZURE = Columns("ContextTokens", "GeneratedTokens", "TIMESTAMP")
BURSTGPT = Columns("Request tokens", "Response tokens", "Timestamp")


def read_csv(lines: Lines, reading: Reading) -> Trace:
    """Any columns by their names; ``id``, ``weight``, ``decode_lower`` and ``decode_upper`` where there are such."""
    return _Table(lines, reading, reading.columns).trace()


def read_azure(lines: Lines, reading: Reading) -> Trace:
    """The Azure LLM inference traces of 2023 and 2024."""
    return _Table(lines, reading, AZURE, failures=True).trace()


def read_burstgpt(lines: Lines, reading: Reading) -> Trace:
    """BurstGPT."""
    return _Table(lines, reading, BURSTGPT, failures=True).trace()


def delimiter_of(header: str) -> str:
    """What stands between the fields of a header: tab, semicolon or comma."""
    return next((sign for sign in DELIMITERS if sign in header), ",")


@dataclass
class _Column:
    """A column as it is read, chunk by chunk."""

    name: str
    index: int
    expected: str
    valid: Callable[[FloatArray], Any]
    dtype: type = np.float64
    chunks: list[Any] = field(default_factory=list)

    def whole(self, kept: Any) -> Any:
        """All of it that is kept."""
        return np.concatenate(self.chunks)[kept]


class _Table:
    """The columns of a CSV file; memory holds the numbers and `CHUNK_ROWS` rows of text."""

    def __init__(self, lines: Lines, reading: Reading, columns: Columns, *, failures: bool = False):
        self.lines, self.reading, self.failures = lines, reading, failures
        numbered = self._rows()
        self.header = [name.strip() for name in next(numbered, (1, []))[1]]
        if not self.header:
            raise UnreadableFileError(f"{lines.shown}: empty file, expected a header line with column names")
        arrival = None if reading.backlog else columns.arrival
        self.dated: bool | None = None
        self.wanted = self._wanted(replace(columns, arrival=arrival))
        self.ids: list[str] | None = [] if self.id_index is not None else None
        self.seen: set[str] = set()
        self.left_out: list[int] = []
        self.kept: list[Any] = []
        while chunk := list(islice(numbered, CHUNK_ROWS)):
            self._take([number for number, _ in chunk], [row for _, row in chunk])
        if not self.kept:
            raise wrong(lines, "line 2", "no rows, expected one request a row")

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line number and fields of the header and of the rows up to the limit; empty lines are left out."""
        self.delimiter = delimiter_of(self.lines.head().lstrip("\r\n").split("\n", 1)[0])
        reader = csv.reader(iter(self.lines), delimiter=self.delimiter, strict=True)
        numbered = ((reader.line_num, row) for row in reader if row)
        limit = self.reading.limit
        try:
            yield from islice(numbered, None if limit is None else limit + 1)
        except csv.Error as error:
            raise wrong(self.lines, f"line {reader.line_num}", f"not valid CSV: {error}") from None

    def _wanted(self, columns: Columns) -> dict[str, _Column]:
        least = 0 if self.failures else 1
        wanted = {
            name: self._tokens(given, COUNT if least == 0 else TOKENS, least)
            for name, given in (("prefill_tokens", columns.prefill), ("decode_tokens", columns.decode))
        }
        if columns.arrival is not None:
            wanted["arrival_s"] = _Column(columns.arrival, self._index(columns.arrival), SECONDS, lambda v: v >= 0)
        given_id = "id" if columns.id is None and "id" in self.header else columns.id
        self.id_index = None if given_id is None else self._index(given_id)
        self.id_name = given_id
        if "weight" in self.header:
            wanted["weight"] = _Column("weight", self._index("weight"), WEIGHT, lambda v: v > 0)
        ends = [name for name in ("decode_lower", "decode_upper") if name in self.header]
        if len(ends) == 1:
            raise wrong(self.lines, f"line 1, column {ends[0]!r}", "decode_lower and decode_upper go together")
        wanted |= {name: self._tokens(name, TOKENS, 1) for name in ends}
        return wanted

    def _tokens(self, name: str, expected: str, least: int) -> _Column:
        return _Column(
            name,
            self._index(name),
            expected,
            lambda v: (v >= least) & (v <= MAX_TOKENS) & (v == np.floor(v)),
            np.int64,
        )

    def _index(self, name: str) -> int:
        found = self.header.count(name)
        if found != 1:
            there = ", ".join(self.header[:20]) + (", ..." if len(self.header) > 20 else "")
            problem = "missing" if not found else f"stands {found} times"
            raise wrong(self.lines, f"line 1, column {name!r}", f"{problem}; the columns are {there}")
        return self.header.index(name)

    def _take(self, numbers: list[int], rows: list[list[str]]) -> None:
        width = len(self.header)
        for number, row in zip(numbers, rows, strict=True):
            if len(row) != width:
                raise wrong(self.lines, f"line {number}", f"expected {width} fields as in the header, got {len(row)}")
        for name, column in self.wanted.items():
            texts = [row[column.index] for row in rows]
            values = (
                self._arrivals(column, texts, numbers) if name == "arrival_s" else self._read(column, texts, numbers)
            )
            column.chunks.append(values.astype(column.dtype))
        made = (self.wanted["prefill_tokens"].chunks[-1] > 0) & (self.wanted["decode_tokens"].chunks[-1] > 0)
        self.kept.append(made)
        self.left_out += [numbers[k] for k in np.flatnonzero(~made)]
        if self.ids is not None and self.id_index is not None:
            self._take_ids([row[self.id_index] for row in rows], numbers)

    def _take_ids(self, texts: list[str], numbers: list[int]) -> None:
        assert self.ids is not None
        for number, text in zip(numbers, texts, strict=True):
            if text in self.seen or not text:
                where = f"line {number}, column {self.id_name!r}"
                raise wrong(self.lines, where, f"expected a unique id, got {short(text)}")
            self.seen.add(text)
        self.ids += texts

    def _read(self, column: _Column, texts: Sequence[str], numbers: list[int]) -> FloatArray:
        values = floats_of(texts, self.delimiter == ";")
        self._require(column, np.isfinite(values) & column.valid(values), texts, numbers)
        return values

    def _arrivals(self, column: _Column, texts: Sequence[str], numbers: list[int]) -> FloatArray:
        """Seconds, or seconds since 1970 of dates: what the first row has, all others must have."""
        if self.dated is None:
            self.dated = np.isnan(floats_of(texts[:1], self.delimiter == ";")[0]) and _seconds(texts[0]) is not None
            column.expected = DATE if self.dated else SECONDS
        if not self.dated:
            return self._read(column, texts, numbers)
        found = [_seconds(text) for text in texts]
        self._require(column, np.array([value is not None for value in found]), texts, numbers)
        return np.array(found, dtype=np.float64)

    def _require(self, column: _Column, good: Any, texts: Sequence[str], numbers: list[int]) -> None:
        if not good.all():
            bad = int(np.argmin(good))
            where = f"line {numbers[bad]}, column {column.name!r}"
            raise wrong(self.lines, where, f"expected {column.expected}, got {short(texts[bad])}")

    def trace(self) -> Trace:
        """What was read."""
        kept = np.concatenate(self.kept)
        if not kept.any():
            raise InvalidInputError("", "no request with a prompt and an output", None, self.lines.shown)
        columns = {name: column.whole(kept) for name, column in self.wanted.items()}
        notes, arrival = [], columns.get("arrival_s")
        if arrival is not None and (self.dated or self.failures or arrival.min() > LONG_AGO_S):
            columns["arrival_s"] = np.round(arrival - arrival.min(), 6)
            notes.append("arrivals are counted from the first")
        order = ("arrival_s", "prefill_tokens", "decode_tokens", "weight", "decode_lower", "decode_upper")
        used = [self.wanted[name].name for name in order if name in self.wanted]
        used += [self.id_name] if self.id_name is not None else []
        ignored = [name for name in self.header if name not in used]
        if ignored:
            notes.append(f"ignored: {', '.join(ignored[:20])}{', ...' if len(ignored) > 20 else ''}")
        ids = None if self.ids is None else [text for text, there in zip(self.ids, kept, strict=True) if there]
        return Trace(
            fields=f"columns {', '.join(used)}", id=ids, notes=(*notes, *without_output(self.left_out)), **columns
        )


def floats_of(texts: Sequence[str], decimal_commas: bool) -> FloatArray:
    """Numbers, NaN for what is none: shape (len(texts),)."""
    if decimal_commas:
        texts = [text.replace(",", ".") for text in texts]
    try:
        if "_" in "".join(texts):
            raise ValueError
        return np.fromiter(map(float, texts), dtype=np.float64, count=len(texts))
    except ValueError:
        return np.array([_number(text) for text in texts])


def _number(text: str) -> float:
    try:
        return float("nan") if "_" in text else float(text)
    except ValueError:
        return float("nan")


def _seconds(text: str) -> float | None:
    """A date as seconds since 1970, to the microsecond; one without an offset is taken as UTC."""
    try:
        moment = datetime.fromisoformat(text.strip().replace("/", "-"))
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return ((moment - EPOCH) // MICROSECOND) / 1e6
