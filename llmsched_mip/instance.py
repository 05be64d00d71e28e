"""The problem's data: one immutable, validated object (docs/problem.md, section 1).

Reading and writing files is in `llmsched_mip.io.files`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from llmsched_mip.errors import InfeasibleInstanceError, InvalidInputError
from llmsched_mip.magnitudes import require_exact_sums, require_finite_times
from llmsched_mip.mixed_engine import MixedEngine
from llmsched_mip.names import OBJECTIVES, SEMANTICS
from llmsched_mip.requests import MAX_TOKENS, Requests, column_json, request_columns
from llmsched_mip.texts import counted, html_table
from llmsched_mip.timing import (
    FloatArray,
    IntArray,
    request_kv_volume,
    work_seconds,
)
from llmsched_mip.values import require_text
from llmsched_mip.views import VIEWS
from llmsched_mip.worker import Worker, base_name, digested_document, validate_worker

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MAX_TOKENS", "Instance", "Requests", "Worker"]

SHOWN_KINDS = 8


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
        if self.semantics not in SEMANTICS:
            raise InvalidInputError("semantics", f"expected one of {', '.join(SEMANTICS)}, got {self.semantics!r}")
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
            p, d = int(r.prefill_tokens[bad]), int(r.decode_tokens[bad])
            if self.semantics == "mixed":
                needs = f"fits no worker: needs {p + d - 1} KV tokens, in whole blocks; "
                has = [_blocks(worker) for worker in self.workers[:3]]
            else:
                needs = f"fits no worker: needs {p} prefill tokens in one iteration and {p + d} KV tokens; "
                has = [_limits(worker) for worker in self.workers[:3]]
            raise InfeasibleInstanceError(f"requests[{bad}]", needs + "; ".join(has), r.id[bad])

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.requests)

    @cached_property
    def fits_worker(self) -> np.ndarray:
        """Whether request i fits worker w alone: shape (n, W), bool."""
        r = self.requests
        if self.semantics == "mixed":
            return np.stack([w.fits_mixed(r.prefill_tokens, r.decode_tokens) for w in self.workers], axis=1)
        return np.stack([w.fits(r.prefill_tokens, r.decode_tokens) for w in self.workers], axis=1)

    @cached_property
    def worker_kinds(self) -> list[IntArray]:
        """Numbers of the workers of each kind, kinds in the order of their first worker."""
        by_kind: dict[object, list[int]] = {}
        for w, worker in enumerate(self.workers):
            by_kind.setdefault(worker.kind, []).append(w)
        return [np.array(workers) for workers in by_kind.values()]

    @cached_property
    def fitting_kinds(self) -> list[IntArray]:
        """Those of `worker_kinds` that any request fits."""
        return [workers for workers in self.worker_kinds if self.fits_worker[:, workers[0]].any()]

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

    @cached_property
    def plan_digest(self) -> str:
        """The digest that plans for the instance carry: that of the exclusive instance of its requests and workers."""
        if self.semantics == "exclusive":
            return self.digest
        alike = copy(self)  # Not `exclusive`: its plans are those of an instance that may not exist.
        object.__setattr__(alike, "semantics", "exclusive")
        return alike.fresh_digest()

    def fresh_digest(self) -> str:
        """The digest of the columns as they are now: another than `digest` when somebody has written to them."""
        found = hashlib.sha256()
        for piece in self._canonical():
            found.update(piece.encode())
        return f"sha256:{found.hexdigest()}"

    def _canonical(self) -> Iterator[str]:
        """What is digested, keys in alphabetical order, in pieces."""
        yield '{"requests":'
        for k, (name, values) in enumerate(sorted(request_columns(self.requests).items())):
            yield f'{"," if k else "{"}"{name}":'
            yield from column_json(values, ",")
        rest = {"semantics": self.semantics, "workers": [digested_document(worker) for worker in self.workers]}
        yield "}," + json.dumps(rest, sort_keys=True, separators=(",", ":"))[1:]

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        worker: str | os.PathLike[str] | Worker | Iterable[str | os.PathLike[str] | Worker],
        workers: int = 1,
        *,
        name: str = "frame",
        objective: str = "makespan",
    ) -> Instance:
        """Make an instance of the rows of a DataFrame, one request a row.

        Parameters
        ----------
        frame : DataFrame
            Of pandas, or what has a method ``to_pandas`` (polars, Arrow).  Columns ``prefill_tokens`` and
            ``decode_tokens`` (integers of at least 1); and where they are there ``id`` (texts or integers, by default
            r0, r1, ...; also as the index), ``arrival_s`` (seconds, durations, or points in time, which count from the
            earliest), ``weight``, ``decode_lower`` and ``decode_upper`` (tokens).  Instead of a name of ours one of
            `workload.frames.ALIASES` will do, such as ``prompt_tokens`` and ``completion_tokens``.
        worker : str, path, Worker, or several of these
            A deployment's name, the path of a deployment file, or a worker.  The prefill cap of a named deployment
            grows to the longest prompt that its KV cache admits, as `llmsched import` has it.
        workers : int
            Copies of it, where it is one: ``NAME-1``, ``NAME-2``, ...
        name, objective : str
            Of the instance.

        Warns
        -----
        UserWarning
            Names the columns that are ignored.

        Raises
        ------
        InvalidInputError
            One line: the column, the row (from 0), what was expected.
        InfeasibleInstanceError
            A request fits no worker.
        """
        made: Instance = VIEWS["instance_from_frame"](frame, worker, workers, name=name, objective=objective)
        return made

    def to_frame(self) -> pd.DataFrame:
        """The requests, one a row: ``id`` and the columns of `Requests`, with which `from_frame` gives them back."""
        return VIEWS["instance_to_frame"](self)

    def __repr__(self) -> str:
        return (
            f"Instance({self.name!r}, {counted(self.n, 'request')}, {counted(len(self.workers), 'worker')}, "
            f"{self.objective})"
        )

    def _repr_html_(self) -> str:
        kinds = ", ".join(
            f"{len(alike)} × " * (len(alike) > 1) + base_name([self.workers[w] for w in alike])
            for alike in self.worker_kinds[:SHOWN_KINDS]
        ) + ", ..." * (len(self.worker_kinds) > SHOWN_KINDS)
        rows = [*self.requests.rows(), ("workers", kinds), ("objective", self.objective), ("source", self.source)]
        return html_table(f"Instance {self.name}", rows)

    def with_objective(self, objective: str) -> Instance:
        """Return the instance with another objective (``makespan`` or ``total_completion``); the digest stays.

        Raises
        ------
        InvalidInputError
            No such objective.
        """
        return self if objective == self.objective else replace(self, objective=objective)

    def exclusive(self) -> Instance:
        """Return the instance as `solve` and plans take it: exclusive; raises `InfeasibleInstanceError`."""
        return self if self.semantics == "exclusive" else replace(self, semantics="exclusive")

    def with_requests(self, requests: Requests) -> Instance:
        """Return the instance with other request columns."""
        return replace(self, requests=requests)

    def take(self, order: Any) -> Instance:
        """Return the instance with the requests `order` (indices), in that order."""
        return self.with_requests(self.requests.take(order))


def _blocks(worker: Worker) -> str:
    tokens = (worker.engine or MixedEngine()).block_tokens
    return f"worker {worker.name!r} holds kv_capacity {worker.kv_capacity} in blocks of {tokens}"


def _limits(worker: Worker) -> str:
    kv, prefill = ("no limit" if most is None else most for most in (worker.kv_capacity, worker.max_prefill_tokens))
    return f"worker {worker.name!r} holds kv_capacity {kv}, prefill tokens in one iteration {prefill}"
