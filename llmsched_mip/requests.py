"""Requests as columns (NumPy arrays), so that an instance of a million of them costs a few arrays."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.text_column import TextColumn
from llmsched_mip.texts import counted, range_text
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.values import require_text

MAX_TOKENS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Requests:
    """Request columns, all of length n.

    Parameters
    ----------
    id : sequence of str
        Unique, not empty; kept as a tuple, or as the `TextColumn` that it is.
    prefill_tokens, decode_tokens : int array
        Prompt length p_i and number of decode rounds d_i, tokens, at least 1.
    arrival_s : float array, optional
        Earliest start of the prefill in seconds; default 0 (a backlog).
    decode_lower, decode_upper : int array, optional
        Prediction interval [l_i, u_i] in tokens; both or neither.  It may miss d_i.
    weight : float array, optional
        Weight ω_i > 0; default 1.
    prefix_blocks : sequence of int arrays, optional
        A request's prompt as the ids of its KV blocks, from the start, whole blocks alone: an array a request, whose
        equal prefixes have equal ids.  Of no effect on plans.
    """

    id: Sequence[str]
    prefill_tokens: IntArray
    decode_tokens: IntArray
    arrival_s: FloatArray = None  # type: ignore[assignment]
    decode_lower: IntArray | None = None
    decode_upper: IntArray | None = None
    weight: FloatArray = None  # type: ignore[assignment]
    prefix_blocks: Sequence[IntArray] | None = None

    def __post_init__(self) -> None:
        n = len(self.id)
        if self.arrival_s is None:
            object.__setattr__(self, "arrival_s", np.zeros(n))
        if self.weight is None:
            object.__setattr__(self, "weight", np.ones(n))
        if not isinstance(self.id, TextColumn):
            object.__setattr__(self, "id", tuple(self.id))
        for name in ("prefill_tokens", "decode_tokens", "decode_lower", "decode_upper"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _column(name, getattr(self, name), np.int64, n))
        for name in ("arrival_s", "weight"):
            object.__setattr__(self, name, _column(name, getattr(self, name), np.float64, n))
        if self.prefix_blocks is not None:
            object.__setattr__(self, "prefix_blocks", _block_lists(self.prefix_blocks, self.id))
        self._validate()

    def __len__(self) -> int:
        return len(self.id)

    def __repr__(self) -> str:
        """One line, however many there are."""
        words = (f"{name} {text}" for name, text in self.rows()[1:])
        return f"Requests({', '.join((counted(len(self), 'request'), *words))})"

    def rows(self) -> list[tuple[str, str]]:
        """What stands in the columns in a few words, name and text."""
        rows = [("requests", str(len(self)))]
        if len(self):
            rows.append(("prompts", f"{_range(self.prefill_tokens)} tokens"))
            rows.append(("outputs", f"{_range(self.decode_tokens)} tokens"))
        if self.arrival_s.any():
            rows.append(("arrivals", f"{_range(self.arrival_s)} s"))
        if self.decode_lower is not None:
            rows.append(("prediction intervals", "given"))
        if (self.weight != 1).any():
            rows.append(("weights", _range(self.weight)))
        return rows

    def take(self, order: Any) -> Requests:
        """The requests `order` (indices or a mask), in that order."""
        order = np.arange(len(self))[np.asarray(order)]
        blocks = self.prefix_blocks
        lower, upper = (None if c is None else c[order] for c in (self.decode_lower, self.decode_upper))
        return Requests(
            self.id.take(order) if isinstance(self.id, TextColumn) else [self.id[i] for i in order],
            self.prefill_tokens[order],
            self.decode_tokens[order],
            self.arrival_s[order],
            lower,
            upper,
            self.weight[order],
            None if blocks is None else [blocks[i] for i in order],
        )

    def _validate(self) -> None:
        self._validate_ids()
        for name in ("prefill_tokens", "decode_tokens", "decode_lower", "decode_upper"):
            values = getattr(self, name)
            if values is not None:
                self._require(name, values, values >= 1, "expected an integer ≥ 1")
                self._require(name, values, values <= MAX_TOKENS, f"expected at most {MAX_TOKENS} tokens")
        self._require(
            "arrival_s",
            self.arrival_s,
            np.isfinite(self.arrival_s) & (self.arrival_s >= 0),
            "expected a finite number of seconds ≥ 0",
        )
        self._require(
            "weight",
            self.weight,
            np.isfinite(self.weight) & (self.weight > 0),
            "expected a finite number > 0",
        )
        if (self.decode_lower is None) != (self.decode_upper is None):
            missing = "decode_lower" if self.decode_lower is None else "decode_upper"
            raise InvalidInputError(f"requests.{missing}", "decode_lower and decode_upper go together")
        if self.decode_lower is not None and self.decode_upper is not None:
            self._require(
                "decode_upper",
                self.decode_upper,
                self.decode_upper >= self.decode_lower,
                "expected decode_upper ≥ decode_lower",
            )

    def _validate_ids(self) -> None:
        if isinstance(self.id, TextColumn):
            repeated = self.id.repeated()
            twice = None if repeated is None else self.id[repeated]
        else:
            counts = Counter(self.id) if len(set(self.id)) != len(self.id) else {}
            twice = next((i for i in self.id if counts[i] > 1), None) if counts else None
        if twice is not None:
            raise InvalidInputError("requests.id", "ids must be unique, this one stands twice", twice)
        if "" in self.id:
            raise InvalidInputError("requests.id", "an id must not be empty")
        if isinstance(self.id, TextColumn):
            return
        try:
            "".join(self.id).encode()
        except (TypeError, UnicodeEncodeError):
            for k, text in enumerate(self.id):
                require_text(f"requests.id[{k}]", text)

    def _require(self, name: str, values: Any, valid: Any, expected: str) -> None:
        if not np.all(valid):
            bad = int(np.argmin(valid))
            raise InvalidInputError(f"requests.{name}[{bad}]", f"{expected}, got {values[bad]}", self.id[bad])


PIECE = 1 << 14
"""Values that are text at once."""


def request_columns(requests: Requests) -> dict[str, Any]:
    """Columns by their names in files; intervals that are absent are None, prefix blocks that are absent left out."""
    names = ("id", "arrival_s", "prefill_tokens", "decode_tokens", "decode_lower", "decode_upper", "weight")
    columns = {name: getattr(requests, name) for name in names}
    return columns if requests.prefix_blocks is None else {**columns, "prefix_blocks": requests.prefix_blocks}


def column_json(values: Sequence[Any] | None, comma: str) -> Iterator[str]:
    """A column as a JSON array with `comma` between its values, in pieces; null for none."""
    if values is None:
        yield "null"
        return
    yield "["
    for first in range(0, len(values), PIECE):
        text = json.dumps(_plain(values[first : first + PIECE]), separators=(comma, ":"))
        yield comma * (first > 0) + text[1:-1]
    yield "]"


def _plain(values: Any) -> Any:
    """Numbers and lists of numbers without NumPy."""
    if isinstance(values, np.ndarray):
        return values.tolist()
    return [_plain(value) for value in values] if isinstance(values, list | tuple) else values


def _range(values: Any) -> str:
    return range_text((values.min(), values.max()))


def _block_lists(lists: Sequence[Any], ids: Sequence[str]) -> tuple[IntArray, ...]:
    """The block ids of each request as read-only arrays."""
    if len(lists) != len(ids):
        raise InvalidInputError(
            "requests.prefix_blocks", f"expected {len(ids)} lists as in requests.id, got {len(lists)}"
        )
    arrays = []
    for k, values in enumerate(lists):
        array = np.asarray(values)
        if array.dtype == np.int64 and array.ndim == 1 and not array.flags.writeable:
            arrays.append(array)  # Checked before: these come from other requests.
            continue
        if array.ndim != 1 or (array.dtype.kind not in "iu" and len(array)):
            raise InvalidInputError(f"requests.prefix_blocks[{k}]", "expected a list of integers", ids[k])
        array = array.astype(np.int64)
        if len(array) and int(array.min()) < 0:
            raise InvalidInputError(f"requests.prefix_blocks[{k}]", "expected integers of at least 0", ids[k])
        array.setflags(write=False)
        arrays.append(array)
    return tuple(arrays)


def _column(name: str, values: Any, dtype: type, n: int) -> Any:
    array = np.asarray(values)
    if array.ndim != 1:
        raise InvalidInputError(f"requests.{name}", "expected a list with one number per request")
    if len(array) != n:
        raise InvalidInputError(f"requests.{name}", f"expected {n} values as in requests.id, got {len(array)}")
    if dtype is np.int64 and array.dtype.kind not in "iu" and n:
        raise InvalidInputError(f"requests.{name}", f"expected integers, got {array.dtype}")
    if dtype is np.float64 and array.dtype.kind not in "iuf" and n:
        raise InvalidInputError(f"requests.{name}", f"expected numbers, got {array.dtype}")
    if array.dtype == dtype and array.flags.owndata and not array.flags.writeable:
        return array  # Nobody's but ours: of other requests, or made to be kept.
    array = array.astype(dtype, copy=True)
    array.setflags(write=False)
    return array
