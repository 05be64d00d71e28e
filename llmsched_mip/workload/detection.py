"""The format of a trace, found by its beginning."""

from __future__ import annotations

import json

from llmsched_mip.errors import InvalidInputError, UnreadableFileError
from llmsched_mip.io.lines import Lines
from llmsched_mip.workload.csv_traces import AZURE, BURSTGPT, delimiter_of

SGLANG_KEYS = ("input_throughput", "accept_length", "sharegpt_output_len", "total_output_tokens_retokenized")


def trace_format(lines: Lines) -> str:
    """Name of the format in `IMPORTERS`; a table whose columns belong to no preset is ``csv``.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        An empty file, or JSON of no known layout.
    """
    head = lines.head().lstrip()
    if not head:
        raise UnreadableFileError(f"{lines.shown}: empty file, expected a trace")
    first = head.split("\n", 1)[0]
    if head[0] not in "{[":
        names = {name.strip().strip('"') for name in first.strip().split(delimiter_of(first))}
        for preset, columns in (("azure", AZURE), ("burstgpt", BURSTGPT)):
            if {columns.prefill, columns.decode, columns.arrival} <= names:
                return preset
        return "csv"
    return _json_format(lines, head, first)


def _json_format(lines: Lines, head: str, first: str) -> str:
    try:
        found = json.loads(first)
        keys = set(found) if isinstance(found, dict) else set()
    except (ValueError, RecursionError):
        # An object over several lines, or one whose first line is longer than what is looked at.
        keys = {key for key in ("format", *LAYOUT_KEYS, *SGLANG_KEYS) if f'"{key}"' in head}
    if {"input_length", "output_length"} <= keys:
        return "mooncake"
    if "custom_id" in keys or {"method", "url", "body"} <= keys:
        return "openai-batch"
    if keys & {"input_lens", "output_lens", "completed", "request_throughput"}:
        return "sglang" if keys & set(SGLANG_KEYS) else "vllm"
    if "format" in keys:
        raise InvalidInputError("", "is a file of llmsched, not a trace", None, lines.shown)
    raise InvalidInputError(
        "", "JSON of no known layout; name the format: llmsched import FORMAT FILE", None, lines.shown
    )


LAYOUT_KEYS = (
    "input_length", "output_length", "custom_id", "method", "url", "body", "input_lens", "output_lens", "completed",
    "request_throughput",
)  # fmt: skip
