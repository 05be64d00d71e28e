"""A worker of one's own, from its figures or like another one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Worker
from llmsched_mip.io.files import read_worker_file
from llmsched_mip.timing import AffinePrefill, DecodeTime
from llmsched_mip.values import require_text
from llmsched_mip.worker import validate_worker
from llmsched_mip.workload.deployments import deployment, deployment_file
from llmsched_mip.workload.fleet import Limit


@dataclass(frozen=True)
class NewWorker:
    """What is given of a new worker.

    Parameters
    ----------
    like : str, optional
        Deployment or worker file that has the rest.
    slots : int, optional
    kv_capacity, prefill_cap : int or "none", optional
        Tokens; "engine" leaves a prefill cap as it is.
    prefill : tuple of 2 floats, optional
        Seconds of a prefill iteration: base, and per token.
    decode : tuple of 1 to 3 floats, optional
        Seconds of a decode round: base, per sequence, per KV token.
    source : str, optional
        Where the figures come from.
    """

    like: str | None = None
    slots: int | None = None
    kv_capacity: Limit = None
    prefill_cap: Limit = None
    prefill: tuple[float, ...] | None = None
    decode: tuple[float, ...] | None = None
    source: str | None = None


def new_worker(name: str, given: NewWorker) -> tuple[Worker, str]:
    """The worker, and where its figures come from.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        Everything that is missing is named at once.
    """
    if given.like is not None:
        deployment(given.like)
        worker, source = read_worker_file(deployment_file(given.like))
        source = f"As {given.like}, with changes: {source}"
    else:
        missing = [option for option, value in (("--prefill", given.prefill), ("--decode", given.decode)) if not value]
        if missing:
            raise InvalidInputError("", f"missing {' and '.join(missing)}, or --like PROFILE for what is not given")
        worker, source = Worker(name, AffinePrefill(0.0, 0.0), DecodeTime(0.0)), "not said"
    worker = replace(worker, name=name)
    if given.slots is not None:
        worker = replace(worker, slots=given.slots)
    if given.kv_capacity is not None:
        worker = replace(worker, kv_capacity=_tokens(given.kv_capacity))
    if given.prefill_cap not in (None, "engine"):
        worker = replace(worker, prefill_token_cap=_tokens(given.prefill_cap))
    if given.prefill is not None:
        worker = replace(worker, prefill_time=AffinePrefill(*given.prefill))
    if given.decode is not None:
        worker = replace(worker, decode_time=DecodeTime(*given.decode))
    validate_worker("", worker)
    if given.source is not None:
        require_text("source", given.source)
    return worker, source if given.source is None else given.source


def _tokens(limit: Limit) -> int | None:
    return limit if isinstance(limit, int) else None
