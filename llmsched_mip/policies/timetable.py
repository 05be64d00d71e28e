"""Prefill given batches at given rounds, or as soon as they fit: turns a timetable into stages that hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.protocol import (
    Decision,
    Decode,
    Policy,
    Prefill,
    Problem,
    WorkerView,
    decode_or_wait,
    prompt_tokens,
)


class Timetable(Policy):
    """Batch k is due at round ``due[k]``.

    In a batch the longest go first: the short ones can wait without delaying the end.  What does not fit when it is
    due (slots, token cap, KV cache by the forward check) joins the next batch.  With `early` a batch is prefilled
    before it is due when all of it fits.  For one worker and a backlog.

    Parameters
    ----------
    problem : Problem
    batches : sequence of request lists
    due : sequence of int
        Rounds, not decreasing.
    early : bool
    """

    def __init__(self, problem: Problem, batches: Sequence[list[int]], due: Sequence[int], early: bool):
        self.estimator = Estimator(problem.lengths)
        self.batches, self.due, self.early = deque(self._sorted(b) for b in batches), deque(due), early
        self.admission = Admission(problem.workers[0], self.estimator, prompt_tokens(problem))

    def _sorted(self, batch: list[int]) -> list[int]:
        return sorted(batch, key=lambda i: (-self.estimator.length(i), i))

    def arrived(self, request: int, time: float) -> None:
        """All requests are in the batches."""

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Free the KV that was set aside."""
        self.admission.released(request)

    def decide(self, view: WorkerView) -> Decision:
        """Prefill what is due, or all of the next batch if it fits already."""
        if not self.batches:
            return decode_or_wait(view, wake=False)
        now_due = view.rounds >= self.due[0] or not view.started
        if now_due or (self.early and len(self.batches[0]) <= view.free_slots):
            batch = self.admission.batch(view, self.batches[0], skip=True)
            if len(batch) == len(self.batches[0]):
                self.batches.popleft()
                self.due.popleft()
                return Prefill(batch)
            if not now_due:
                self.admission.retract(batch)
            else:
                self._carry_over(set(batch))
                if batch:
                    return Prefill(batch)
        left = self.due[0] - view.rounds
        return Decode(left if left > 0 else None, wake=False)

    def _carry_over(self, taken: set[int]) -> None:
        rest = [i for i in self.batches.popleft() if i not in taken]
        due = self.due.popleft()
        if self.batches:
            self.batches[0] = self._sorted(rest + self.batches[0])
        else:
            self.batches.append(rest)
            self.due.append(due)
