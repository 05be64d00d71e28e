"""What fits a worker now, and will fit it until all that runs has ended."""

from __future__ import annotations

from collections.abc import Iterable

from llmsched_mip.instance import Worker
from llmsched_mip.policies.parts.estimator import Estimator, FixedEstimator
from llmsched_mip.policies.parts.kv_profile import KVProfile
from llmsched_mip.policies.parts.queue import WaitingQueue
from llmsched_mip.policies.protocol import Problem, WorkerView, prompt_tokens


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

    def follow(self, queue: WaitingQueue, share: float) -> None:
        """Take note of the queue that requests come from, and of this worker's share of it."""

    def retract(self, batch: Iterable[int]) -> None:
        """Undo the admission of a batch that is not prefilled after all."""
        for i in batch:
            self.released(i)

    def completed(self, request: int) -> None:
        """Note a completion."""
        self.released(request)

    def released(self, request: int) -> None:
        """Free what was set aside for a request."""
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


def fixed_admission(problem: Problem, estimator: FixedEstimator) -> list[Admission]:
    """`FixedAdmission` for every worker."""
    prompts = prompt_tokens(problem)
    return [FixedAdmission(worker, estimator, prompts) for worker in problem.workers]
