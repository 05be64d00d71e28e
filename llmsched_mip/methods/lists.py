"""List scheduling: execute fixed orders with thresholds of idle slots and keep the best plan."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.methods.executed import executed
from llmsched_mip.methods.search import Search
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.policies.threshold import IdleThreshold
from llmsched_mip.timing import FloatArray, IntArray

THRESHOLDS = (2, 4, 8, 16, 32, 64)
SMALL = 20_000
BEST = 3


def orders(instance: Instance) -> Iterator[tuple[str, list[int] | None]]:
    """Orders worth trying, as the place of every request in the list (None: order of arrival)."""
    requests = instance.requests
    yield "fcfs", None
    if instance.objective == "makespan":
        yield "longest-first", places(-requests.decode_tokens)
        yield "largest-volume-first", places(-instance.kv_volume)
    else:
        yield "shortest-first", places(requests.decode_tokens / requests.weight)
        yield "smallest-volume-first", places(instance.kv_volume / requests.weight)
        yield "machine-time", places(instance.work_seconds.min(axis=1) / requests.weight)


def places(key: IntArray | FloatArray) -> list[int]:
    """Place of every request in ascending order of `key`."""
    place = np.empty(len(key), dtype=np.int64)
    place[np.argsort(key, kind="stable")] = np.arange(len(key))
    return place.tolist()


def list_schedules(search: Search) -> None:
    """Run every order, stopping at the first request that does not fit and passing over it; then the best of these
    with thresholds of idle slots, where slots are limited and the instance is not large.

    Without a plan the first is executed to its end, all others as long as the budget lasts.
    """
    instance = search.instance
    problem = Problem.of(instance, "known")
    tried: list[tuple[float, str, list[int] | None, bool]] = []
    for name, order in orders(instance):
        for skip in (False, True):
            label = f"{name}, skip" if skip else name
            budget = search.budget if search.plan is not None else None
            run = executed(instance, label, IdleThreshold(problem, order, 1, skip), budget)
            if run is not None:
                tried.append((run.value, label, order, skip))
                search.offer(run.plan)
            if search.budget.spent():
                return
    if instance.n > SMALL or all(worker.slots is None for worker in instance.workers):
        return
    for _, label, order, skip in sorted(tried, key=lambda each: each[0])[:BEST]:
        for idle in THRESHOLDS:
            policy = IdleThreshold(problem, order, idle, skip)
            search.run_policy(f"{label}, {idle} idle slots", policy, search.budget)
            if search.budget.spent():
                return
