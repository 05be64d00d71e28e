"""Keys that stand twice in one object of a JSON file, of which a reader would take the last in silence."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel

from llmsched_mip.errors import InvalidInputError

KEY = re.compile(rb'"\s*:')


def require_distinct_keys(source: str, content: bytes, document: BaseModel) -> None:
    """Raise `InvalidInputError` for a key that stands twice in an object of `content`, which was read as `document`.

    Every key ends in a quote and a colon.  Where there are as many of them as the document has keys, none is there
    twice; this takes some 0.05 s for a million requests.  Texts may hold the two signs too: then all is read again.
    """
    if len(KEY.findall(content)) != _keys(document):
        try:
            json.loads(content, object_pairs_hook=_distinct)
        except InvalidInputError as error:
            raise error.located(source) from None


def _keys(value: Any) -> int:
    """Keys of all objects in a part of a document; lists hold parts of one kind."""
    if isinstance(value, BaseModel):
        fields = value.__dict__
        return len(value.model_fields_set) + sum(_keys(fields[name]) for name in value.model_fields_set)
    if isinstance(value, list) and value and isinstance(value[0], BaseModel):
        return sum(map(_keys, value))
    return len(value) if isinstance(value, dict) else 0


def _distinct(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise InvalidInputError(key, "key stands twice in one object")
        seen.add(key)
