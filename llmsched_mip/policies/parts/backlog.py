"""The requests that wait, and which of them fit a worker now."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.queue import Key, WaitingQueue
from llmsched_mip.policies.parts.survival import estimator_for
from llmsched_mip.policies.parts.work_in_progress import WorkInProgress
from llmsched_mip.policies.protocol import Policy, Prefill, Problem, WorkerView, prompt_tokens

LOOKAHEAD = 100


class Backlog:
    """A queue for all workers, and what may be prefilled on each.

    Parameters
    ----------
    problem : Problem
    key : Key
        Order of the queue.
    estimator : Estimator, optional
    admission : list of Admission, optional
        One for each worker, with the same estimator; made for it if left out.
    skip : bool
        Pass over requests that do not fit now instead of stopping at the first.
    keeps_place : bool
        See `WaitingQueue`.
    """

    def __init__(
        self,
        problem: Problem,
        key: Key,
        estimator: Estimator | None = None,
        admission: list[Admission] | None = None,
        *,
        skip: bool = False,
        keeps_place: bool = True,
    ):
        self.prompts = prompt_tokens(problem)
        self.estimator = estimator_for(problem) if estimator is None else estimator
        if admission is None:
            admission = [Admission(worker, self.estimator, self.prompts) for worker in problem.workers]
        self.admission, self.skip = admission, skip
        self.queue = WaitingQueue(key, keeps_place)
        for each in admission:
            each.follow(self.queue, 1 / len(admission))
        self.unfit: list[set[int]] = [set() for _ in problem.workers]

    def arrived(self, request: int) -> None:
        """Queue a request.  With several workers one that can never run on some must not block their queue."""
        if self.queue.add(request) and len(self.admission) > 1:
            for unfit, admission in zip(self.unfit, self.admission, strict=True):
                if not admission.fits_alone(request):
                    unfit.add(request)

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Learn the length and free the KV that was set aside."""
        self.estimator.note(request, length, view)
        self.admission[view.index].completed(request)

    def evict(self, view: WorkerView) -> list[int]:
        """The request that started last (least work lost), of several the last to arrive."""
        number = self.queue.number
        victims = [max(view.started, key=lambda i: (view.started[i], number[i]))]
        self.evicted(victims, view)
        return victims

    def evicted(self, victims: list[int], view: WorkerView) -> None:
        """Free the KV of victims; one that was alone can never run on this worker."""
        if view.active == 1:
            self.unfit[view.index].update(victims)
        for i in victims:
            self.admission[view.index].released(i)
            self.estimator.lose(i, view.rounds - view.started[i], view)

    def candidates(self, view: WorkerView) -> Iterator[int]:
        """Waiting requests in the order of the queue, without those that can never run on this worker."""
        unfit = self.unfit[view.index]
        waiting = islice(self.queue, LOOKAHEAD + view.free_slots) if self.skip else iter(self.queue)
        return (i for i in waiting if i not in unfit) if unfit else waiting

    def choose(self, view: WorkerView, least: int = 1, progress: WorkInProgress | None = None) -> list[int]:
        """A batch that fits now, not yet taken from the queue, and within the limit on work in progress, if there is
        one; none below `least` requests, if more than that wait and something is active, whose end makes room."""
        if view.free_slots == 0 or not self.queue:
            return []
        admission, candidates = self.admission[view.index], self.candidates(view)
        if progress is not None:
            candidates = progress.first_of(candidates, view)
        batch = admission.batch(view, candidates, self.skip)
        if view.started and len(batch) < min(least, len(self.queue)):
            for i in batch:
                admission.released(i)
            return []
        return batch

    def limited(self, view: WorkerView, progress: WorkInProgress) -> bool:
        """Whether the limit on work in progress keeps all that wait from starting now."""
        first = next(self.candidates(view), None)
        return first is not None and not progress.cut([first], view)

    def take(self, batch: list[int]) -> Prefill:
        """Take the batch from the queue and prefill it."""
        self.queue.take(batch)
        return Prefill(batch)

    def until_the_first_fits(self, view: WorkerView) -> int | None:
        """Rounds after which the first of the queue will fit without any completion; None: not so, or no slot."""
        if not view.started or not view.free_slots or not self.queue:
            return None
        first = next(self.candidates(view), None)
        return None if first is None else self.admission[view.index].rounds_to_wait(view, first)


class BacklogPolicy(Policy):
    """A policy whose requests wait in a backlog; what is left to say is what it decides."""

    backlog: Backlog

    def ranked(self, view: WorkerView) -> WaitingQueue:
        """The requests that wait, in the order in which a mixed engine is to take them now."""
        return self.backlog.queue

    def admitted(self, request: int, view: WorkerView) -> None:
        """Note that a mixed engine has taken a request that waited."""
        self.backlog.queue.take([request])

    def arrived(self, request: int, time: float) -> None:
        """Queue the request."""
        self.backlog.arrived(request)

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Learn the length and free the KV that was set aside."""
        self.backlog.completed(request, length, view)

    def evict(self, view: WorkerView) -> list[int]:
        """The request that started last, of several the last to arrive."""
        return self.backlog.evict(view)
