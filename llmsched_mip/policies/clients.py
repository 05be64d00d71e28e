"""Every client (slot) works through its own list: turns an assignment of requests to clients into stages."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.protocol import (
    Decision,
    Policy,
    Prefill,
    Problem,
    WorkerView,
    decode_or_wait,
    prompt_tokens,
)


class Clients(Policy):
    """Prefill for the idle clients as soon as `idle` of them wait for their next request, or none is active.

    Token cap and KV cache are respected by the forward check; what does not fit waits for the next prefill.  For
    one worker.

    Parameters
    ----------
    problem : Problem
    lists : sequence of request lists
        One for each slot, in the order of service.
    idle : int
        Least number of waiting clients for a prefill.
    """

    def __init__(self, problem: Problem, lists: Sequence[Sequence[int]], idle: int):
        self.lists = [deque(requests) for requests in lists]
        self.idle = idle
        self.admission = Admission(problem.workers[0], Estimator(problem.lengths), prompt_tokens(problem))
        self.held: dict[int, int] = {}
        self.ready = {slot for slot, requests in enumerate(self.lists) if requests}
        self.here: set[int] = set()

    def arrived(self, request: int, time: float) -> None:
        """Note an arrival; the request's place in its list is fixed."""
        self.here.add(request)

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """The client is idle again."""
        self.admission.released(request)
        slot = self.held.pop(request)
        if self.lists[slot]:
            self.ready.add(slot)

    def decide(self, view: WorkerView) -> Decision:
        """Prefill the next requests of the idle clients, or decode."""
        if self.ready and (len(self.ready) >= self.idle or not view.started):
            heads = {self.lists[slot][0]: slot for slot in sorted(self.ready)}
            client = {i: slot for i, slot in heads.items() if i in self.here}
            batch = self.admission.batch(view, client, skip=True)
            if batch:
                for i in batch:
                    slot = client[i]
                    self.lists[slot].popleft()
                    self.ready.remove(slot)
                    self.held[i] = slot
                return Prefill(batch, [client[i] for i in batch] if view.worker.slots is not None else None)
        return decode_or_wait(view, wake=bool(self.ready))
