"""From the round in which each request starts to the stages of a plan, and back."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from llmsched_mip.instance import Instance, Worker
from llmsched_mip.plan import Plan, Stage
from llmsched_mip.timing import IntArray


class Start(NamedTuple):
    """Request that decodes first in `round` (from 1) of `worker`, prefilled in iteration `iteration` before it."""

    worker: int
    round: int
    iteration: int
    request: int


def plan_of(instance: Instance, starts: list[Start], method: str) -> Plan:
    """The plan with these starts; rounds in which no request is active are left out."""
    stages = [
        _stages(instance, worker, sorted(start for start in starts if start.worker == w))
        for w, worker in enumerate(instance.workers)
    ]
    return Plan.of(instance, method, stages)


def _stages(instance: Instance, worker: Worker, starts: list[Start]) -> list[Stage]:
    d = instance.requests.decode_tokens
    batches: dict[tuple[int, int], list[int]] = {}
    for start in starts:
        batches.setdefault((start.round, start.iteration), []).append(start.request)
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
    for w, stages in enumerate(plan.workers):
        first = np.concatenate(([0], np.cumsum(stages.rounds)))[:-1] + 1
        iteration = _place_in_round(first)
        stage = np.repeat(np.arange(len(stages)), np.diff(stages.offsets))
        found += [
            Start(w, t, q, i)
            for t, q, i in zip(first[stage].tolist(), iteration[stage].tolist(), stages.requests.tolist(), strict=True)
        ]
    return found


def _place_in_round(first: IntArray) -> IntArray:
    """Place of every stage among those that begin before the same round; `first` never falls."""
    return np.arange(len(first)) - np.searchsorted(first, first)


def within_caps(instance: Instance, starts: list[Start]) -> list[Start]:
    """Iterations without time, split by first fit so that each holds the worker's cap."""
    p = instance.requests.prefill_tokens
    found: list[Start] = []
    filled: dict[tuple[int, int], list[int]] = {}
    for start in sorted(starts):
        worker = instance.workers[start.worker]
        cap = worker.max_prefill_tokens
        if not worker.prefill_time.free or cap is None:
            found.append(start)
            continue
        bins, tokens = filled.setdefault((start.worker, start.round), []), int(p[start.request])
        place = next((j for j, used in enumerate(bins) if used + tokens <= cap), len(bins))
        bins.extend([0] if place == len(bins) else [])
        bins[place] += tokens
        found.append(start._replace(iteration=place))
    return found
