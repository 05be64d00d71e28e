"""The workers of an instance that is made of requests: a deployment or a file, other limits, several of a kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Requests, Worker
from llmsched_mip.limits import MOST_LIMIT, MOST_WORKERS
from llmsched_mip.names import DEPLOYMENTS
from llmsched_mip.timing import IntArray, request_kv_peak
from llmsched_mip.worker import copies
from llmsched_mip.workload.deployments import deployment

Limit = int | Literal["none", "engine"] | None
NAMED = 10


@dataclass(frozen=True)
class Fleet:
    """Workers of one kind.

    Parameters
    ----------
    worker : Worker or str
        A worker, a deployment's name or the path of a worker file.
    count : int
        Number of workers, at least 1; several are named ``NAME-1``, ``NAME-2``, ...
    slots : int, optional
        Slots in place of the worker's.
    kv_capacity, prefill_cap : int or "none", optional
        Limits in tokens in place of the worker's; "none" for no limit.  A prefill cap "engine" is that of the
        deployment of the worker's name.
    """

    worker: Worker | str
    count: int = 1
    slots: int | None = None
    kv_capacity: Limit = None
    prefill_cap: Limit = None

    def workers(self, prefill_tokens: IntArray, decode_tokens: IntArray) -> tuple[Worker, ...]:
        """The workers for requests of these lengths, arrays of shape (n,).

        The exclusive model does not cut prompts, as an engine with chunked prefill does.  So the prefill cap that a
        named deployment has by its engine's budget, or a worker file whose cap is that budget, grows to the longest
        prompt that the KV cache admits; another cap that somebody has given, here or in a file, stays.

        Raises
        ------
        UnreadableFileError, InvalidInputError
        """
        if not 1 <= self.count <= MOST_WORKERS:
            raise InvalidInputError("workers", f"expected a number from 1 to {MOST_WORKERS}, got {self.count}")
        worker = deployment(self.worker) if isinstance(self.worker, str) else self.worker
        if self.slots is not None:
            worker = replace(worker, slots=self.slots)
        if self.kv_capacity is not None:
            worker = replace(worker, kv_capacity=_limit("kv_capacity", self.kv_capacity))
        if self.prefill_cap == "engine" and worker.name in DEPLOYMENTS:
            worker = replace(worker, prefill_token_cap=deployment(worker.name).prefill_token_cap)
        elif self.prefill_cap not in (None, "engine"):
            worker = replace(worker, prefill_token_cap=_limit("prefill_cap", self.prefill_cap))
        budget = None if worker.engine is None else worker.engine.token_budget
        of_engine = self.worker in DEPLOYMENTS or worker.prefill_token_cap == budget
        if self.prefill_cap == "engine" or (self.prefill_cap is None and of_engine):
            worker = replace(worker, prefill_token_cap=raised_cap(worker, prefill_tokens, decode_tokens))
        return copies(worker, self.count, first=1)


def raised_cap(worker: Worker, prefill_tokens: IntArray, decode_tokens: IntArray) -> int | None:
    """The worker's prefill cap, or the longest prompt of the requests that its KV cache admits if that is more."""
    if worker.prefill_token_cap is None:
        return None
    admitted = np.asarray(prefill_tokens)
    if worker.kv_capacity is not None:
        admitted = admitted[request_kv_peak(prefill_tokens, decode_tokens) <= worker.kv_capacity]
    return max(worker.prefill_token_cap, int(admitted.max(initial=0)))


def fitting(
    requests: Requests, workers: Sequence[Worker], semantics: str = "exclusive"
) -> tuple[Requests, tuple[str, ...]]:
    """The requests that fit one of the workers, and the ids of the others."""
    fits = np.zeros(len(requests), dtype=bool)
    for worker in {worker.kind: worker for worker in workers}.values():
        alone = worker.fits_mixed if semantics == "mixed" else worker.fits
        fits |= alone(requests.prefill_tokens, requests.decode_tokens)
    if fits.all():
        return requests, ()
    return requests.take(fits), tuple(requests.id[k] for k in np.flatnonzero(~fits).tolist())


def unfit_note(unfit: Sequence[str], count: int) -> str:
    """How many of `count` requests fit no worker, and which."""
    named = ", ".join(unfit[:NAMED]) + (f" and {len(unfit) - NAMED} more" if len(unfit) > NAMED else "")
    return f"{len(unfit)} of {count} requests fit no worker and are left out: {named}"


def _limit(field: str, limit: Limit) -> int | None:
    if limit == "none":
        return None
    if not isinstance(limit, int) or not 1 <= limit <= MOST_LIMIT:
        raise InvalidInputError(field, f"expected a number of tokens from 1 to {MOST_LIMIT} or none, got {limit!r}")
    return limit
