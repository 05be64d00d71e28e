"""Optimal values by enumeration of stage plans, for instances of a handful of requests.

Every partition over the workers, every order of prefill batches and every number of rounds between them is
tried; only the data objects of the package are read.  A stage starts as early as it may: both objectives grow
with time, so waiting longer never helps.
"""

from __future__ import annotations

import math
from itertools import chain, combinations, product

from reference_simulator import prefill_seconds, token_limit


def optimum(instance, objective: str) -> float:
    """Least makespan or weighted total completion in seconds; infinity where no plan is feasible."""
    combine = max if objective == "makespan" else sum
    best, known = math.inf, {}
    for homes in product(range(len(instance.workers)), repeat=instance.n):
        values = []
        for w, worker in enumerate(instance.workers):
            here = frozenset(i for i in range(instance.n) if homes[i] == w)
            if (w, here) not in known:
                known[w, here] = _Search(instance, worker, objective).run(here)
            values.append(known[w, here])
        best = min(best, combine(values))
    return best


class _Search:
    """Depth-first search over one worker's stages; a state not below the best value is left."""

    def __init__(self, instance, worker, objective):
        r = instance.requests
        self.p, self.d = r.prefill_tokens.tolist(), r.decode_tokens.tolist()
        self.arrival, self.weight = r.arrival_s.tolist(), r.weight.tolist()
        self.worker, self.makespan = worker, objective == "makespan"
        self.best = math.inf

    def run(self, here) -> float:
        self.best = math.inf
        self.stage(0.0, {}, here, 0.0)
        return self.best

    def fits(self, active) -> bool:
        """Whether these requests, with the tokens made so far, are within slots and KV."""
        worker = self.worker
        if worker.slots is not None and len(active) > worker.slots:
            return False
        held = sum(self.p[i] + made for i, made in active.items())
        return worker.kv_capacity is None or held <= worker.kv_capacity

    def stage(self, now, active, waiting, value):
        if not waiting and not active:
            self.best = min(self.best, value)
            return
        members = sorted(waiting)
        for batch in chain.from_iterable(combinations(members, k) for k in range(1, len(members) + 1)):
            tokens = sum(self.p[i] for i in batch)
            together = {**active, **dict.fromkeys(batch, 0)}
            if tokens > token_limit(self.worker) or not self.fits(together):
                continue
            start = max(now, *(self.arrival[i] for i in batch))
            end = start + prefill_seconds(self.worker.prefill_time, tokens)
            self.rounds(end, together, waiting - set(batch), value)

    def rounds(self, now, active, waiting, value):
        """After each number of rounds (none included) the next stage may follow."""
        decode = self.worker.decode_time
        while value < self.best and (not self.makespan or now < self.best):
            if waiting or not active:
                self.stage(now, active, waiting, value)
            if not active:
                return
            active = {i: made + 1 for i, made in active.items()}
            if not self.fits(active):
                return
            held = sum(self.p[i] + made for i, made in active.items())
            now += decode.base_s + decode.per_sequence_s * len(active) + decode.per_kv_token_s * held
            for i in [i for i in active if active[i] == self.d[i]]:
                value = max(value, now) if self.makespan else value + self.weight[i] * now
                del active[i]
