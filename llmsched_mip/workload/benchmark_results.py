"""Importers of benchmark results of engines, which hold the lengths of the requests that were served.

- `vllm`: ``vllm bench serve --save-result --save-detailed`` (vllm-project/vllm, vllm/benchmarks/serve.py): one JSON
  object with the lists input_lens, output_lens and errors; newer versions add start_times (s).
- `sglang`: ``python -m sglang.bench_serving --output-file FILE --output-details`` (sgl-project/sglang,
  python/sglang/bench_serving.py): one JSON object a line and run, with the lists input_lens, output_lens and errors.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError, UnreadableFileError
from llmsched_mip.instance import MAX_TOKENS
from llmsched_mip.io.lines import Lines
from llmsched_mip.workload.importer import Reading, Trace, short, wrong

DETAILS = {"vllm": "vllm bench serve --save-result --save-detailed", "sglang": "sglang.bench_serving --output-details"}
MICROSECONDS = 6


def read_vllm(lines: Lines, reading: Reading) -> Trace:
    """A result of ``vllm bench serve`` with its details."""
    return _trace(lines, reading, "vllm")


def read_sglang(lines: Lines, reading: Reading) -> Trace:
    """A result of ``sglang.bench_serving`` with its details; of several runs the last."""
    return _trace(lines, reading, "sglang")


def _trace(lines: Lines, reading: Reading, engine: str) -> Trace:
    run, runs = _last_run(lines)
    for name in ("input_lens", "output_lens"):
        if name not in run:
            raise wrong(lines, f"field {name!r}", f"missing; it is there after {DETAILS[engine]}")
    prefill = _tokens(lines, run, "input_lens")
    decode = _tokens(lines, run, "output_lens")
    count = len(prefill)
    if len(decode) != count:
        raise wrong(lines, "field 'output_lens'", f"expected {count} values as in input_lens, got {len(decode)}")
    errors = run.get("errors") or [""] * count
    if not isinstance(errors, list) or len(errors) != count:
        raise wrong(lines, "field 'errors'", f"expected a list of {count} texts")
    made = (prefill > 0) & (decode > 0) & np.array([not error for error in errors], dtype=bool)
    made[reading.limit or count :] = False
    if not made.any():
        raise InvalidInputError("", "no request with a prompt and an output", None, lines.shown)
    started = None if reading.backlog else _started(lines, run, count)
    notes = [f"the last of {runs} runs"] if runs > 1 else []
    if started is None and not reading.backlog:
        notes.append("the result has no start times: all requests arrive at 0")
    failed = int((~made[: reading.limit or count]).sum())
    if failed:
        notes.append(f"{failed} requests that failed or made no tokens are left out")
    arrival = None if started is None else np.round(started[made] - started[made].min(), MICROSECONDS)
    used = "input_lens, output_lens" + (", start_times" if arrival is not None else "")
    return Trace(prefill[made], decode[made], f"fields {used}", arrival, notes=tuple(notes))


def _last_run(lines: Lines) -> tuple[dict[str, Any], int]:
    """The object in the file, or the last of its lines, and how many there are."""
    texts = list(lines)
    whole = "".join(texts)
    if not whole.strip():
        raise UnreadableFileError(f"{lines.shown}: empty file, expected a JSON object")
    try:
        found, runs = json.loads(whole), 1
    except (ValueError, RecursionError) as error:
        filled = [(k, text) for k, text in enumerate(texts, 1) if text.strip()]
        try:
            found, runs = [json.loads(text) for _, text in filled][-1], len(filled)
        except (ValueError, RecursionError):
            where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "line 1"
            raise wrong(lines, where, f"not valid JSON: {getattr(error, 'msg', 'nested too deep')}") from None
    if not isinstance(found, dict):
        raise wrong(lines, "line 1", f"expected a JSON object, got {short(found)}")
    return found, runs


def _tokens(lines: Lines, run: dict[str, Any], name: str) -> Any:
    values = run[name]
    if not isinstance(values, list) or not values:
        raise wrong(lines, f"field {name!r}", "expected a list of token counts")
    for k, value in enumerate(values):
        if type(value) is not int or not 0 <= value <= MAX_TOKENS:
            raise wrong(lines, f"field {name}[{k}]", f"expected an integer from 0 to {MAX_TOKENS}, got {short(value)}")
    return np.array(values, dtype=np.int64)


def _started(lines: Lines, run: dict[str, Any], count: int) -> Any:
    values = run.get("start_times")
    if not values:
        return None
    good = isinstance(values, list) and len(values) == count
    if not good or not all(type(v) in (int, float) and math.isfinite(v) for v in values):
        raise wrong(lines, "field 'start_times'", f"expected a list of {count} numbers of seconds")
    return np.array(values, dtype=np.float64)
