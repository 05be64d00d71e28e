"""Several workers: give every request to a worker, plan each worker alone, put the plans together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.plan import Plan, WorkerPlan
from llmsched_mip.timing import IntArray


def split_requests(instance: Instance) -> list[IntArray]:
    """Request indices of every worker: longest work first, to the worker where it would end first.

    The work of a request is its share of a full worker's time; one that fits only some workers goes to these.
    """
    work = instance.work_seconds
    load = np.zeros(len(instance.workers))
    chosen = np.empty(instance.n, dtype=np.int64)
    finite = np.where(np.isfinite(work), work, -1.0)
    for i in np.argsort(-finite.max(axis=1), kind="stable"):
        w = int(np.argmin(load + work[i]))
        load[w] += work[i, w]
        chosen[i] = w
    return [np.flatnonzero(chosen == w) for w in range(len(instance.workers))]


def parts(instance: Instance) -> list[tuple[IntArray, Instance | None]]:
    """For every worker its requests, and the instance of that worker alone with them; None where it has none."""
    return [
        (requests, replace(instance.take(requests), workers=(worker,)) if len(requests) else None)
        for worker, requests in zip(instance.workers, split_requests(instance), strict=True)
    ]


def planned_apart(instance: Instance, method: str, plan_of: Callable[[Instance], Plan | None]) -> Plan | None:
    """The plans that `plan_of` makes of each worker's part, as one plan of the whole; None where a part has none."""
    stages = []
    for worker, (requests, part) in zip(instance.workers, parts(instance), strict=True):
        if part is None:
            stages.append(WorkerPlan.from_stages(worker.name, []))
            continue
        plan = plan_of(part)
        if plan is None:
            return None
        alone = plan.workers[0]
        stages.append(replace(alone, requests=requests[alone.requests]))
    return Plan(instance.name, instance.digest, instance.objective, method, tuple(stages))
