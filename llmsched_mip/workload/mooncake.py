"""Importer of Mooncake traces (kvcache-ai/Mooncake, FAST25-release/traces and its README): JSON lines of

    {"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 48, 49, 50, 51, 52, 53]}

timestamp: milliseconds; hash_ids: a block of 512 prompt tokens each, the last one maybe of fewer, equal where the
prompt is equal from its start to the end of the block.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.lines import Lines
from llmsched_mip.timing import IntArray
from llmsched_mip.workload.importer import Reading, Trace, without_output, wrong
from llmsched_mip.workload.json_lines import Record, records

BLOCK_SIZES = (512, 16, 32, 64, 128, 256, 1024, 2048)
LARGEST_ID = 2**40
KNOWN = {"timestamp", "input_length", "output_length", "hash_ids"}


def read_mooncake(lines: Lines, reading: Reading) -> Trace:
    """A Mooncake trace, or one of its layout with blocks of another size, which is found from the lengths."""
    numbers: list[tuple[int, int, float]] = []
    blocks: list[IntArray] = []
    line_of: list[int] = []
    left_out: list[int] = []
    ignored: set[str] = set()
    for record in records(lines, reading.limit):
        p, d = record.tokens("input_length", 0), record.tokens("output_length", 0)
        ignored |= record.fields.keys() - KNOWN
        if not p or not d:
            left_out.append(record.number)
            continue
        moment = 0.0 if reading.backlog else record.number_at("timestamp", "a number of milliseconds ≥ 0")
        numbers.append((p, d, moment))
        blocks.append(_ids(record))
        line_of.append(record.number)
    if not numbers:
        raise InvalidInputError("", "no request with a prompt and an output", None, lines.shown)
    prefill, decode = (np.array([row[k] for row in numbers], dtype=np.int64) for k in (0, 1))
    ms = np.array([row[2] for row in numbers])
    size = _block_tokens(lines, prefill, blocks, line_of)
    notes = [f"hash_ids of {size} tokens each become prefix_blocks"] if size else ["no hash_ids, so no prefix_blocks"]
    notes += [f"ignored: {', '.join(sorted(ignored))}"] if ignored else []
    return Trace(
        prefill,
        decode,
        "fields timestamp (ms), input_length, output_length, hash_ids",
        None if reading.backlog else (ms - ms.min()) / 1000,
        blocks=_small(blocks) if size else None,
        block_tokens=size,
        notes=(*notes, *without_output(left_out)),
    )


def _ids(record: Record) -> IntArray:
    ids: Any = record.get("hash_ids", [])
    whole = isinstance(ids, list) and all(type(one) is int and 0 <= one < 2**63 for one in ids)
    if not whole:
        raise record.wrong("hash_ids", "expected a list of integers ≥ 0")
    return np.array(ids, dtype=np.int64)


def _block_tokens(lines: Lines, prefill: IntArray, blocks: list[IntArray], line_of: list[int]) -> int:
    """Tokens of a block: the first size with which all prompts have as many blocks as ids; 0 without ids."""
    counts = np.array([len(ids) for ids in blocks])
    if not counts.any():
        return 0
    fits = [(counts >= prefill // size) & (counts <= -(-prefill // size)) for size in BLOCK_SIZES]
    for size, good in zip(BLOCK_SIZES, fits, strict=True):
        if good.all():
            return size
    bad = int(np.argmin(fits[0]))
    raise wrong(
        lines,
        f"line {line_of[bad]}, field 'hash_ids'",
        f"expected {-(-int(prefill[bad]) // 512)} ids of 512 tokens for {prefill[bad]} input tokens, got {counts[bad]}",
    )


def _small(blocks: list[IntArray]) -> list[IntArray]:
    """The ids, numbered anew where they are too large to be expanded."""
    flat = np.concatenate(blocks)
    if int(flat.max()) < LARGEST_ID:
        return blocks
    numbered = np.unique(flat, return_inverse=True)[1].astype(np.int64)
    return np.split(numbered, np.cumsum([len(ids) for ids in blocks])[:-1])


def expanded(ids: IntArray, prefill_tokens: int, tokens: int, to_tokens: int) -> IntArray:
    """Ids of the whole blocks of `to_tokens` tokens of a prompt whose blocks of `tokens` tokens are `ids`.

    Ids are chained: equal ids stand for equal prompts from their start to the end of the block.  So a smaller block is
    the block that holds its last token and the place of that token in it.
    """
    last = np.arange(1, prefill_tokens // to_tokens + 1) * to_tokens - 1
    last = last[last // tokens < len(ids)]
    parts, place = (
        (tokens // to_tokens, last % tokens // to_tokens) if tokens % to_tokens == 0 else (tokens, last % tokens)
    )
    return np.asarray(ids[last // tokens] * parts + place)
