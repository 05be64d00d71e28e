"""A second reading of an event log: round by round, in plain Python, from docs/problem.md.

Shares no arithmetic with the executor.  Needs decode rounds and prefill iterations that take time, so that events of
one worker at different moments have different times.
"""

from __future__ import annotations

import math
from itertools import groupby

from reference_simulator import prefill_seconds, token_limit


def close(a: float, b: float, scale: float = 1.0) -> bool:
    """Whether two numbers are the same to within 1e-9 of themselves or of `scale`."""
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9 * scale)


class WorkerReplay:
    """One worker that does what its events say and asserts that it may; `makespan` is the scale of its times."""

    def __init__(self, instance, worker, makespan):
        r = instance.requests
        self.p, self.d, self.arrival = r.prefill_tokens.tolist(), r.decode_tokens.tolist(), r.arrival_s.tolist()
        self.worker, self.makespan = worker, makespan
        self.now = 0.0
        self.made: dict[int, int] = {}
        self.slot: dict[int, int] = {}
        self.free_from: dict[int, float] = {}
        self.decoding = False
        self.rounds = self.prefills = self.kv_peak = 0
        self.busy = 0.0

    def held(self) -> int:
        return sum(self.p[i] + k for i, k in self.made.items())

    def within_limits(self) -> None:
        worker = self.worker
        assert worker.kv_capacity is None or self.held() <= worker.kv_capacity
        assert worker.slots is None or len(self.made) <= worker.slots
        self.kv_peak = max(self.kv_peak, self.held())

    def one_round(self) -> None:
        decode = self.worker.decode_time
        for i in self.made:
            self.made[i] += 1
            assert self.made[i] <= self.d[i], "decodes a request that is complete"
        self.within_limits()
        seconds = decode.base_s + decode.per_sequence_s * len(self.made) + decode.per_kv_token_s * self.held()
        self.now += seconds
        self.busy += seconds * len(self.made)
        self.rounds += 1

    def advance(self, time: float) -> None:
        """Decode until `time`: an event stands at an iteration boundary, and none is passed over."""
        while self.decoding and self.now < time and not close(self.now, time, self.makespan):
            assert self.made
            assert all(k < self.d[i] for i, k in self.made.items()), "a completion was missed"
            self.one_round()
        assert close(self.now, time, self.makespan) or (not self.decoding and self.now <= time)
        self.now = time
        self.decoding = False

    def prefill(self, batch, time) -> None:
        requests = [event.request for event in batch]
        assert len(set(requests)) == len(requests)
        assert not set(requests) & set(self.made)
        assert all(self.arrival[i] <= time for i in requests)
        tokens = sum(self.p[i] for i in requests)
        assert tokens <= token_limit(self.worker)
        for event in batch:
            assert event.active == len(self.made)
            assert event.kv == self.held() + tokens
            if self.worker.slots is None:
                assert event.slot == -1
            else:
                assert 0 <= event.slot < self.worker.slots
                assert event.slot not in self.slot.values()
                self.slot[event.request] = event.slot
        self.made.update(dict.fromkeys(requests, 0))
        self.within_limits()
        seconds = prefill_seconds(self.worker.prefill_time, tokens)
        self.now = time + seconds
        self.busy += seconds * len(batch)
        self.prefills += 1

    def end(self, event, restarts=False) -> None:
        """A completion or an eviction; with `restarts` a request may be evicted without need."""
        i = event.request
        if event.event == "complete":
            assert self.made[i] == self.d[i]
        else:
            grown = self.held() + len(self.made)
            assert self.made[i] < self.d[i]
            assert restarts or grown > self.worker.kv_capacity, "evicted without need"
        del self.made[i]
        self.slot.pop(i, None)
        assert event.active == len(self.made) and event.kv == self.held()


def _iteration(event):
    """What stands together: the members of one prefill iteration show the same KV use."""
    return event.event, event.time, event.kv if event.event == "prefill" else None


def check_log(instance, events, outcome, restarts=False):
    """Assert that the log is an execution of the instance, and that the outcome says the same."""
    makespan = outcome.measures.makespan
    replays = [WorkerReplay(instance, worker, makespan) for worker in instance.workers]
    completed, arrived, evicted = {}, {}, 0
    assert [e.time for e in events if e.worker < 0] == sorted(e.time for e in events if e.worker < 0)
    for event in events:
        if event.event == "arrive":
            assert event.worker == -1 and event.request not in arrived
            arrived[event.request] = event.time
    for w, replay in enumerate(replays):
        of_worker = [event for event in events if event.worker == w]
        assert [e.time for e in of_worker] == sorted(e.time for e in of_worker)
        for (kind, time, _), group in groupby(of_worker, key=_iteration):
            batch = list(group)
            replay.advance(time)
            if kind == "prefill":
                replay.prefill(batch, time)
            elif kind in ("decode", "wait"):
                assert replay.made
                assert {(e.active, e.kv) for e in batch} == {(len(replay.made), replay.held())}
                replay.decoding = kind == "decode"
            else:
                assert kind in ("complete", "evict")
                for event in batch:
                    replay.end(event, restarts)
                    if kind == "complete":
                        assert event.request not in completed
                        completed[event.request] = time
                        assert outcome.schedule.worker[event.request] == w
                    else:
                        evicted += 1
        assert not replay.made
    n = instance.n
    assert sorted(completed) == sorted(arrived) == list(range(n))
    assert [arrived[i] for i in range(n)] == instance.requests.arrival_s.tolist()
    assert [completed[i] for i in range(n)] == outcome.schedule.completion_s.tolist()
    measures = outcome.measures
    assert evicted == outcome.evictions
    assert close(measures.makespan, max(completed.values()))
    assert measures.decode_rounds == sum(r.rounds for r in replays)
    assert measures.prefill_iterations == sum(r.prefills for r in replays)
    assert measures.kv_peak == max(r.kv_peak for r in replays)
    for r in replays:
        if r.worker.slots is not None:
            share = measures.worker_utilization[r.worker.name]
            assert close(share, r.busy / (r.worker.slots * measures.makespan))
