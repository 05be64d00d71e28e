"""A third reading of docs/problem.md, in fractions: what a plan does, without rounding and loops over rounds.

The round-by-round simulator cannot follow requests of billions of tokens, and its sums round; here a run of rounds with
an unchanged active set is one closed form in integers.  Only data objects of the package are read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from reference_simulator import token_limit

from llmsched_mip.instance import Instance, Worker
from llmsched_mip.plan import Plan, Stage


@dataclass
class Executed:
    """Completion of every request in exact seconds, and in words what the plan breaks."""

    completion: dict[int, Fraction] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def objective(self, instance: Instance, name: str) -> Fraction:
        """Makespan, or the weighted total completion."""
        if name == "makespan":
            return max(self.completion.values())
        weight = instance.requests.weight.tolist()
        return sum((Fraction(weight[i]) * at for i, at in self.completion.items()), Fraction(0))


def execute(instance: Instance, plan: Plan) -> Executed:
    """Execute the stages as written."""
    result = Executed()
    names = [worker_plan.name for worker_plan in plan.workers]
    if names != [worker.name for worker in instance.workers]:
        result.broken.append(f"workers are {names}")
        return result
    served = sorted(i for worker_plan in plan.workers for i in worker_plan.requests.tolist())
    if served != list(range(instance.n)):
        result.broken.append(f"serves the requests {served} of {instance.n}")
        return result
    for worker, worker_plan in zip(instance.workers, plan.workers, strict=True):
        run = _WorkerRun(instance, worker, result)
        for stage in worker_plan:
            run.stage(stage)
        if run.left:
            result.broken.append(f"{worker.name}: not complete: {sorted(run.left)}")
    return result


class _WorkerRun:
    """One worker: `left` has the rounds that each active request still needs."""

    def __init__(self, instance: Instance, worker: Worker, result: Executed):
        r = instance.requests
        self.p, self.d, self.arrival = r.prefill_tokens.tolist(), r.decode_tokens.tolist(), r.arrival_s.tolist()
        self.worker, self.result = worker, result
        self.now, self.held = Fraction(0), 0
        self.left: dict[int, int] = {}
        self.slot: dict[int, int] = {}

    def stage(self, stage: Stage) -> None:
        tokens = sum(self.p[i] for i in stage.requests)
        begin = max([Fraction(stage.not_before_s), *(Fraction(self.arrival[i]) for i in stage.requests)])
        self.now = max(self.now, begin)
        if not stage.requests or tokens > token_limit(self.worker):
            self.result.broken.append(f"{self.worker.name}: an iteration of {tokens} tokens")
        self.take_slots(stage)
        self.left.update({i: self.d[i] for i in stage.requests})
        self.held += tokens
        self.within_limits()
        self.now += self.prefill_seconds(tokens)
        rounds = stage.rounds
        while rounds > 0 and self.left:
            rounds -= self.run(min(rounds, *self.left.values()))
        if rounds:
            self.result.broken.append(f"{self.worker.name}: {rounds} rounds with nothing active")

    def take_slots(self, stage: Stage) -> None:
        if self.worker.slots is None:
            if stage.slots is not None and max(stage.slots) >= 0:
                self.result.broken.append(f"{self.worker.name}: slots where there are none")
            return
        slots = stage.slots or [-1] * len(stage.requests)
        for i, slot in zip(stage.requests, slots, strict=True):
            if not 0 <= slot < self.worker.slots or slot in self.slot.values():
                self.result.broken.append(f"{self.worker.name}: request {i} in slot {slot}")
            self.slot[i] = slot

    def prefill_seconds(self, tokens: int) -> Fraction:
        time = self.worker.prefill_time
        if time.kind == "affine":
            return Fraction(time.base_s) + Fraction(time.per_token_s) * tokens
        fitting = [s for size, s in zip(time.tokens, time.level_seconds, strict=True) if tokens <= size]
        return Fraction(fitting[0]) if fitting else Fraction(0)

    def run(self, rounds: int) -> int:
        """Run rounds in which nothing completes before the last; what is held grows, so its end is its peak."""
        active, decode = len(self.left), self.worker.decode_time
        volume = sum((self.held + active, self.held + rounds * active)) * rounds // 2
        self.now += rounds * (Fraction(decode.base_s) + Fraction(decode.per_sequence_s) * active)
        self.now += Fraction(decode.per_kv_token_s) * volume
        self.held += rounds * active
        self.within_limits()
        for i in list(self.left):
            self.left[i] -= rounds
            if self.left[i] == 0:
                del self.left[i]
                self.slot.pop(i, None)
                self.held -= self.p[i] + self.d[i]
                self.result.completion[i] = self.now
        return rounds

    def within_limits(self) -> None:
        capacity, slots = self.worker.kv_capacity, self.worker.slots
        if capacity is not None and self.held > capacity:
            self.result.broken.append(f"{self.worker.name}: holds {self.held} KV tokens of {capacity}")
        if slots is not None and len(self.left) > slots:
            self.result.broken.append(f"{self.worker.name}: {len(self.left)} requests in {slots} slots")
