"""One line for a file without the layout of `documents`: file, field, request, what was expected."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from llmsched_mip.errors import InvalidInputError, SchedulingError, UnreadableFileError

EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "int_parsing": "an integer",
    "int_parsing_size": "an integer that is not so large",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "string_too_short": "a text that is not empty",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "too_short": "at least {min_length} entry",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "at most {le:.0f}",
    "literal_error": "{expected}",
    "union_tag_invalid": "{expected_tags}",
}


def one_line(source: str, content: bytes, kind: str, error: ValidationError) -> SchedulingError:
    """The first of the errors in the file `source` with this `content`, as one line."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "json_invalid":
        return UnreadableFileError(f"{source}: {_not_json(content, str(first['msg']))}")
    if not first["loc"] and first["type"] in ("model_type", "model_attributes_type"):
        found = _shown(first["input"])
        return UnreadableFileError(f"{source}: expected a JSON object, an llmsched-{kind} file, got {found}")
    where = _path(first)
    missing = [_dotted(_path(e)) for e in error.errors(include_url=False) if _message(e) == "missing"]
    if kind == "worker" and len(missing) > 1:
        more = error.error_count() - len(missing)
        note = f" (and {more} more {'fault' if more == 1 else 'faults'})" if more else ""
        return InvalidInputError("", f"missing fields: {', '.join(missing)}{note}", None, source)
    more = error.error_count() - 1
    note = f" (and {more} more)" if more else ""
    return InvalidInputError(_dotted(where), _message(first) + note, _request_at(content, where), source)


def _not_json(content: bytes, message: str) -> str:
    if not content.strip():
        return "empty file, expected a JSON object"
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 text at byte {error.start}"
    return f"not valid JSON: {message.removeprefix('Invalid JSON: ')}"


def _path(first: Any) -> list[Any]:
    """Keys and indices to the value; the tag of a prefill time is no key of the file."""
    where = list(first["loc"])
    if "prefill_time" in where:
        tag = where.index("prefill_time") + 1
        where = where[:tag] + where[tag + 1 :]
    if first["type"].startswith("union_tag"):
        where.append("kind")
    return where


def _dotted(where: list[Any]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")


def _message(first: Any) -> str:
    kind, context = first["type"], first.get("ctx", {})
    if kind in ("missing", "union_tag_not_found"):
        return "missing"
    if kind == "extra_forbidden":
        return "unknown key"
    found = context["tag"] if kind == "union_tag_invalid" else first["input"]
    expected = EXPECTED.get(kind, str(first["msg"])).format(**context).replace("', '", "' or '")
    return f"expected {expected}, got {_shown(found)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _request_at(content: bytes, where: list[Any]) -> str | None:
    """Id of the request whose column value is at `where`, if the ids can be read."""
    if len(where) != 3 or where[0] != "requests" or not isinstance(where[2], int) or where[1] == "id":
        return None
    try:
        return str(json.loads(content)["requests"]["id"][where[2]])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
