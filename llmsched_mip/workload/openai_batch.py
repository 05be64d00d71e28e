"""Importer of OpenAI batch files (platform.openai.com/docs/guides/batch), which vLLM and SGLang take too: JSON lines of

    {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions",
     "body": {"model": "m", "messages": [{"role": "user", "content": "..."}], "max_tokens": 100}}

A completion has a ``prompt`` for the messages, a response an ``input``; max_tokens is also called max_completion_tokens
or max_output_tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError, UnreadableFileError
from llmsched_mip.io.lines import Lines
from llmsched_mip.io.storage import read_bytes
from llmsched_mip.workload.importer import Reading, Trace
from llmsched_mip.workload.json_lines import Record, records

CHARACTERS_A_TOKEN = 4
MOST = ("max_completion_tokens", "max_tokens", "max_output_tokens")
PROMPT = ("messages", "prompt", "input", "instructions")

Counter = Callable[[str], int]


def read_openai_batch(lines: Lines, reading: Reading) -> Trace:
    """A batch: ids from custom_id, max_tokens as the upper end, lengths from a field or a quantile."""
    if not 0 <= reading.decode_quantile <= 1:
        raise InvalidInputError("decode_quantile", f"expected a number from 0 to 1, got {reading.decode_quantile}")
    count = characters if reading.tokenizer is None else tokenizer(reading.tokenizer)
    seen: dict[str, int] = {}
    lengths: list[tuple[int, int, int]] = []
    other_parts = several = 0
    for record in records(lines, reading.limit):
        name = record.get("custom_id")
        if not isinstance(name, str) or not name or name in seen:
            raise record.wrong("custom_id", f"expected a unique text, got {name!r}"[:120])
        seen[name] = record.number
        tokens, others = prompt_tokens(record, count)
        most = _most_tokens(record, reading)
        lengths.append((tokens, _length(record, reading, most), most))
        other_parts += others
        several += record.get("body.n", 1) not in (1, None)
    columns = np.array(lengths, dtype=np.int64)
    return Trace(
        columns[:, 0],
        columns[:, 1],
        "fields custom_id, body",
        id=list(seen),
        decode_lower=np.ones(len(columns), dtype=np.int64),
        decode_upper=columns[:, 2],
        notes=_notes(reading, other_parts, several),
    )


def _notes(reading: Reading, other_parts: int, several: int) -> tuple[str, ...]:
    notes = [
        f"prompt tokens are characters / {CHARACTERS_A_TOKEN} (--tokenizer FILE counts them)"
        if reading.tokenizer is None
        else f"prompt tokens by {reading.tokenizer}, without those of a chat template"
    ]
    if reading.decode_field is not None:
        notes.append(f"output lengths are those of the field {reading.decode_field}")
    else:
        notes.append(
            f"output lengths are not in the file: taken as {reading.decode_quantile:g} x max_tokens "
            "(--decode-quantile Q or --decode-column FIELD)"
        )
    if other_parts:
        notes.append(f"{other_parts} parts of messages that are no text (images, sound) count no tokens")
    if several:
        notes.append(f"{several} lines ask for several outputs (n), each is one request")
    return tuple(notes)


def characters(text: str) -> int:
    """Tokens of a text, about: a fourth of its characters, rounded up."""
    return -(-len(text) // CHARACTERS_A_TOKEN)


def tokenizer(path: str) -> Counter:
    """Tokens of a text by a ``tokenizer.json`` (Hugging Face tokenizers).

    Raises
    ------
    UnreadableFileError, InvalidInputError
        The file cannot be read, or the package ``tokenizers`` is not installed.
    """
    content = read_bytes(path)
    try:
        from tokenizers import Tokenizer  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise InvalidInputError("tokenizer", "needs the package tokenizers: pip install tokenizers") from None
    try:
        loaded = Tokenizer.from_str(content.decode())
    except Exception as error:
        raise UnreadableFileError(f"{path}: not a tokenizer.json: {error}") from None
    return lambda text: len(loaded.encode(text, add_special_tokens=False).ids)


def prompt_tokens(record: Record, count: Counter) -> tuple[int, int]:
    """Tokens of the prompt, at least 1, and how many parts of it are no text."""
    body = record.get("body")
    if not isinstance(body, dict):
        raise record.wrong("body", "expected an object")
    given = [key for key in PROMPT if key in body]
    if not given or "embeddings" in str(record.get("url", "")):
        raise record.wrong("body", "expected messages, a prompt or an input that asks for output tokens")
    tokens = others = 0
    for key in given:
        texts, ids, parts = _texts(record, f"body.{key}", body[key])
        tokens += sum(map(count, texts)) + ids
        others += parts
    return max(1, tokens), others


def _texts(record: Record, path: str, value: Any) -> tuple[list[str], int, int]:
    """Texts of a prompt, number of its token ids, number of its parts that are neither."""
    if isinstance(value, str):
        return [value], 0, 0
    if not isinstance(value, list):
        raise record.wrong(path, "expected a text or a list")
    texts: list[str] = []
    ids = others = 0
    for part in value:
        if isinstance(part, dict):
            content = part.get("content", part.get("text"))
            if content is None:
                others += 1
                continue
            inner, more, parts = _texts(record, path, content)
            texts, ids, others = texts + inner, ids + more, others + parts
        elif isinstance(part, int) and not isinstance(part, bool):
            ids += 1
        elif isinstance(part, str) and len(value) == 1:
            texts.append(part)
        else:
            raise record.wrong(path, "expected one prompt: a text, messages, or token ids")
    return texts, ids, others


def _most_tokens(record: Record, reading: Reading) -> int:
    given = [key for key in MOST if record.get(f"body.{key}", None) is not None]
    if given:
        return record.tokens(f"body.{given[0]}")
    if reading.most_tokens is None:
        raise record.wrong("body.max_tokens", "missing; --max-tokens N is for lines without it")
    return reading.most_tokens


def _length(record: Record, reading: Reading, most: int) -> int:
    if reading.decode_field is None:
        return max(1, math.ceil(reading.decode_quantile * most))
    return record.tokens(reading.decode_field)
