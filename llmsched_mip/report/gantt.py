"""Geometry of a Gantt chart: what `evaluate` says of a plan, as lanes, bars and curves of plain numbers.

A lane is a slot ("client").  A bar is a request: its prefill iteration, then its decode rounds.  Nothing here knows
pixels or time coefficients; `gantt_svg` and the page's own script draw the same document.
"""

from __future__ import annotations

import heapq
from math import floor, log10
from typing import Any

import numpy as np

from llmsched_mip.evaluation import Evaluation, evaluate, require_feasible, worker_usage
from llmsched_mip.instance import Instance, Worker
from llmsched_mip.measures import WorkerUsage
from llmsched_mip.plan import Plan
from llmsched_mip.timing import FloatArray, IntArray

SHADES = 6
SIGNIFICANT_DIGITS = 7


def gantt_document(instance: Instance, plan: Plan, title: str | None = None) -> dict[str, Any]:
    """The chart of a feasible plan as a JSON document.

    Parameters
    ----------
    instance : Instance
    plan : Plan
    title : str, optional
        Default: method of the plan and name of the instance.

    Returns
    -------
    dict
        ``title``, ``makespan`` (s), ``shades`` (largest output length of each shade, tokens), ``colors`` (their places
        on the scale of colours) and ``workers``: name, slots, KV capacity, number of lanes, ``bars`` (columns, one
        entry a request, by lane and start) and ``runs`` (columns, one entry a prefill iteration or run of decode
        rounds, in order of time).

    Raises
    ------
    InvalidPlanError
        The plan breaks the model; the first violation is named.
    """
    evaluation = evaluate(instance, plan)
    require_feasible(evaluation, plan.method)
    makespan = evaluation.measures.makespan
    digits = _digits(makespan)
    edges = _shade_edges(instance.requests.decode_tokens)
    workers = {worker.name: w for w, worker in enumerate(instance.workers)}
    return {
        "title": title or f"{plan.method} on {instance.name}",
        "instance": instance.name,
        "method": plan.method,
        "makespan": makespan,
        "utilization": evaluation.measures.utilization,
        "prefill_iterations": evaluation.measures.prefill_iterations,
        "decode_rounds": evaluation.measures.decode_rounds,
        "shades": edges.tolist(),
        "colors": np.linspace(0, SHADES - 1, len(edges)).round().astype(int).tolist(),
        "workers": [
            _worker_document(instance, evaluation, workers[usage.name], usage, edges, digits)
            for usage in worker_usage(instance, plan)
        ],
    }


def _digits(makespan: float) -> int:
    """Decimals of seconds that keep every bar in its place at any zoom that makes sense."""
    return max(0, SIGNIFICANT_DIGITS - 1 - floor(log10(makespan))) if makespan > 0 else SIGNIFICANT_DIGITS


def _shade_edges(decode_tokens: IntArray) -> IntArray:
    """Largest output length of each shade: classes of about equally many different lengths."""
    shares = np.arange(1, SHADES + 1) / SHADES
    return np.unique(np.quantile(np.unique(decode_tokens), shares, method="inverted_cdf")).astype(np.int64)


def _worker_document(
    instance: Instance, evaluation: Evaluation, w: int, usage: WorkerUsage, edges: IntArray, digits: int
) -> dict[str, Any]:
    worker, schedule, requests = instance.workers[w], evaluation.schedule, instance.requests
    requests_here = np.flatnonzero(schedule.worker == w)
    lane = _lanes(
        worker,
        schedule.slot[requests_here],
        schedule.prefill_start_s[requests_here],
        schedule.completion_s[requests_here],
    )
    order = np.lexsort((schedule.prefill_start_s[requests_here], lane))
    requests_here, lane = requests_here[order], lane[order]

    def seconds(values: FloatArray) -> list[float]:
        rounded: list[float] = np.round(values, digits).tolist()
        return rounded

    return {
        "name": worker.name,
        "slots": worker.slots,
        "kv_capacity": worker.kv_capacity,
        "lanes": int(lane.max(initial=-1)) + 1 if worker.slots is None else worker.slots,
        "bars": {
            "id": [requests.id[i] for i in requests_here.tolist()],
            "prompt": requests.prefill_tokens[requests_here].tolist(),
            "output": requests.decode_tokens[requests_here].tolist(),
            "arrival": seconds(requests.arrival_s[requests_here]),
            "lane": lane.tolist(),
            "shade": np.searchsorted(edges, requests.decode_tokens[requests_here]).tolist(),
            "prefill": seconds(schedule.prefill_start_s[requests_here]),
            "decode": seconds(schedule.decode_start_s[requests_here]),
            "end": seconds(schedule.completion_s[requests_here]),
        },
        "runs": {
            "start": seconds(usage.start_s),
            "end": seconds(usage.end_s),
            "prefill": usage.prefill.astype(int).tolist(),
            "tokens": usage.tokens.tolist(),
            "rounds": usage.rounds.tolist(),
            "held": usage.held.tolist(),
            "kv_first": usage.kv_first.tolist(),
            "kv_last": usage.kv_last.tolist(),
        },
    }


def _lanes(worker: Worker, slot: IntArray, start: FloatArray, end: FloatArray) -> IntArray:
    """Lane of every request: its slot, or without a slot limit the first lane that is free."""
    if worker.slots is not None:
        return slot
    lane = np.zeros(len(start), dtype=np.int64)
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for j in np.lexsort((end, start)).tolist():
        while busy and busy[0][0] <= start[j]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane[j] = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end[j], int(lane[j])))
    return lane
