"""The problem's data: one immutable, validated object (docs/problem.md, section 1).

Reading and writing files is in `llmsched_mip.io.files`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from llmsched_mip.errors import InfeasibleInstanceError, InvalidInputError
from llmsched_mip.limits import MOST_LIMIT, finite
from llmsched_mip.magnitudes import require_exact_sums, require_finite_times
from llmsched_mip.names import OBJECTIVES
from llmsched_mip.requests import MAX_TOKENS, Requests
from llmsched_mip.timing import (
    DecodeTime,
    FloatArray,
    IntArray,
    LevelPrefill,
    PrefillTime,
    request_kv_peak,
    request_kv_volume,
    work_seconds,
)
from llmsched_mip.values import is_integer, require_text

__all__ = ["MAX_TOKENS", "Instance", "Requests", "Worker"]


@dataclass(frozen=True, slots=True)
class Worker:
    """One engine: slots, KV cache, and measured iteration times.

    Parameters
    ----------
    name : str
    prefill_time : AffinePrefill or LevelPrefill
        Duration of a prefill iteration, seconds.
    decode_time : DecodeTime
        Duration of a decode round, seconds.
    slots : int or None
        Most requests in decode at once; None: no limit.
    kv_capacity : int or None
        KV-cache size in tokens; None: no limit.
    prefill_token_cap : int or None
        Most prompt tokens in one prefill iteration; None: no limit.
    """

    name: str
    prefill_time: PrefillTime
    decode_time: DecodeTime
    slots: int | None = None
    kv_capacity: int | None = None
    prefill_token_cap: int | None = None

    @property
    def max_prefill_tokens(self) -> int | None:
        """Most prompt tokens that one prefill iteration may hold: the cap or the last level."""
        limits = [m for m in (self.prefill_token_cap, self.prefill_time.max_tokens) if m is not None]
        return min(limits) if limits else None

    @property
    def kind(self) -> tuple[Any, ...]:
        """All but the name: workers of one kind can stand for each other."""
        return self.prefill_time, self.decode_time, self.slots, self.kv_capacity, self.prefill_token_cap

    def most_slots(self, requests: int) -> int:
        """Most of so many requests in decode at once: finite, and no more than there are."""
        return finite(self.slots, requests)

    def most_kv(self, tokens: int) -> int:
        """KV tokens that can be held, of `tokens` that could ever be: finite, never more than these."""
        return finite(self.kv_capacity, tokens)

    def most_prefill(self, tokens: int) -> int:
        """Prompt tokens of one prefill iteration, of `tokens` that there are: finite, never more than these."""
        return finite(self.max_prefill_tokens, tokens)

    def fits(self, prefill_tokens: IntArray, decode_tokens: IntArray) -> np.ndarray:
        """Whether each request alone fits: shape (n,), bool."""
        fits = np.ones(len(prefill_tokens), dtype=bool)
        if self.kv_capacity is not None:
            fits &= request_kv_peak(prefill_tokens, decode_tokens) <= self.kv_capacity
        if self.max_prefill_tokens is not None:
            fits &= prefill_tokens <= self.max_prefill_tokens
        return fits


@dataclass(frozen=True, eq=False)
class Instance:
    """Requests, workers, semantics and objective.

    Raises
    ------
    InvalidInputError
        When a value is out of its range, or the whole is too large for exact sums (`magnitudes`).
    InfeasibleInstanceError
        When a request fits no worker.
    """

    name: str
    requests: Requests
    workers: tuple[Worker, ...]
    objective: str = "makespan"
    semantics: str = "exclusive"
    description: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "workers", tuple(self.workers))
        for name, least in (("name", 1), ("description", 0), ("source", 0)):
            require_text(name, getattr(self, name), least)
        if self.objective not in OBJECTIVES:
            raise InvalidInputError("objective", f"expected one of {', '.join(OBJECTIVES)}, got {self.objective!r}")
        if self.semantics != "exclusive":
            raise InvalidInputError(
                "semantics", f"expected 'exclusive' (others are not supported), got {self.semantics!r}"
            )
        if not self.workers:
            raise InvalidInputError("workers", "expected at least one worker")
        if not len(self.requests):
            raise InvalidInputError("requests", "expected at least one request")
        names = [worker.name for worker in self.workers]
        for k, worker in enumerate(self.workers):
            validate_worker(f"workers[{k}].", worker)
            if worker.name in names[:k]:
                raise InvalidInputError(f"workers[{k}].name", f"names must be unique, {worker.name!r} stands twice")
        self._require_fit()
        require_exact_sums(self.requests)
        require_finite_times(self.requests, self.workers)

    def _require_fit(self) -> None:
        fits = self.fits_worker
        if not fits.any(axis=1).all():
            bad = int(np.argmin(fits.any(axis=1)))
            r = self.requests
            raise InfeasibleInstanceError(
                f"requests[{bad}]",
                f"fits no worker: needs {r.prefill_tokens[bad]} prefill tokens in one iteration and "
                f"{r.prefill_tokens[bad] + r.decode_tokens[bad]} KV tokens; "
                + "; ".join(_limits(worker) for worker in self.workers[:3]),
                r.id[bad],
            )

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.requests)

    @cached_property
    def fits_worker(self) -> np.ndarray:
        """Whether request i fits worker w alone: shape (n, W), bool."""
        r = self.requests
        return np.stack([w.fits(r.prefill_tokens, r.decode_tokens) for w in self.workers], axis=1)

    @cached_property
    def kv_volume(self) -> IntArray:
        """KV token-rounds vol_i of each request: shape (n,)."""
        return np.asarray(request_kv_volume(self.requests.prefill_tokens, self.requests.decode_tokens))

    @cached_property
    def work_seconds(self) -> FloatArray:
        """About how long request i takes of a full worker w: shape (n, W), seconds, infinite where it does not fit."""
        r = self.requests
        columns = [
            work_seconds(
                worker.prefill_time,
                worker.decode_time,
                r.prefill_tokens,
                r.decode_tokens,
                worker.slots,
                worker.kv_capacity,
            )
            for worker in self.workers
        ]
        return np.where(self.fits_worker, np.stack(columns, axis=1), np.inf)

    @cached_property
    def digest(self) -> str:
        """``sha256:`` of workers, requests and semantics in canonical JSON (docs/problem.md, section 7)."""
        return self.fresh_digest()

    def fresh_digest(self) -> str:
        """The digest of the columns as they are now: another than `digest` when somebody has written to them."""
        document = {
            "requests": requests_document(self.requests),
            "semantics": self.semantics,
            "workers": [worker_document(worker) for worker in self.workers],
        }
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def with_objective(self, objective: str) -> Instance:
        """Return the instance with another objective (``makespan`` or ``total_completion``); the digest stays.

        Raises
        ------
        InvalidInputError
            No such objective.
        """
        return self if objective == self.objective else replace(self, objective=objective)

    def with_requests(self, requests: Requests) -> Instance:
        """Return the instance with other request columns."""
        return replace(self, requests=requests)

    def take(self, order: Any) -> Instance:
        """Return the instance with the requests `order` (indices), in that order."""
        r, order = self.requests, np.asarray(order)
        optional = {
            name: None if getattr(r, name) is None else getattr(r, name)[order]
            for name in ("decode_lower", "decode_upper")
        }
        return self.with_requests(
            Requests(
                [r.id[i] for i in order],
                r.prefill_tokens[order],
                r.decode_tokens[order],
                r.arrival_s[order],
                weight=r.weight[order],
                **optional,
            )
        )


def _limits(worker: Worker) -> str:
    kv, prefill = ("no limit" if most is None else most for most in (worker.kv_capacity, worker.max_prefill_tokens))
    return f"worker {worker.name!r} holds kv_capacity {kv}, prefill tokens in one iteration {prefill}"


def validate_worker(where: str, worker: Worker) -> None:
    """Raise `InvalidInputError` for a value out of its range; field names begin with `where`."""
    if not worker.name:
        raise InvalidInputError(f"{where}name", "a worker needs a name")
    require_text(f"{where}name", worker.name)
    for name in ("slots", "kv_capacity", "prefill_token_cap"):
        value = getattr(worker, name)
        if value is not None and not (is_integer(value) and value >= 1):
            raise InvalidInputError(f"{where}{name}", f"expected an integer ≥ 1 or null, got {value!r}")
        if value is not None and value > MOST_LIMIT:
            raise InvalidInputError(f"{where}{name}", f"expected at most {MOST_LIMIT}, got {value}")
    for part in ("prefill_time", "decode_time"):
        timing = getattr(worker, part)
        for name in ("base_s", "per_token_s", "per_sequence_s", "per_kv_token_s"):
            value = getattr(timing, name, 0.0)
            if not (np.isfinite(value) and value >= 0):
                raise InvalidInputError(
                    f"{where}{part}.{name}", f"expected a finite number of seconds ≥ 0, got {value}"
                )
    if isinstance(worker.prefill_time, LevelPrefill):
        _validate_levels(f"{where}prefill_time.levels", worker.prefill_time)


def _validate_levels(where: str, prefill: LevelPrefill) -> None:
    if not prefill.tokens:
        raise InvalidInputError(where, "expected at least one level")
    if len(prefill.tokens) != len(prefill.level_seconds):
        raise InvalidInputError(where, "expected as many seconds as token counts")
    for values, name, least in ((prefill.tokens, "tokens", 1), (prefill.level_seconds, "seconds", 0)):
        for j, value in enumerate(values):
            if not (np.isfinite(value) and value >= least):
                raise InvalidInputError(f"{where}[{j}].{name}", f"expected a finite number ≥ {least}, got {value}")
            if name == "tokens" and not (is_integer(value) and value <= MAX_TOKENS):
                raise InvalidInputError(
                    f"{where}[{j}].{name}", f"expected an integer from 1 to {MAX_TOKENS}, got {value!r}"
                )
            if j and value <= values[j - 1]:
                raise InvalidInputError(
                    f"{where}[{j}].{name}",
                    f"expected more than {values[j - 1]}, got {value}: levels increase in tokens and in seconds",
                )


def requests_document(requests: Requests) -> dict[str, Any]:
    """Request columns as plain lists, defaults filled in (absent intervals are null)."""
    document: dict[str, Any] = {"id": list(requests.id)}
    for name in ("arrival_s", "prefill_tokens", "decode_tokens", "decode_lower", "decode_upper", "weight"):
        values = getattr(requests, name)
        document[name] = None if values is None else values.tolist()
    return document


def _plain(limit: int | None) -> int | None:
    return None if limit is None else int(limit)


def worker_document(worker: Worker) -> dict[str, Any]:
    """A worker as plain values, defaults filled in, times as floats."""
    decode = worker.decode_time
    return {
        "name": worker.name,
        "slots": _plain(worker.slots),
        "kv_capacity": _plain(worker.kv_capacity),
        "prefill_token_cap": _plain(worker.prefill_token_cap),
        "prefill_time": worker.prefill_time.document(),
        "decode_time": {
            "base_s": float(decode.base_s),
            "per_sequence_s": float(decode.per_sequence_s),
            "per_kv_token_s": float(decode.per_kv_token_s),
        },
    }
