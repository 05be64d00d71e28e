"""One worker of a replay: what runs on it, beside the view of it that a policy has."""

from __future__ import annotations

import heapq

from llmsched_mip.errors import InvalidPlanError
from llmsched_mip.execution.record import StageRecord
from llmsched_mip.execution.slots import SlotPool
from llmsched_mip.instance import Worker
from llmsched_mip.measures import WorkerTotals
from llmsched_mip.policies.protocol import Prefill, WorkerView


class Engine:
    """State of one worker.

    Attributes
    ----------
    view : WorkerView
    pool : SlotPool or None
        None: no slot limit.
    finish : list of (int, int)
        Heap of the active requests by the round of their last token.
    prefilled : list of int
        Batch of the prefill iteration that runs; empty: none.
    run_rounds : int
        Rounds of the decode run that is under way; 0: none.
    run_wakes : bool
        Whether the run ends where a request arrives.
    waiting : bool
        Whether nothing runs.
    version : int
        Number of the worker's last entry in the executor's queue: the earlier ones are void.
    busy : float
        Seconds of iterations, each counted with the requests that it serves.
    """

    def __init__(self, index: int, worker: Worker):
        self.view = WorkerView(index, worker)
        self.pool = None if worker.slots is None else SlotPool(worker.slots)
        self.finish: list[tuple[int, int]] = []
        self.prefilled: list[int] = []
        self.run_rounds = self.version = self.kv_peak = 0
        self.run_wakes = self.waiting = False
        self.busy = 0.0
        self.record = StageRecord()
        self._was_idle = False
        self._first_noted = 0

    def run_seconds(self) -> float:
        """Duration of the run that is under way."""
        view = self.view
        return float(view.worker.decode_time.run_seconds(self.run_rounds, view.active, view.kv_held))

    def wait(self) -> None:
        """Run nothing."""
        self.waiting = self._was_idle = True

    def begin_prefill(self, batch: list[int], slots: list[int] | None, tokens: int) -> float:
        """Begin the iteration over `tokens` prompt tokens, into slots that are taken; its seconds.

        Raises `InvalidPlanError` where the worker's limits do not allow it.
        """
        view = self.view
        worker = view.worker
        if not batch:
            raise self.broken("prefills an empty batch")
        cap, capacity = worker.max_prefill_tokens, worker.kv_capacity
        if cap is not None and tokens > cap:
            raise self.broken(f"prefills {tokens} tokens in one iteration, at most {cap} allowed")
        if capacity is not None and view.kv_held + tokens > capacity:
            raise self.broken(f"prefill takes KV use to {view.kv_held + tokens} tokens, capacity {capacity}")
        self.record.add(batch, slots, view.rounds, view.time if self._was_idle else 0.0)
        self._was_idle = False
        seconds = worker.prefill_time.seconds(tokens)
        self.busy += seconds * len(batch)
        self.prefilled = batch
        return float(seconds)

    def take_slots(self, decision: Prefill) -> list[int] | None:
        """Take slots for a batch; None where the worker has no slot limit."""
        pool, count = self.pool, len(decision.requests)
        if pool is None:
            return None
        if count > pool.free:
            raise self.broken(f"prefills {count} requests into {pool.free} free slots")
        slots = pool.take(decision.requests, decision.slots)
        if slots is None:
            raise self.broken("prefills into a slot that is held")
        self.view.free_slots = pool.free
        return slots

    def end_prefill(self, prompts: list[int], lengths: list[int]) -> None:
        """Make the batch active; prompt and decode tokens of all requests are given."""
        view = self.view
        for i in self.prefilled:
            view.started[i] = view.rounds
            view.kv_held += prompts[i]
            heapq.heappush(self.finish, (view.rounds + lengths[i], i))
        self.kv_peak = max(self.kv_peak, view.kv_held)
        self.prefilled = []

    def without_first_token(self) -> list[int]:
        """Requests of the prefills since this was last asked: they make their first token in the next round."""
        requests, noted = self.record.requests, self._first_noted
        self._first_noted = len(requests)
        return requests[noted:]

    def stop(self, request: int, kv: int) -> None:
        """Free slot and KV tokens of an active request."""
        view = self.view
        del view.started[request]
        view.kv_held -= kv
        if self.pool is not None:
            self.pool.release(request)
            view.free_slots = self.pool.free

    def forget(self, requests: set[int]) -> None:
        """Take active requests out of `finish`."""
        self.finish = [entry for entry in self.finish if entry[1] not in requests]
        heapq.heapify(self.finish)

    def broken(self, message: str) -> InvalidPlanError:
        """The error for a decision that breaks the model."""
        return InvalidPlanError(f"worker {self.view.worker.name!r} at {self.view.time:.6g} s: the policy {message}")

    def totals(self) -> WorkerTotals:
        """What the worker did in all."""
        return WorkerTotals(self.view.worker.name, self.busy, len(self.record), self.view.rounds, self.kv_peak)
