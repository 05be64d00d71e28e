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
from llmsched_mip.magnitudes import require_exact_sums, require_finite_times
from llmsched_mip.names import OBJECTIVES
from llmsched_mip.requests import MAX_TOKENS, Requests
from llmsched_mip.timing import (
    FloatArray,
    IntArray,
    request_kv_volume,
    work_seconds,
)
from llmsched_mip.values import require_text
from llmsched_mip.worker import Worker, digested_document, validate_worker

__all__ = ["MAX_TOKENS", "Instance", "Requests", "Worker"]


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
    def worker_kinds(self) -> list[IntArray]:
        """Numbers of the workers of each kind, kinds in the order of their first worker."""
        by_kind: dict[object, list[int]] = {}
        for w, worker in enumerate(self.workers):
            by_kind.setdefault(worker.kind, []).append(w)
        return [np.array(workers) for workers in by_kind.values()]

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
            "workers": [digested_document(worker) for worker in self.workers],
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


def requests_document(requests: Requests) -> dict[str, Any]:
    """Request columns as plain lists, defaults filled in (absent intervals are null)."""
    document: dict[str, Any] = {"id": list(requests.id)}
    for name in ("arrival_s", "prefill_tokens", "decode_tokens", "decode_lower", "decode_upper", "weight"):
        values = getattr(requests, name)
        document[name] = None if values is None else values.tolist()
    return document
