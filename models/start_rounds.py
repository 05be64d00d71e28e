"""From the round in which each request starts to the stages of a plan, and back."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from llmsched_mip.instance import Instance, Worker
from llmsched_mip.plan import Plan, Stage, WorkerPlan
from llmsched_mip.timing import IntArray
from llmsched_mip.unit_rounds import free_prefill


class Start(NamedTuple):
    """Request that decodes first in `round` (from 1) of `worker`, prefilled in iteration `iteration` before it."""

    worker: int
    round: int
    iteration: int
    request: int


def plan_of(instance: Instance, starts: list[Start], method: str) -> Plan:
    """The plan with these starts; rounds in which no request is active are left out."""
    stages = []
    for w, worker in enumerate(instance.workers):
        stages.append(_stages(instance, worker, sorted(own for own in starts if own.worker == w)))
    return Plan.of(instance, method, stages)


def _stages(instance: Instance, worker: Worker, starts: list[Start]) -> list[Stage]:
    d = instance.requests.decode_tokens
    batches: dict[tuple[int, int], list[int]] = {}
    for own in starts:
        batches.setdefault((own.round, own.iteration), []).append(own.request)
    keys = list(batches)
    slots = _slots(worker, [(t, i, int(d[i])) for (t, _), batch in batches.items() for i in batch])
    stages: list[Stage] = []
    end = 0
    for key, following in zip(keys, [*keys[1:], None][: len(keys)], strict=True):
        t, batch = key[0], batches[key]
        end = max([end, *(t + int(d[i]) for i in batch)])
        rounds = end - t if following is None else min(end, following[0]) - t
        stages.append(Stage(batch, None if slots is None else [slots[i] for i in batch], rounds))
    return stages


def _slots(worker: Worker, jobs: list[tuple[int, int, int]]) -> dict[int, int] | None:
    """Colour the intervals (start, request, rounds), given by start: the lowest free slot for each."""
    if worker.slots is None:
        return None
    free = list(range(min(worker.slots, len(jobs))))
    busy: list[tuple[int, int]] = []
    slot_of = {}
    for start, request, rounds in jobs:
        while busy and busy[0][0] <= start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        slot_of[request] = heapq.heappop(free)
        heapq.heappush(busy, (start + rounds, slot_of[request]))
    return slot_of


def starts_of(plan: Plan) -> list[Start]:
    """The starts of a plan."""
    found = []
    for w, own in enumerate(plan.workers):
        first = np.concatenate(([0], np.cumsum(own.rounds)))[:-1] + 1
        iteration = _place_in_round(own, first)
        stage = np.repeat(np.arange(len(own)), np.diff(own.offsets))
        found += [
            Start(w, t, q, i)
            for t, q, i in zip(first[stage].tolist(), iteration[stage].tolist(), own.requests.tolist(), strict=True)
        ]
    return found


def _place_in_round(own: WorkerPlan, first: IntArray) -> IntArray:
    place = np.zeros(len(own), dtype=np.int64)
    for k in range(1, len(own)):
        if first[k] == first[k - 1]:
            place[k] = place[k - 1] + 1
    return place


def within_caps(instance: Instance, starts: list[Start]) -> list[Start]:
    """Iterations without time, split by first fit so that each holds the worker's cap."""
    p = instance.requests.prefill_tokens
    found: list[Start] = []
    filled: dict[tuple[int, int], list[int]] = {}
    for own in sorted(starts):
        worker = instance.workers[own.worker]
        cap = worker.max_prefill_tokens
        if not free_prefill(worker) or cap is None:
            found.append(own)
            continue
        bins, tokens = filled.setdefault((own.worker, own.round), []), int(p[own.request])
        place = next((j for j, used in enumerate(bins) if used + tokens <= cap), len(bins))
        bins.extend([0] if place == len(bins) else [])
        bins[place] += tokens
        found.append(own._replace(iteration=place))
    return found
