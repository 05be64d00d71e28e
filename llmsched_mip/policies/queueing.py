"""Shared by policies that take waiting requests in an order: the queue and the choice of a batch that fits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from sortedcontainers import SortedList

from llmsched_mip.instance import Worker
from llmsched_mip.policies.base import (
    Decision,
    Decode,
    PolicyBase,
    Prefill,
    Problem,
    Wait,
    WorkerView,
    prompt_tokens,
)
from llmsched_mip.policies.estimator import Estimator
from llmsched_mip.policies.profile import KVProfile

LOOKAHEAD = 100


class Admission:
    """What may be prefilled on one worker: slots, token cap, and the KV cache by the forward check.

    Where lengths are not visible at all, there is nothing to look forward with: a request is admitted when the
    prompts and one token each fit now, and an overflow is answered by eviction.

    Parameters
    ----------
    worker : Worker
    estimator : Estimator
        Its `longest` is the length that KV is set aside for.
    prompts : list of int
    margin : float
        Share of the KV cache that no admission counts on, except on an empty worker.
    """

    def __init__(self, worker: Worker, estimator: Estimator, prompts: list[int], margin: float = 0.0):
        self.worker, self.estimator, self.prompts = worker, estimator, prompts
        self.fits = worker.max_prefill_tokens
        self.margin = 0 if worker.kv_capacity is None else int(margin * worker.kv_capacity)
        self.profile: KVProfile | None = None
        if worker.kv_capacity is not None and estimator.visible != "unknown":
            self.profile = KVProfile(worker.kv_capacity)

    def batch(self, view: WorkerView, candidates: Iterable[int], skip: bool) -> list[int]:
        """Take candidates in their order as long as they fit; with `skip`, pass over those that do not."""
        self.refine(view)
        taken: list[int] = []
        room, tokens, cap = view.free_slots, 0, self.fits
        capacity, held = self.worker.kv_capacity, view.kv_held + view.active
        for i in candidates:
            if room == 0:
                break
            prompt = self.prompts[i]
            fits = (cap is None or tokens + prompt <= cap) and self._kv_fits(view, i, capacity, held)
            if fits:
                taken.append(i)
                tokens += prompt
                held += prompt + 1
                room -= 1
            elif not skip:
                break
        return taken

    def _kv_fits(self, view: WorkerView, i: int, capacity: int | None, held: int) -> bool:
        if capacity is None:
            return True
        prompt = self.prompts[i]
        if held + prompt + 1 > capacity:
            return False
        if self.profile is None:
            return True
        length = min(self.estimator.longest(i), capacity - prompt)
        if not self.profile.admits(view.rounds, prompt, length, self.margin if len(self.profile) else 0):
            return False
        self.profile.add(i, view.rounds, prompt, length)
        return True

    def rounds_to_wait(self, view: WorkerView, i: int) -> int | None:
        """Rounds after which a request that does not fit now will, without any completion; None: not so.

        Where lengths are estimates: at the latest when the next request is expected to end, for it may run on.
        """
        if self.profile is None or self.worker.kv_capacity is None:
            return None
        prompt = self.prompts[i]
        length = min(self.estimator.longest(i), self.worker.kv_capacity - prompt)
        rounds = self.profile.rounds_to_wait(view.rounds, prompt, length, self.margin)
        if rounds is None and not self.estimator.exact:
            return self.profile.rounds_to_finish(view.rounds)
        return rounds

    def fits_alone(self, i: int) -> bool:
        """Whether a request can ever run on this worker, as far as is visible."""
        prompt, capacity = self.prompts[i], self.worker.kv_capacity
        if self.fits is not None and prompt > self.fits:
            return False
        if capacity is None:
            return True
        needs = self.estimator.length(i) if self.estimator.exact else 1
        return prompt + needs <= capacity

    def retract(self, batch: Iterable[int]) -> None:
        """Undo the admission of a batch that is not prefilled after all."""
        for i in batch:
            self.released(i)

    def released(self, request: int) -> None:
        """Note a completion or an eviction."""
        if self.profile is not None:
            self.profile.remove(request)

    def refine(self, view: WorkerView) -> None:
        """Raise the estimates of requests that run longer than expected."""
        if self.profile is None or self.estimator.exact:
            return
        for i in self.profile.overdue(view.rounds):
            self.profile.remove(i)
            start = view.started[i]
            self.profile.add(i, start, self.prompts[i], self.estimator.longest(i, view.rounds - start))


class FixedAdmission(Admission):
    """Estimates stand as they are: a request past its estimate is expected to end with the next round, whenever it
    is looked at, and the check of the next round counts it."""

    def refine(self, view: WorkerView) -> None:
        """Nothing to do."""


class QueuePolicy(PolicyBase, ABC):
    """A policy with one queue for all workers; a subclass gives the key of a request and says when to prefill."""

    skip = False

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self.prompts = prompt_tokens(problem)
        self.estimator = Estimator(problem.lengths)
        self.admission = [Admission(w, self.estimator, self.prompts) for w in problem.workers]
        self.queue: SortedList[tuple[Any, int]] = SortedList()
        self.sequence: dict[int, int] = {}
        self.keys: dict[int, Any] = {}
        self.unfit: list[set[int]] = [set() for _ in problem.workers]

    @abstractmethod
    def key(self, request: int, sequence: int) -> Any:
        """Place in the queue, smallest first; `sequence` counts the arrivals."""

    def arrived(self, request: int, time: float) -> None:
        """Queue the request; after an eviction it goes back to its old place."""
        if request not in self.keys:
            self.sequence[request] = len(self.sequence)
            self.keys[request] = self.key(request, self.sequence[request])
            self._note_unfit(request)
        self.queue.add((self.keys[request], request))

    def _note_unfit(self, request: int) -> None:
        """With several workers, note where a request can never run: it must not block that worker's queue."""
        if len(self.admission) > 1:
            for w, admission in enumerate(self.admission):
                if not admission.fits_alone(request):
                    self.unfit[w].add(request)

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Learn the length and free the KV that was set aside."""
        self.estimator.observe(length)
        self.admission[view.index].released(request)

    def evict(self, view: WorkerView) -> list[int]:
        """The request that started last (least work lost), of several the last to arrive; alone, it can never run on
        this worker."""
        victims = [max(view.started, key=lambda i: (view.started[i], self.sequence[i]))]
        if view.active == 1:
            self.unfit[view.index].update(victims)
        for i in victims:
            self.admission[view.index].released(i)
        return victims

    def candidates(self, view: WorkerView) -> Iterator[int]:
        """Waiting requests in the order of the queue, without those that can never run on this worker."""
        unfit = self.unfit[view.index]
        waiting = islice(self.queue, LOOKAHEAD + view.free_slots) if self.skip else self.queue
        return (i for _, i in waiting if i not in unfit)

    def choose(self, view: WorkerView) -> list[int]:
        """A batch that fits now, not yet taken from the queue."""
        if not self.queue or view.free_slots == 0:
            return []
        return self.admission[view.index].batch(view, self.candidates(view), self.skip)

    def take(self, batch: list[int]) -> Prefill:
        """Take the batch from the queue and prefill it."""
        keys, queue = self.keys, self.queue
        if len(batch) == 1 and queue[0][1] == batch[0]:
            del queue[0]
        else:
            for i in batch:
                queue.remove((keys[i], i))
        return Prefill(batch)

    def otherwise(self, view: WorkerView, wake: bool) -> Decision:
        """Decode on, or wait where nothing is active."""
        return Decode(None, wake) if view.started else Wait()

    def until_the_first_fits(self, view: WorkerView) -> int | None:
        """Rounds after which the first of the queue will fit without any completion; None: not so, or no slot."""
        if not view.started or not view.free_slots or not self.queue:
            return None
        first = next(self.candidates(view), None)
        return None if first is None else self.admission[view.index].rounds_to_wait(view, first)
