"""The executor: runs a policy on an instance, from event to event (docs/problem.md, section 2).

A run of decode rounds with an unchanged active set is one event with closed forms for its duration and KV use.
A run ends at the next completion, at the round that the policy asked for, where the KV cache would overflow, or,
when a request arrives and the policy wants to know, at the first iteration boundary after the arrival.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

import numpy as np

from llmsched_mip.errors import InvalidPlanError
from llmsched_mip.execution.events import Event
from llmsched_mip.execution.outcome import Outcome
from llmsched_mip.execution.record import StageRecord
from llmsched_mip.execution.slot_timetable import SlotTimetable
from llmsched_mip.execution.slots import SlotPool
from llmsched_mip.instance import Instance
from llmsched_mip.measures import Schedule, WorkerTotals, measure
from llmsched_mip.policies.protocol import Decode, Evict, Policy, Prefill, Wait, WorkerView
from llmsched_mip.timing import request_kv_peak, rounds_within_kv, run_kv_peak

NEVER = float("inf")


class _Engine:
    """One worker's state that a policy does not see, beside the view that it does."""

    def __init__(self, view: WorkerView):
        worker = view.worker
        self.view = view
        self.slots = None if worker.slots is None else SlotPool(worker.slots)
        self.finish: list[tuple[int, int]] = []
        self.run_rounds = 0
        self.run_wakes = False
        self.prefilled: list[int] = []
        self.waiting = False
        self.version = 0
        self.busy = 0.0
        self.kv_peak = 0
        self.record = StageRecord()
        self.was_idle = False
        self.first_noted = 0


class Executor:
    """Executes one policy on one instance.

    Parameters
    ----------
    instance : Instance
    policy : Policy
        Sees only what the executor hands it.
    log : callable, optional
        Called with every `Event`.
    slot_timetable : SlotTimetable, optional
        Slots that open and close during the run.
    """

    def __init__(
        self,
        instance: Instance,
        policy: Policy,
        log: Callable[[Event], None] | None = None,
        slot_timetable: SlotTimetable | None = None,
    ):
        self.instance, self.policy, self.log = instance, policy, log
        requests = instance.requests
        self.p, self.d = requests.prefill_tokens.tolist(), requests.decode_tokens.tolist()
        self.arrival = requests.arrival_s.tolist()
        self.order = np.argsort(requests.arrival_s, kind="stable").tolist()
        self.next_arrival = 0
        n = instance.n
        self.served_by, self.in_slot = [-1] * n, [-1] * n
        self.prefill_start, self.decode_start = [NEVER] * n, [NEVER] * n
        self.first_token: list[float] = [-1.0] * n
        self.completion = [NEVER] * n
        self.waiting_requests: set[int] = set()
        self.evictions = 0
        self.left = n
        self.engines = [_Engine(WorkerView(k, worker)) for k, worker in enumerate(instance.workers)]
        self.queue: list[tuple[float, int, int]] = []
        self.changes = deque([] if slot_timetable is None else slot_timetable.changes(instance))

    def run(self) -> None:
        """Execute until every request is complete; raises `InvalidPlanError` when the policy breaks the model."""
        for engine in self.engines:
            self._at(engine, 0.0)
        while self.left:
            arrival = self._arrival_time()
            change = self.changes[0][0] if self.changes else NEVER
            boundary = self.queue[0][0] if self.queue else NEVER
            if min(arrival, change, boundary) == NEVER:
                raise InvalidPlanError(f"the policy stopped with {self.left} requests not complete")
            if change <= min(arrival, boundary):
                self._change_slots()
                continue
            if arrival <= boundary:
                self._deliver(arrival)
                continue
            now, w, version = heapq.heappop(self.queue)
            engine = self.engines[w]
            if version == engine.version:
                self._boundary(engine, now)

    def _at(self, engine: _Engine, time: float) -> None:
        engine.version += 1
        heapq.heappush(self.queue, (time, engine.view.index, engine.version))

    def _arrival_time(self) -> float:
        return self.arrival[self.order[self.next_arrival]] if self.next_arrival < len(self.order) else NEVER

    def _deliver(self, now: float) -> None:
        order, arrival = self.order, self.arrival
        while self.next_arrival < len(order) and arrival[order[self.next_arrival]] <= now:
            i = order[self.next_arrival]
            self.next_arrival += 1
            self._offer(i, arrival[i])
            if self.log:
                self.log(Event(arrival[i], -1, "arrive", i, -1, 0, 0))
        self._wake(now)

    def _offer(self, i: int, now: float) -> None:
        self.waiting_requests.add(i)
        self.policy.arrived(i, now)

    def _wake(self, now: float) -> None:
        """Let idle workers decide at `now`, and cut open runs at their first boundary after it."""
        for engine in self.engines:
            if engine.waiting or engine.run_wakes:
                self._decide_soon(engine, now)

    def _decide_soon(self, engine: _Engine, now: float) -> None:
        """Let a worker decide at `now`, or at the first boundary of its open run after it."""
        view = engine.view
        if engine.waiting:
            self._at(engine, max(now, view.time))
        elif engine.run_rounds > 1:
            rounds = view.worker.decode_time.rounds_to_pass(now - view.time, view.active, view.kv_held)
            if rounds < engine.run_rounds:
                engine.run_rounds = rounds
                self._at(engine, max(now, view.time + self._run_seconds(engine)))

    def _change_slots(self) -> None:
        """Open or close slots by the timetable; where slots have opened the worker decides anew."""
        now, w, slots = self.changes.popleft()
        engine = self.engines[w]
        pool = engine.slots
        assert pool is not None
        opens = slots > pool.open
        pool.open = engine.view.slots = slots
        engine.view.free_slots = pool.free
        if self.log:
            self.log(Event(now, w, "slots", -1, slots, engine.view.active, engine.view.kv_held))
        if opens:
            self._decide_soon(engine, now)

    def _run_seconds(self, engine: _Engine) -> float:
        view = engine.view
        return float(view.worker.decode_time.run_seconds(engine.run_rounds, view.active, view.kv_held))

    def _boundary(self, engine: _Engine, now: float) -> None:
        if engine.run_rounds:
            self._end_run(engine, now)
        elif engine.prefilled:
            self._end_prefill(engine, now)
        if not self.left:
            return
        view = engine.view
        view.time = now
        engine.waiting = False
        decision = self.policy.decide(view)
        if isinstance(decision, Prefill):
            self._prefill(engine, decision)
        elif isinstance(decision, Decode):
            self._decode(engine, decision)
        elif isinstance(decision, Evict):
            self._drop(engine, decision.requests)
            self._at(engine, now)
        else:
            self._wait(engine, decision)

    def _wait(self, engine: _Engine, decision: Wait) -> None:
        view = engine.view
        engine.waiting = engine.was_idle = True
        if self.log and view.started:
            self.log(Event(view.time, view.index, "wait", -1, -1, view.active, view.kv_held))
        if decision.until is not None and decision.until > engine.view.time:
            self._at(engine, decision.until)

    def _prefill(self, engine: _Engine, decision: Prefill) -> None:
        view, batch = engine.view, decision.requests
        slots = self._take_slots(engine, decision)
        tokens = 0
        for i in batch:
            if i not in self.waiting_requests:
                raise self._broken(engine, f"prefills request {self._id(i)!r}, which does not wait")
            self.waiting_requests.remove(i)
            tokens += self.p[i]
        worker = view.worker
        if not batch:
            raise self._broken(engine, "prefills an empty batch")
        if worker.max_prefill_tokens is not None and tokens > worker.max_prefill_tokens:
            raise self._broken(
                engine,
                f"prefills {tokens} tokens in one iteration, at most {worker.max_prefill_tokens} allowed",
            )
        if worker.kv_capacity is not None and view.kv_held + tokens > worker.kv_capacity:
            raise self._broken(
                engine,
                f"prefill takes KV use to {view.kv_held + tokens} tokens, capacity {worker.kv_capacity}",
            )
        engine.record.add(batch, slots, view.rounds, view.time if engine.was_idle else 0.0)
        engine.was_idle = False
        seconds = worker.prefill_time.seconds(tokens)
        engine.busy += seconds * len(batch)
        for k, i in enumerate(batch):
            self.prefill_start[i], self.decode_start[i] = view.time, view.time + seconds
            self.served_by[i] = view.index
            self.in_slot[i] = -1 if slots is None else slots[k]
            if self.log:
                self.log(
                    Event(
                        view.time,
                        view.index,
                        "prefill",
                        i,
                        self.in_slot[i],
                        view.active,
                        view.kv_held + tokens,
                    )
                )
        engine.prefilled = batch
        self._at(engine, view.time + seconds)

    def _take_slots(self, engine: _Engine, decision: Prefill) -> list[int] | None:
        pool, count = engine.slots, len(decision.requests)
        if pool is None:
            return None
        if count > pool.free:
            raise self._broken(engine, f"prefills {count} requests into {pool.free} free slots")
        slots = pool.take(decision.requests, decision.slots)
        if slots is None:
            raise self._broken(engine, "prefills into a slot that is held")
        engine.view.free_slots = pool.free
        return slots

    def _end_prefill(self, engine: _Engine, now: float) -> None:
        view = engine.view
        for i in engine.prefilled:
            view.started[i] = view.rounds
            view.kv_held += self.p[i]
            heapq.heappush(engine.finish, (view.rounds + self.d[i], i))
        engine.kv_peak = max(engine.kv_peak, view.kv_held)
        engine.prefilled = []

    def _decode(self, engine: _Engine, decision: Decode) -> None:
        view = engine.view
        if not view.started:
            raise self._broken(engine, "decodes with no active request")
        capacity = view.worker.kv_capacity
        if capacity is not None:
            while view.started and rounds_within_kv(view.active, view.kv_held, capacity) < 1:
                self._evict(engine)
            if not view.started:
                self._at(engine, view.time)
                return
        rounds = engine.finish[0][0] - view.rounds
        if decision.rounds is not None:
            rounds = min(rounds, max(1, decision.rounds))
        if capacity is not None:
            rounds = min(rounds, rounds_within_kv(view.active, view.kv_held, capacity))
        engine.run_rounds, engine.run_wakes = rounds, decision.wake
        if self.log:
            self.log(Event(view.time, view.index, "decode", -1, -1, view.active, view.kv_held))
        self._at(engine, view.time + self._run_seconds(engine))

    def _evict(self, engine: _Engine) -> None:
        victims = self.policy.evict(engine.view)
        if not victims or any(i not in engine.view.started for i in victims):
            raise self._broken(engine, "KV cache overflows and the policy evicts nothing")
        self._drop(engine, victims)

    def _drop(self, engine: _Engine, victims: list[int]) -> None:
        view, gone = engine.view, set(victims)
        if not gone or not gone <= view.started.keys():
            raise self._broken(engine, "evicts what is not active")
        engine.finish = [entry for entry in engine.finish if entry[1] not in gone]
        heapq.heapify(engine.finish)
        for i in victims:
            self._release(engine, i, self.p[i] + view.rounds - view.started[i])
            self.evictions += 1
            if self.log:
                self.log(Event(view.time, view.index, "evict", i, self.in_slot[i], view.active, view.kv_held))
            self._offer(i, view.time)
        self._wake(view.time)

    def _release(self, engine: _Engine, i: int, kv: int) -> None:
        view = engine.view
        del view.started[i]
        view.kv_held -= kv
        if engine.slots is not None:
            engine.slots.release(i)
            view.free_slots = engine.slots.free

    def _end_run(self, engine: _Engine, now: float) -> None:
        view, rounds = engine.view, engine.run_rounds
        active, kv_before = view.active, view.kv_held
        engine.busy += (now - view.time) * active
        self._note_first_tokens(engine, view.time, active, kv_before)
        view.rounds += rounds
        view.kv_held = run_kv_peak(rounds, active, kv_before)
        if view.kv_held > engine.kv_peak:
            engine.kv_peak = view.kv_held
        engine.run_rounds = 0
        view.time = now
        finish, policy = engine.finish, self.policy
        while finish and finish[0][0] == view.rounds:
            i = heapq.heappop(finish)[1]
            self._release(engine, i, request_kv_peak(self.p[i], self.d[i]))
            self.completion[i] = now
            self.left -= 1
            if self.log:
                self.log(Event(now, view.index, "complete", i, self.in_slot[i], view.active, view.kv_held))
            policy.completed(i, self.d[i], view)

    def _note_first_tokens(self, engine: _Engine, start: float, active: int, kv_before: int) -> None:
        """The requests of the last prefills make their first token in the first round of this run."""
        requests = engine.record.requests
        if engine.first_noted == len(requests):
            return
        first = start + engine.view.worker.decode_time.run_seconds(1, active, kv_before)
        for i in requests[engine.first_noted :]:
            if self.first_token[i] < 0 and i in engine.view.started:
                self.first_token[i] = first
        engine.first_noted = len(requests)

    def _id(self, i: int) -> str:
        return self.instance.requests.id[i] if 0 <= i < self.instance.n else str(i)

    def _broken(self, engine: _Engine, message: str) -> InvalidPlanError:
        view = engine.view
        return InvalidPlanError(f"worker {view.worker.name!r} at {view.time:.6g} s: the policy {message}")

    def outcome(self, policy: str, seconds: float) -> Outcome:
        """Measures and stages of the finished run."""
        schedule = Schedule(
            np.array(self.served_by),
            np.array(self.in_slot),
            *(np.array(times) for times in (self.prefill_start, self.decode_start, self.first_token, self.completion)),
        )
        totals = [
            WorkerTotals(e.view.worker.name, e.busy, len(e.record), e.view.rounds, e.kv_peak) for e in self.engines
        ]
        stages = [e.record.to_worker_plan(e.view.worker.name, e.view.rounds) for e in self.engines]
        return Outcome(policy, schedule, measure(self.instance, schedule, totals), self.evictions, seconds, stages)
