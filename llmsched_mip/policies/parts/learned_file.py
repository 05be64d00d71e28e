"""Policy files: what `llmsched train` writes and ``learned:FILE`` reads."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.files import parse_document
from llmsched_mip.io.storage import read_bytes
from llmsched_mip.policies.parts.learned_parameters import Parameters
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.timing import IntArray

FOLDER = Path(__file__).parents[2] / "learned"
SHIPPED = "policy.json"
FARTHEST = 1.0
"""Distance beyond which a workload is another kind: numbers of one kind can be far off on another."""


@dataclass(frozen=True)
class Entry:
    """Numbers for one objective and view of the lengths, and the workload that they were trained for.

    Parameters
    ----------
    objective, lengths : str
    family : str
        Name of the family, or of the instance.
    likeness : tuple of float
        See `likeness`.
    parameters : Parameters
    """

    objective: str
    lengths: str
    family: str
    likeness: tuple[float, ...]
    parameters: Parameters


@dataclass(frozen=True)
class PolicyFile:
    """What a policy file says, as far as a policy needs it."""

    entries: tuple[Entry, ...]

    def parameters(self, problem: Problem, arrived: list[int]) -> Parameters | None:
        """Those of the entry whose workload is most like the requests that have arrived; None: no entry with the
        objective and the view of the lengths is alike at all."""
        fit = [e for e in self.entries if (e.objective, e.lengths) == (problem.objective, problem.lengths.visible)]
        if not fit:
            return None
        here = likeness(problem, np.array(arrived, dtype=np.int64))
        nearest = min(fit, key=lambda entry: math.dist(entry.likeness, here))
        return nearest.parameters if math.dist(nearest.likeness, here) <= FARTHEST else None


def likeness(problem: Problem, requests: IntArray) -> tuple[float, ...]:
    """What tells workloads apart, in logarithms and without dimension, of the first worker: KV tokens over those of
    the prompts that fill the slots, fixed seconds of a prefill and seconds of a mean prompt over those of a round of
    one request, and slots."""
    worker, count = problem.workers[0], max(1, len(requests))
    slots = worker.most_slots(len(problem.prefill_tokens))
    prompt = float(problem.prefill_tokens[requests].mean()) if len(requests) else 1.0
    kv = worker.kv_capacity or slots * prompt
    round_s = float(worker.decode_time.round_seconds(1, round(prompt)))
    prefill, least = worker.prefill_time, 1e-3
    values = (
        kv / (slots * prompt),
        max(prefill.fixed_seconds / round_s, least) if round_s > 0 else least,
        max(prefill.token_seconds * prompt / round_s, least) if round_s > 0 else least,
        min(slots, count),
    )
    return tuple(round(math.log(max(value, least)), 4) for value in values)


def read_policy(path: str | os.PathLike[str]) -> PolicyFile:
    """Read a policy file, plain or gzipped.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        One line: file, field, and what was expected.
    """
    return _parsed(os.fspath(path), read_bytes(path))


def shipped_policy() -> PolicyFile:
    """The policy that comes with the package."""
    return read_policy(FOLDER / SHIPPED)


@lru_cache(maxsize=8)
def _parsed(name: str, content: bytes) -> PolicyFile:
    document = parse_document(name, content, "policy")
    entries = []
    for k, entry in enumerate(document.entries):
        numbers: dict[str, Any] = entry.parameters.model_dump()
        try:
            parameters = Parameters(**numbers).require()
        except InvalidInputError as error:
            raise InvalidInputError(f"entries[{k}].parameters.{error.field}", error.message, None, name) from None
        entries.append(Entry(entry.objective, entry.lengths, entry.family, tuple(entry.likeness), parameters))
    return PolicyFile(tuple(entries))
