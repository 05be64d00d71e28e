"""Optimum of a tiny instance by trying every plan: independent of the package's evaluation and bounds.

Times are computed here from docs/problem.md, round by round.
"""

from __future__ import annotations

import itertools
import math

from llmsched_mip.instance import Instance, Worker
from llmsched_mip.timing import AffinePrefill


def prefill_seconds(worker: Worker, tokens: int) -> float:
    time = worker.prefill_time
    if isinstance(time, AffinePrefill):
        return time.base_s + time.per_token_s * tokens
    for most, seconds in zip(time.tokens, time.level_seconds, strict=True):
        if tokens <= most:
            return seconds
    return math.inf


class OneWorker:
    """Depth-first search over prefill now / decode a round / wait for the next arrival."""

    def __init__(self, instance: Instance, worker: Worker, members: tuple[int, ...], objective: str):
        r = instance.requests
        self.p, self.d = r.prefill_tokens.tolist(), r.decode_tokens.tolist()
        self.r, self.weight = r.arrival_s.tolist(), r.weight.tolist()
        self.worker, self.objective = worker, objective
        self.best = math.inf
        self.seen: dict[tuple, list[tuple[float, float]]] = {}
        self.visit(0.0, 0.0, frozenset(members), {})

    def visit(
        self, now: float, cost: float, waiting: frozenset[int], active: dict[int, int], waited: bool = False
    ) -> None:
        """`active` maps a request to the rounds it has run; `cost` is the objective of what is complete.

        A state seen at an earlier time and no larger cost dominates, except when this one waited from it.
        """
        if not waiting and not active:
            self.best = min(self.best, cost)
            return
        if max(now, cost) >= self.best if self.objective == "makespan" else cost >= self.best:
            return
        state = (waiting, tuple(sorted(active.items())))
        known = self.seen.setdefault(state, [])
        if not waited and any(t <= now and c <= cost for t, c in known):
            return
        known.append((now, cost))
        if active:
            self.decode(now, cost, waiting, active)
        arrived = [i for i in waiting if self.r[i] <= now]
        for size in range(1, len(arrived) + 1):
            for batch in itertools.combinations(sorted(arrived), size):
                self.prefill(now, cost, waiting, active, batch)
        later = [self.r[i] for i in waiting if self.r[i] > now]
        if later:
            self.visit(min(later), cost, waiting, active, waited=True)

    def prefill(self, now, cost, waiting, active, batch) -> None:
        tokens = sum(self.p[i] for i in batch)
        after = {**active, **dict.fromkeys(batch, 0)}
        cap = self.worker.prefill_token_cap
        if cap is not None and tokens > cap:
            return
        if self.worker.slots is not None and len(after) > self.worker.slots:
            return
        held = sum(self.p[i] + k for i, k in after.items())
        if self.worker.kv_capacity is not None and held > self.worker.kv_capacity:
            return
        seconds = prefill_seconds(self.worker, tokens)
        if math.isfinite(seconds):
            self.visit(now + seconds, cost, waiting - set(batch), after)

    def decode(self, now, cost, waiting, active) -> None:
        held = sum(self.p[i] + k + 1 for i, k in active.items())
        if self.worker.kv_capacity is not None and held > self.worker.kv_capacity:
            return
        time = self.worker.decode_time
        now += time.base_s + time.per_sequence_s * len(active) + time.per_kv_token_s * held
        left = {}
        for i, k in active.items():
            if k + 1 < self.d[i]:
                left[i] = k + 1
            elif self.objective == "makespan":
                cost = max(cost, now)
            else:
                cost += self.weight[i] * now
        self.visit(now, cost, waiting, left)


def optimum(instance: Instance, objective: str) -> float:
    """Least objective over all plans, infinite when there is none; every assignment to workers is tried."""
    combine = max if objective == "makespan" else (lambda parts: math.fsum(parts))
    best, cache = math.inf, {}
    for assignment in itertools.product(range(len(instance.workers)), repeat=instance.n):
        parts = []
        for w, worker in enumerate(instance.workers):
            members = tuple(i for i in range(instance.n) if assignment[i] == w)
            if members and (w, members) not in cache:
                cache[w, members] = OneWorker(instance, worker, members, objective).best
            if members:
                parts.append(cache[w, members])
        best = min(best, combine(parts))
    return best
