"""An instance from a pandas DataFrame, one request a row, and back."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import MAX_TOKENS, Instance, Requests, Worker
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.values import is_integer, is_number
from llmsched_mip.worker import numbered_name
from llmsched_mip.workload.family import request_ids
from llmsched_mip.workload.fleet import Fleet

if TYPE_CHECKING:
    import pandas as pd

    Workers = str | os.PathLike[str] | Worker | Iterable[str | os.PathLike[str] | Worker]

ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("request_id", "custom_id"),
    "prefill_tokens": (
        "prompt_tokens",
        "input_tokens",
        "num_prefill_tokens",
        "ContextTokens",
        "Request tokens",
        "prompt_len",
        "input_len",
    ),
    "decode_tokens": (
        "completion_tokens",
        "output_tokens",
        "num_decode_tokens",
        "GeneratedTokens",
        "Response tokens",
        "output_len",
    ),
    "arrival_s": ("arrived_at",),
    "weight": (),
    "decode_lower": (),
    "decode_upper": (),
}
"""Column names that are taken for each of ours: those of OpenAI and Anthropic usage, Vidur, Azure, BurstGPT, vLLM."""

MOST_NAMED = 20


def instance_from_frame(
    frame: pd.DataFrame,
    worker: Workers,
    workers: int = 1,
    *,
    name: str = "frame",
    objective: str = "makespan",
) -> Instance:
    """Make an instance of the rows of a DataFrame; see `Instance.from_frame`."""
    table = _Table(frame)
    prefill_tokens, decode_tokens = table.token_counts("prefill_tokens"), table.token_counts("decode_tokens")
    engines = _workers(worker, workers, prefill_tokens, decode_tokens)
    columns: dict[str, Any] = {
        "prefill_tokens": prefill_tokens,
        "decode_tokens": decode_tokens,
        "id": table.ids() if "id" in table.used else request_ids(table.count),
    }
    if "arrival_s" in table.used:
        columns["arrival_s"] = table.arrivals()
    if "weight" in table.used:
        columns["weight"] = table.numbers("weight", "a finite number > 0", lambda v: v > 0)
    if "decode_lower" in table.used or "decode_upper" in table.used:
        columns["decode_lower"], columns["decode_upper"] = table.intervals()
    if table.ignored:
        warnings.warn(f"columns ignored: {_listed(table.ignored)}", stacklevel=3)
    kinds = ", ".join(dict.fromkeys(engine.name for engine in engines[:MOST_NAMED]))
    return Instance(
        name=name,
        requests=Requests(**columns),
        workers=engines,
        objective=objective,
        description=f"{table.count} rows of a DataFrame, columns {_listed(table.used.values())}.",
        source=f"Imported from a DataFrame; workers {kinds}{', ...' if len(engines) > MOST_NAMED else ''}.",
    )


def instance_to_frame(instance: Instance) -> pd.DataFrame:
    """The requests of an instance, one a row; see `Instance.to_frame`."""
    import pandas as pd

    requests = instance.requests
    columns = {column: getattr(requests, column) for column in ALIASES}
    return pd.DataFrame({column: values for column, values in columns.items() if values is not None})


def _workers(worker: Workers, count: int, prefill_tokens: IntArray, decode_tokens: IntArray) -> tuple[Worker, ...]:
    """The workers for requests of these lengths, arrays of shape (n,): as `Fleet` makes them."""
    single = isinstance(worker, str | os.PathLike | Worker) or not isinstance(worker, Iterable)
    given: list[Any] = [worker] if single else list(worker)  # type: ignore[arg-type]
    for one in given:
        if not isinstance(one, str | os.PathLike | Worker):
            raise InvalidInputError("worker", f"expected a deployment's name, a Worker or a list of these, got {one!r}")
    if len(given) != 1 and not (is_integer(count) and count == 1):
        raise InvalidInputError("workers", f"goes with one worker, got {count!r} and a list of {len(given)}")
    named = [one if isinstance(one, Worker) else os.fspath(one) for one in given]
    engines = [engine for one in named for engine in Fleet(one, count).workers(prefill_tokens, decode_tokens)]
    if len(given) == 1:
        return tuple(engines)
    kinds, numbers = Counter(engine.name for engine in engines), Counter[str]()
    for k, engine in enumerate(engines):
        if kinds[engine.name] > 1:
            numbers[engine.name] += 1
            engines[k] = replace(engine, name=numbered_name(engine.name, numbers[engine.name]))
    return tuple(engines)


class _Table:
    """A DataFrame by our names; knows how to name a row."""

    def __init__(self, frame: Any):
        import pandas as pd

        if not isinstance(frame, pd.DataFrame) and hasattr(frame, "to_pandas"):
            frame = frame.to_pandas()
        if not isinstance(frame, pd.DataFrame):
            raise InvalidInputError("frame", f"expected a DataFrame, got {type(frame).__name__}")
        if not len(frame):
            raise InvalidInputError("frame", "no rows, expected one request a row")
        names = {alias for column, aliases in ALIASES.items() for alias in (column, *aliases)}
        if frame.index.name in names and frame.index.name not in frame.columns:
            frame = frame.reset_index()
        self.frame, self.count = frame, len(frame)
        self.numbered = frame.index.equals(pd.RangeIndex(len(frame)))
        self.used = {column: found for column in ALIASES if (found := self._found(column)) is not None}
        for column in ("prefill_tokens", "decode_tokens"):
            if column not in self.used:
                known = " or ".join(ALIASES[column])
                there = _listed(frame.columns) or "none"
                raise InvalidInputError(f"column {column!r}", f"missing, nor is there {known}; the columns are {there}")
        taken = set(self.used.values())
        self.ignored = [column for column in frame.columns if column not in taken]

    def _found(self, column: str) -> str | None:
        """The name that a column of ours has here: its own, else the one alias that is there."""
        there = self.frame.columns
        names = [column] if column in there else [alias for alias in ALIASES[column] if alias in there]
        if len(names) > 1:
            raise InvalidInputError(
                f"column {column!r}", f"which of {_listed(names)} is it? Name that one {column}, or drop the others"
            )
        if names and (count := int(np.sum(there == names[0]))) > 1:
            raise InvalidInputError(f"column {names[0]!r}", f"expected once, stands {count} times")
        return names[0] if names else None

    def _series(self, column: str) -> pd.Series:
        return self.frame[self.used[column]]

    def _error(self, column: str, row: int, message: str) -> InvalidInputError:
        label = "" if self.numbered else f" (index {_shown(self.frame.index[row])})"
        return InvalidInputError(f"column {self.used[column]!r}, row {row}{label}", message)

    def _require(self, column: str, good: Any, expected: str) -> None:
        if not np.all(good):
            row = int(np.argmin(good))
            value = self._series(column).iloc[row]
            raise self._error(column, row, f"expected {expected}, got {_shown(value)}")

    def numbers(self, column: str, expected: str, valid: Any) -> FloatArray:
        """A column of finite numbers for which `valid` holds: shape (n,)."""
        values = _floats(self._series(column))
        with np.errstate(invalid="ignore"):
            self._require(column, np.isfinite(values) & valid(values), expected)
        return values

    def token_counts(self, column: str) -> IntArray:
        """A column of integers of at least 1, which pandas may keep as floats: shape (n,)."""
        expected = f"an integer from 1 to {MAX_TOKENS}"
        values = self.numbers(column, expected, lambda v: (v >= 1) & (v <= MAX_TOKENS) & (v == np.floor(v)))
        return values.astype(np.int64)

    def intervals(self) -> tuple[IntArray, IntArray]:
        """Lower and upper ends of the prediction intervals: shape (n,) each."""
        for column in ("decode_lower", "decode_upper"):
            if column not in self.used:
                raise InvalidInputError(f"column {column!r}", "missing; decode_lower and decode_upper go together")
        lower, upper = self.token_counts("decode_lower"), self.token_counts("decode_upper")
        self._require("decode_upper", upper >= lower, "at least decode_lower")
        return lower, upper

    def arrivals(self) -> FloatArray:
        """Seconds, shape (n,): numbers and durations as they are, points in time from the earliest on."""
        series = self._series("arrival_s")
        kind = getattr(series.dtype, "kind", "O")
        if kind not in "mM":
            return self.numbers("arrival_s", "a number of seconds ≥ 0, a Timedelta or a Timestamp", lambda v: v >= 0)
        self._require("arrival_s", series.notna().to_numpy(), "a point in time" if kind == "M" else "a duration")
        seconds: FloatArray = (series - series.min() if kind == "M" else series).dt.total_seconds().to_numpy(np.float64)
        self._require("arrival_s", seconds >= 0, "a duration ≥ 0")
        return seconds

    def ids(self) -> list[str]:
        """A column of different texts or integers, none of them empty, as texts."""
        texts: list[str] = []
        first: dict[str, int] = {}
        for row, value in enumerate(self._series("id").tolist()):
            if not (is_integer(value) or (isinstance(value, str) and value)):
                raise self._error("id", row, f"expected a text that is not empty or an integer, got {_shown(value)}")
            text = str(value)
            if text in first:
                raise self._error("id", row, f"expected an id of its own, {_shown(value)} is that of row {first[text]}")
            first[text] = row
            texts.append(text)
        return texts


def _floats(series: pd.Series) -> FloatArray:
    """The values of a column, NaN for what is missing or no number."""
    if getattr(series.dtype, "kind", "O") in "iuf":
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.array([_float(value) for value in series.tolist()], dtype=np.float64)


def _float(value: Any) -> float:
    try:
        return float(value) if is_number(value) else np.nan
    except OverflowError:
        return np.inf


def _shown(value: Any) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 40 else text[:37] + "..."


def _listed(names: Iterable[Any]) -> str:
    """Names in a row, the first of them where they are many."""
    names = [str(name) for name in names]
    return ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
