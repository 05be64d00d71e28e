"""A second reading of docs/problem.md sections 2, 3 and 7: round by round, in plain Python.

It shares nothing with the package but the data objects it reads: no timing, no evaluation, no arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class Job:
    """One appearance of a request in a stage."""

    request: int
    stage: int
    slot: int | None
    made: int = 0


@dataclass
class Reference:
    """What the simulation found; times by request, None where there is none."""

    prefill_start: dict = field(default_factory=dict)
    decode_start: dict = field(default_factory=dict)
    first_token: dict = field(default_factory=dict)
    completion: dict = field(default_factory=dict)
    worker_of: dict = field(default_factory=dict)
    slot_of: dict = field(default_factory=dict)
    broken: set = field(default_factory=set)
    kv_peak: list = field(default_factory=list)
    busy: list = field(default_factory=list)
    rounds: int = 0
    prefills: int = 0


def prefill_seconds(prefill, tokens):
    if prefill.kind == "affine":
        return prefill.base_s + prefill.per_token_s * tokens
    for size, seconds in zip(prefill.tokens, prefill.level_seconds, strict=True):
        if tokens <= size:
            return seconds
    return math.inf


def token_limit(worker):
    limits = [] if worker.prefill_token_cap is None else [worker.prefill_token_cap]
    if worker.prefill_time.kind == "levels":
        limits.append(worker.prefill_time.tokens[-1])
    return min(limits) if limits else math.inf


def simulate(instance, plan) -> Reference:
    """Execute the stages of `plan` as written; `broken` holds (kind, worker, stage, request)."""
    result = Reference()
    names = [worker.name for worker in instance.workers]
    for worker_plan in plan.workers:
        if worker_plan.name not in names:
            result.broken.add(("worker", worker_plan.name, None, None))
    for w, worker in enumerate(instance.workers):
        mine = [worker_plan for worker_plan in plan.workers if worker_plan.name == worker.name]
        if len(mine) > 1:
            result.broken.add(("worker", worker.name, None, None))
        _run_worker(instance, w, worker, list(mine[-1]) if mine else [], mine[-1] if mine else None, result)
    seen: dict[int, int] = {}
    for worker_plan in plan.workers:
        for stage in worker_plan:
            for i in stage.requests:
                seen[i] = seen.get(i, 0) + 1
    for i in range(instance.n):
        if seen.get(i, 0) != 1:
            result.broken.add(("request", None, None, i))
    return result


def _run_worker(instance, w, worker, stages, worker_plan, result):
    r = instance.requests
    p, d = r.prefill_tokens.tolist(), r.decode_tokens.tolist()
    arrival = r.arrival_s.tolist()
    now, active, peak, busy = 0.0, [], 0, 0.0
    slots = None if worker_plan is None else worker_plan.slots
    if worker.slots is None and slots is not None and (slots >= 0).any():
        result.broken.add(("slots", worker.name, "any", None))
    if worker.slots is not None and worker_plan is not None and stages and worker_plan.slots is None:
        result.broken.add(("slots", worker.name, 0, None))
    for k, stage in enumerate(stages):

        def breaks(kind, request=None, k=k):
            result.broken.add((kind, worker.name, k, request))

        batch = [
            Job(i, k, None if stage.slots is None else stage.slots[j])
            for j, i in enumerate(stage.requests)
            if 0 <= i < instance.n
        ]
        _check_stage(instance, stage, breaks)
        now = max([now, stage.not_before_s] + [arrival[job.request] for job in batch])
        tokens = sum(p[job.request] for job in batch)
        if tokens > token_limit(worker):
            breaks("prefill")
        if worker.slots is not None and worker_plan.slots is not None:
            _check_slots(worker, active, batch, breaks)
        start = now
        seconds = prefill_seconds(worker.prefill_time, tokens)
        now += seconds
        busy += seconds * len(batch) if batch else 0.0
        for job in batch:
            _note_prefill(result, job, w, start, now)
        active = active + batch

        held = sum(p[job.request] + job.made for job in active)
        peak = max(peak, held)
        _check_limits(worker, len(active), held, breaks)
        for _ in range(stage.rounds):
            for job in active:
                job.made += 1
            held = sum(p[job.request] + job.made for job in active)
            peak = max(peak, held)
            _check_limits(worker, len(active), held, breaks)
            decode = worker.decode_time
            seconds = decode.base_s + decode.per_sequence_s * len(active) + decode.per_kv_token_s * held
            now += seconds
            busy += seconds * len(active) if active else 0.0
            result.rounds += 1
            if not active:
                breaks("rounds")
            for job in active:
                if result.worker_of[job.request] == (w, job.stage):
                    _note_token(result, job, d[job.request], now)
            active = [job for job in active if job.made < d[job.request]]
        result.prefills += 1
    for job in active:
        result.broken.add(("incomplete", worker.name, job.stage, job.request))
    result.kv_peak.append(peak)
    result.busy.append(busy)


def _check_stage(instance, stage, breaks):
    for i in stage.requests:
        if not 0 <= i < instance.n:
            breaks("request", "unknown")
    if not stage.requests:
        breaks("request")
    if stage.rounds < 0:
        breaks("rounds")


def _check_slots(worker, active, batch, breaks):
    for position, job in enumerate(batch):
        if not 0 <= job.slot < worker.slots:
            breaks("slots", job.request)
        if job.slot >= 0 and job.slot in [other.slot for other in active + batch[:position]]:
            breaks("slots", job.request)


def _note_prefill(result, job, w, start, now):
    if job.request not in result.worker_of:
        result.worker_of[job.request] = (w, job.stage)
        result.slot_of[job.request] = job.slot
        result.prefill_start[job.request] = start
        result.decode_start[job.request] = now


def _note_token(result, job, length, now):
    if job.made == 1:
        result.first_token.setdefault(job.request, now)
    if job.made == length:
        result.completion.setdefault(job.request, now)


def _check_limits(worker, active, held, breaks):
    if worker.kv_capacity is not None and held > worker.kv_capacity:
        breaks("kv")
    if worker.slots is not None and active > worker.slots:
        breaks("slots")


def percentile(values, q):
    """Linear interpolation between the order statistics."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * q / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def measures(instance, result) -> dict | None:
    """Measures of section 3, or None when a request is not complete."""
    n, r = instance.n, instance.requests
    if len(result.completion) < n:
        return None
    completion = [result.completion[i] for i in range(n)]
    latency = [c - a for c, a in zip(completion, r.arrival_s.tolist(), strict=True)]
    makespan = max(completion)
    slots = [worker.slots for worker in instance.workers]
    share = None
    if None not in slots and makespan > 0:
        share = sum(result.busy) / (sum(slots) * makespan)
    return {
        "makespan": makespan,
        "total_completion": sum(w * c for w, c in zip(r.weight.tolist(), completion, strict=True)),
        "mean_latency": sum(latency) / n,
        "p99_latency": percentile(latency, 99),
        "mean_time_to_first_token": sum(result.first_token[i] - r.arrival_s[i] for i in range(n)) / n,
        "utilization": share,
        "prefill_iterations": result.prefills,
        "decode_rounds": result.rounds,
        "kv_peak": max(result.kv_peak),
    }


def claims_true(instance, plan, result) -> bool:
    """Whether what the plan file says of itself can be true (docs/problem.md, sections 3 and 7)."""
    found = measures(instance, result)
    if plan.instance != instance.name or plan.instance_digest != instance.digest:
        return False
    if plan.objective not in ("makespan", "total_completion") or plan.claims.status not in ("optimal", "feasible"):
        return False
    if found is None:
        return False
    value = found[plan.objective]

    def same(a, b):
        return abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1e-3)

    if plan.claims.value is not None and not same(plan.claims.value, value):
        return False
    proven = [*plan.claims.bounds.values(), *([] if plan.claims.bound is None else [plan.claims.bound])]
    if any(b > value and not same(b, value) for b in proven):
        return False
    if plan.claims.bound is None:
        return plan.claims.gap is None and plan.claims.status != "optimal"
    gap = (value - plan.claims.bound) / value if value else 0.0
    if plan.claims.gap is None or abs(plan.claims.gap - gap) > 1e-8:
        return False
    if plan.claims.bounds and not same(max(plan.claims.bounds.values()), plan.claims.bound):
        return False
    return plan.claims.status != "optimal" or gap <= 1e-6
