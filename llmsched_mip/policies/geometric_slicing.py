"""Geometric slicing: no predictions; a request runs in slices that double, and is restarted between them."""

from __future__ import annotations

from sortedcontainers import SortedList

from llmsched_mip.policies.parts.admission import fixed_admission
from llmsched_mip.policies.parts.backlog import Backlog, BacklogPolicy
from llmsched_mip.policies.parts.estimator import FixedEstimator, visible_interval
from llmsched_mip.policies.protocol import Decision, Decode, Evict, Problem, Wait, WorkerView, prompt_tokens
from llmsched_mip.timing import request_kv_volume, rounds_within_volume


class GeometricSlicing(BacklogPolicy):
    """Run every request for a slice; one that is not complete at its end is evicted and waits for a slice of twice
    the size.  Looks at no lengths, whatever is visible, and never overflows the KV cache.

    After the Geometric Slicing Algorithm (Feng, Yang and Zhang, arXiv 2601.22996; competitive ratio at most 61.92 for
    a backlog in the unit-round model).  Its public summary says: geometric phases that restart requests to bound
    what they can hold, and staggered starts that smooth the memory.  The details here are ours, so the ratio is not
    claimed: the slice of request i in phase k is the most rounds whose KV volume p t + t (t + 1) / 2 is at most 2^k,
    its first phase the first with a round; earlier phases go first, then shorter slices, then by arrival; starts are
    staggered by the forward check with the slice as length.  Without a KV limit slices have no end.
    """

    def __init__(self, problem: Problem):
        blind, self.prompts = problem.blind(), prompt_tokens(problem)
        self.most = visible_interval(blind)[1]
        self.phase = [(request_kv_volume(p, 1) - 1).bit_length() for p in self.prompts]
        self.slice = [self._rounds(i) for i in range(len(self.prompts))]
        estimator = FixedEstimator(blind.lengths, self.slice)
        self.backlog = Backlog(problem, self._key, estimator, fixed_admission(problem, estimator), keeps_place=False)
        self.ends: list[SortedList[tuple[int, int]]] = [SortedList() for _ in problem.workers]
        self.end: dict[int, int] = {}

    def _rounds(self, request: int) -> int:
        """Rounds of the next slice."""
        return min(self.most[request], rounds_within_volume(self.prompts[request], 2 ** self.phase[request]))

    def _lengthen(self, request: int) -> None:
        """Go on to the next phase with a longer slice."""
        before = self.slice[request]
        while self.slice[request] == before < self.most[request]:
            self.phase[request] += 1
            self.slice[request] = self._rounds(request)

    def _key(self, request: int, number: int) -> tuple[int, int, int]:
        """Ascending phase, then slice, then order of arrival."""
        return self.phase[request], self.slice[request], number

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Forget the slice."""
        super().completed(request, length, view)
        self._forget(request, view)

    def _forget(self, request: int, view: WorkerView) -> None:
        self.ends[view.index].remove((self.end.pop(request), request))

    def decide(self, view: WorkerView) -> Decision:
        """Evict what is at the end of its slice, prefill what fits, else decode until the next end."""
        ends, capacity = self.ends[view.index], view.worker.kv_capacity
        if ends and ends[0][0] <= view.rounds:
            return Evict(self.evict(view))
        batch = self.backlog.choose(view)
        if not batch:
            if not view.started:
                return Wait()
            rounds, left = self.backlog.until_the_first_fits(view), ends[0][0] - view.rounds
            return Decode(left if rounds is None else min(rounds, left), wake=view.free_slots > 0)
        for i in batch:
            rounds = self.slice[i] if capacity is None else min(self.slice[i], capacity - self.prompts[i])
            self.end[i] = view.rounds + rounds
            ends.add((self.end[i], i))
        return self.backlog.take(batch)

    def evict(self, view: WorkerView) -> list[int]:
        """Requests at the end of their slices; one that a larger slice cannot help on this worker leaves it."""
        ends = self.ends[view.index]
        victims = [i for _, i in ends.irange(maximum=(view.rounds, len(self.prompts)))]
        for i in victims:
            if view.rounds - view.started[i] < self.slice[i]:
                self.backlog.unfit[view.index].add(i)
            else:
                self._lengthen(i)
            self._forget(i, view)
            self.backlog.admission[view.index].released(i)
        return victims
