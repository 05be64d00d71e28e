"""Several workers: give every request to a worker, plan each worker alone, put the plans together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.plan import Plan, WorkerPlan
from llmsched_mip.timing import FloatArray, IntArray, work_seconds


def split_requests(instance: Instance) -> list[IntArray]:
    """Request indices of every worker: longest work first, to the worker where it would end first.

    The work of a request is its share of a full worker's time; one that fits only some workers goes to these.
    """
    work = _work(instance)
    load = np.zeros(len(instance.workers))
    chosen = np.empty(instance.n, dtype=np.int64)
    finite = np.where(np.isfinite(work), work, -1.0)
    for i in np.argsort(-finite.max(axis=1), kind="stable"):
        w = int(np.argmin(load + work[i]))
        load[w] += work[i, w]
        chosen[i] = w
    return [np.flatnonzero(chosen == w) for w in range(len(instance.workers))]


def _work(instance: Instance) -> FloatArray:
    """Seconds of a full worker that each request takes, shape (n, W); infinite where it does not fit."""
    requests = instance.requests
    columns = []
    for w, worker in enumerate(instance.workers):
        seconds = work_seconds(
            worker.prefill_time,
            worker.decode_time,
            requests.prefill_tokens,
            requests.decode_tokens,
            worker.slots,
            worker.kv_capacity,
        )
        columns.append(np.where(instance.fits_worker[:, w], seconds, np.inf))
    return np.stack(columns, axis=1)


def part(instance: Instance, w: int, requests: IntArray) -> Instance:
    """The instance of worker w alone with the given requests."""
    return replace(instance.take(requests), workers=(instance.workers[w],))


def joined(instance: Instance, method: str, parts: list[tuple[IntArray, Plan | None]]) -> Plan:
    """Put the plans of the parts together; request indices are mapped back."""
    workers = []
    for worker, (requests, plan) in zip(instance.workers, parts, strict=True):
        if plan is None:
            workers.append(WorkerPlan.from_stages(worker.name, []))
            continue
        own = plan.workers[0]
        workers.append(replace(own, requests=requests[own.requests]))
    return Plan(instance.name, instance.digest, instance.objective, method, tuple(workers))
