"""List scheduling: execute fixed orders with thresholds of idle slots and keep the best plan."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.methods.search import Search
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.policies.threshold import IdleThreshold
from llmsched_mip.timing import FloatArray, IntArray

THRESHOLDS = (1, 2, 4, 8, 16, 32, 64)
SMALL = 20_000


def orders(instance: Instance) -> Iterator[tuple[str, list[int] | None]]:
    """Orders worth trying, as the place of every request in the list (None: order of arrival)."""
    requests = instance.requests
    yield "fcfs", None
    if instance.objective == "makespan":
        yield "longest-first", places(-requests.decode_tokens)
    else:
        yield "shortest-first", places(requests.decode_tokens / requests.weight)
        yield "smallest-volume-first", places(instance.kv_volume / requests.weight)


def places(key: IntArray | FloatArray) -> list[int]:
    """Place of every request in ascending order of `key`."""
    place = np.empty(len(key), dtype=np.int64)
    place[np.argsort(key, kind="stable")] = np.arange(len(key))
    return place.tolist()


def list_schedules(search: Search) -> None:
    """Run every order with every threshold; a large instance only with the threshold 1."""
    instance = search.instance
    problem = Problem.of(instance, "known")
    limited = any(worker.slots is not None for worker in instance.workers)
    thresholds = THRESHOLDS if limited and instance.n <= SMALL else THRESHOLDS[:1]
    for idle in thresholds:
        for name, order in orders(instance):
            label = name if idle == 1 else f"{name}, {idle} idle slots"
            search.run_policy(label, IdleThreshold(problem, order, idle))
            if search.budget.spent():
                return
