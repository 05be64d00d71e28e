"""JSON traces line by line: fields of a line with their checks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import MAX_TOKENS
from llmsched_mip.io.lines import Lines
from llmsched_mip.workload.importer import short, wrong

ABSENT = object()


class Record(NamedTuple):
    """One object of a JSONL file."""

    lines: Lines
    number: int
    fields: dict[str, Any]

    def get(self, path: str, default: Any = ABSENT) -> Any:
        """The value at a path of keys with dots between them; without a default it must be there."""
        value: Any = self.fields
        for key in path.split("."):
            if not isinstance(value, dict) or key not in value:
                if default is ABSENT:
                    raise self.wrong(path, "missing")
                return default
            value = value[key]
        return value

    def tokens(self, path: str, least: int = 1) -> int:
        """A number of tokens."""
        value = self.get(path)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_TOKENS:
            raise self.wrong(path, f"expected an integer from {least} to {MAX_TOKENS}, got {short(value)}")
        return value

    def number_at(self, path: str, expected: str) -> float:
        """A finite number of at least 0."""
        value = self.get(path)
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
            raise self.wrong(path, f"expected {expected}, got {short(value)}")
        return float(value)

    def wrong(self, path: str, message: str) -> InvalidInputError:
        """One line on a field of this line."""
        return wrong(self.lines, f"line {self.number}, field {path!r}", message)


def records(lines: Lines, limit: int | None) -> Iterator[Record]:
    """The objects of a JSONL file, empty lines left out, at most `limit` of them."""
    count = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if limit is not None and count >= limit:
            return
        count += 1
        yield Record(lines, number, _object(lines, number, line))
    if not count:
        raise InvalidInputError("", "empty file, expected one JSON object a line", None, lines.shown)


def _object(lines: Lines, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        raise wrong(lines, f"line {number}", f"not valid JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError):
        raise wrong(lines, f"line {number}", "not valid JSON: nested too deep or a number too long") from None
    if not isinstance(value, dict):
        raise wrong(lines, f"line {number}", f"expected a JSON object, got {short(value)}")
    return value
