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

from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidPlanError
from llmsched_mip.execution.engine import Engine
from llmsched_mip.execution.events import Event
from llmsched_mip.execution.outcome import Outcome
from llmsched_mip.execution.slot_timetable import SlotTimetable
from llmsched_mip.instance import Instance
from llmsched_mip.measures import Schedule, measure
from llmsched_mip.policies.protocol import Decode, Evict, Policy, Prefill, Wait
from llmsched_mip.timing import request_kv_peak, rounds_within_kv, run_kv_peak

NEVER = float("inf")
EVENTS_A_LOOK = 64


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
        self.p: list[int] = requests.prefill_tokens.tolist()
        self.d: list[int] = requests.decode_tokens.tolist()
        order = np.argsort(requests.arrival_s, kind="stable")
        self.order: list[int] = order.tolist()
        self.arrival: list[float] = [*requests.arrival_s[order].tolist(), NEVER]
        self.next_arrival = 0
        n = instance.n
        self.served_by, self.in_slot = [-1] * n, [-1] * n
        self.prefill_start, self.decode_start = [NEVER] * n, [NEVER] * n
        self.first_token: list[float] = [-1.0] * n
        self.completion = [NEVER] * n
        self.waiting_requests: set[int] = set()
        self.evictions = 0
        self.left = n
        self.engines = [Engine(w, worker) for w, worker in enumerate(instance.workers)]
        self.queue: list[tuple[float, int, int]] = []
        self.changes = deque([] if slot_timetable is None else slot_timetable.changes(instance))
        for engine in self.engines:
            self._at(engine, 0.0)

    def run(self, budget: Budget | None = None) -> bool:
        """Execute until every request is complete; whether they are when `budget` is spent: then it may go on later.

        Raises `InvalidPlanError` when the policy breaks the model.
        """
        changes, queue = self.changes, self.queue
        events = 0
        while self.left:
            events += 1
            if budget is not None and events % EVENTS_A_LOOK == 0 and budget.spent():
                return False
            arrival = self.arrival[self.next_arrival]
            change = changes[0][0] if changes else NEVER
            boundary = queue[0][0] if queue else NEVER
            if min(arrival, change, boundary) == NEVER:
                raise InvalidPlanError(f"the policy stopped with {self.left} requests not complete")
            if change <= min(arrival, boundary):
                self._change_slots()
            elif arrival <= boundary:
                self._deliver(arrival)
            else:
                now, w, version = heapq.heappop(queue)
                engine = self.engines[w]
                if version == engine.version:
                    self._boundary(engine, now)
        return True

    def _at(self, engine: Engine, time: float) -> None:
        """Let a worker decide at `time` and not before."""
        engine.version += 1
        heapq.heappush(self.queue, (time, engine.view.index, engine.version))

    def _note(self, engine: Engine, event: str, i: int = -1, slot: int = -1, kv: int = 0) -> None:
        """Log an event of a worker now; `kv` tokens come to those that are held."""
        if self.log:
            view = engine.view
            self.log(Event(view.time, view.index, event, i, slot, view.active, view.kv_held + kv))

    def _deliver(self, now: float) -> None:
        """Offer all requests that have arrived."""
        while self.arrival[self.next_arrival] <= now:
            i, arrival = self.order[self.next_arrival], self.arrival[self.next_arrival]
            self.next_arrival += 1
            self._offer(i, arrival)
            if self.log:
                self.log(Event(arrival, -1, "arrive", i, -1, 0, 0))
        self._wake(now)

    def _offer(self, i: int, now: float) -> None:
        self.waiting_requests.add(i)
        self.policy.arrived(i, now)

    def _wake(self, now: float) -> None:
        """Let idle workers decide at `now`, and cut open runs at their first boundary after it."""
        for engine in self.engines:
            if engine.waiting or engine.run_wakes:
                self._decide_soon(engine, now)

    def _decide_soon(self, engine: Engine, now: float) -> None:
        """Let a worker decide at `now`, or at the first boundary of its open run after it."""
        view = engine.view
        if engine.waiting:
            self._at(engine, max(now, view.time))
        elif engine.run_rounds > 1:
            rounds = view.worker.decode_time.rounds_to_pass(now - view.time, view.active, view.kv_held)
            if rounds < engine.run_rounds:
                engine.run_rounds = rounds
                self._at(engine, max(now, view.time + engine.run_seconds()))

    def _change_slots(self) -> None:
        """Open or close slots by the timetable; where slots have opened the worker decides anew."""
        now, w, slots = self.changes.popleft()
        engine = self.engines[w]
        view, pool = engine.view, engine.pool
        assert pool is not None
        opens = slots > pool.open
        pool.open = view.slots = slots
        view.free_slots = pool.free
        if self.log:
            self.log(Event(now, w, "slots", -1, slots, view.active, view.kv_held))
        if opens:
            self._decide_soon(engine, now)

    def _boundary(self, engine: Engine, now: float) -> None:
        """End what ran on a worker, and begin what the policy says."""
        if engine.run_rounds:
            self._end_run(engine, now)
        elif engine.prefilled:
            engine.end_prefill(self.p, self.d)
        if not self.left:
            return
        engine.view.time = now
        engine.waiting = False
        decision = self.policy.decide(engine.view)
        if isinstance(decision, Prefill):
            self._prefill(engine, decision)
        elif isinstance(decision, Decode):
            self._decode(engine, decision)
        elif isinstance(decision, Evict):
            self._drop(engine, decision.requests)
            self._at(engine, now)
        else:
            self._wait(engine, decision)

    def _wait(self, engine: Engine, decision: Wait) -> None:
        engine.wait()
        if engine.view.started:
            self._note(engine, "wait")
        if decision.until is not None and decision.until > engine.view.time:
            self._at(engine, decision.until)

    def _prefill(self, engine: Engine, decision: Prefill) -> None:
        view, batch = engine.view, decision.requests
        slots = engine.take_slots(decision)
        tokens = 0
        for i in batch:
            if i not in self.waiting_requests:
                raise engine.broken(f"prefills request {self._id(i)!r}, which does not wait")
            self.waiting_requests.remove(i)
            tokens += self.p[i]
        end = view.time + engine.begin_prefill(batch, slots, tokens)
        for k, i in enumerate(batch):
            self.prefill_start[i], self.decode_start[i] = view.time, end
            self.served_by[i] = view.index
            self.in_slot[i] = -1 if slots is None else slots[k]
            if self.log:
                self._note(engine, "prefill", i, self.in_slot[i], tokens)
        self._at(engine, end)

    def _decode(self, engine: Engine, decision: Decode) -> None:
        """Begin a run of rounds; what would overflow the KV cache in the first of them is evicted."""
        view = engine.view
        if not view.started:
            raise engine.broken("decodes with no active request")
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
            self._note(engine, "decode")
        self._at(engine, view.time + engine.run_seconds())

    def _evict(self, engine: Engine) -> None:
        victims = self.policy.evict(engine.view)
        if not victims or any(i not in engine.view.started for i in victims):
            raise engine.broken("KV cache overflows and the policy evicts nothing")
        self._drop(engine, victims)

    def _drop(self, engine: Engine, victims: list[int]) -> None:
        """Take active requests off a worker; they wait again."""
        view, gone = engine.view, set(victims)
        if not gone or not gone <= view.started.keys():
            raise engine.broken("evicts what is not active")
        engine.forget(gone)
        for i in victims:
            engine.stop(i, self.p[i] + view.rounds - view.started[i])
            self.evictions += 1
            self._note(engine, "evict", i, self.in_slot[i])
            self._offer(i, view.time)
        self._wake(view.time)

    def _end_run(self, engine: Engine, now: float) -> None:
        """Count the rounds of the run and complete the requests that make their last token with it."""
        view, rounds = engine.view, engine.run_rounds
        active, kv_before = view.active, view.kv_held
        engine.busy += (now - view.time) * active
        new = engine.without_first_token()
        if new:
            first = view.time + view.worker.decode_time.run_seconds(1, active, kv_before)
            for i in new:
                if self.first_token[i] < 0 and i in view.started:
                    self.first_token[i] = first
        view.rounds += rounds
        view.kv_held = run_kv_peak(rounds, active, kv_before)
        if view.kv_held > engine.kv_peak:
            engine.kv_peak = view.kv_held
        engine.run_rounds = 0
        view.time = now
        finish, policy = engine.finish, self.policy
        while finish and finish[0][0] == view.rounds:
            i = heapq.heappop(finish)[1]
            engine.stop(i, request_kv_peak(self.p[i], self.d[i]))
            self.completion[i] = now
            self.left -= 1
            if self.log:
                self._note(engine, "complete", i, self.in_slot[i])
            policy.completed(i, self.d[i], view)

    def _id(self, i: int) -> str:
        return self.instance.requests.id[i] if 0 <= i < self.instance.n else str(i)

    def outcome(self, policy: str, seconds: float) -> Outcome:
        """Measures and stages of the finished run."""
        schedule = Schedule(
            np.array(self.served_by),
            np.array(self.in_slot),
            *(np.array(times) for times in (self.prefill_start, self.decode_start, self.first_token, self.completion)),
        )
        measures = measure(self.instance, schedule, [engine.totals() for engine in self.engines])
        stages = [e.record.to_worker_plan(e.view.worker.name, e.view.rounds) for e in self.engines]
        return Outcome(policy, schedule, measures, self.evictions, seconds, stages, self.instance)
