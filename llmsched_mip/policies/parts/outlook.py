"""What is left to do: expected tokens of the requests that wait, and the ends of those that run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from sortedcontainers import SortedList

from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.survival import active_arrays
from llmsched_mip.policies.protocol import Problem, WorkerView
from llmsched_mip.timing import FloatArray

AHEAD = np.unique(np.geomspace(1, 128, 24).astype(np.int64))


class Outlook:
    """Expected lengths of the requests that wait, and with known lengths the finish of every active request.

    Parameters
    ----------
    estimator : Estimator
    problem : Problem

    Attributes
    ----------
    expected : dict of int to int
        Expected length of every request that has arrived, tokens.
    longest : int
        The largest of those that wait or have waited since the last fit.
    waiting_weight : float
        Weight of the requests that wait.
    running_prefill, running_decode : list of int
        Tokens of the requests that run on each worker: prompts, and expected lengths as they were at their starts.
    """

    def __init__(self, estimator: Estimator, problem: Problem):
        self.estimator, workers = estimator, problem.workers
        self.waiting_weight = 0.0
        self.weights: list[float] = problem.weight.tolist()
        self.expected: dict[int, int] = {}
        self.longest = self._waiting_tokens = 0
        self.prompts: list[int] = problem.prefill_tokens.tolist()
        self.running_prefill, self.running_decode = [0] * len(workers), [0] * len(workers)
        self._all_slots = sum(worker.slots or 0 for worker in workers)
        self._finish: dict[int, int] = {}
        self._finishes: list[SortedList[tuple[int, int]]] = [SortedList() for _ in workers]
        self._finish_sum = [0] * len(workers)

    def arrived(self, request: int) -> None:
        """Note a request that waits."""
        length = self.expected[request] = self.estimator.length(request)
        self._waiting_tokens += length
        self.waiting_weight += self.weights[request]
        self.longest = max(self.longest, length)

    def renew(self, waiting: Iterable[int]) -> None:
        """Estimate all requests that wait anew."""
        lengths = {i: self.estimator.length(i) for i in waiting}
        self.expected.update(lengths)
        self._waiting_tokens = sum(lengths.values())
        self.longest = max(lengths.values(), default=self.longest)

    def started(self, batch: list[int], view: WorkerView) -> None:
        """Note a prefill."""
        exact, finishes = self.estimator.exact, self._finishes[view.index]
        for i in batch:
            length = self.expected[i]
            self._waiting_tokens -= length
            self.waiting_weight -= self.weights[i]
            self.running_prefill[view.index] += self.prompts[i]
            self.running_decode[view.index] += length
            if exact:
                finish = self._finish[i] = view.rounds + length
                finishes.add((finish, i))
                self._finish_sum[view.index] += finish

    def stopped(self, request: int, view: WorkerView) -> None:
        """Note a completion or an eviction."""
        self.running_prefill[view.index] -= self.prompts[request]
        self.running_decode[view.index] -= self.expected[request]
        finish = self._finish.pop(request, None)
        if finish is not None:
            self._finishes[view.index].remove((finish, request))
            self._finish_sum[view.index] -= finish

    def next_ends(self, view: WorkerView, most: int) -> list[tuple[int, int]]:
        """The next completions of a worker, at most `most`: rounds until each, and its request; lengths are known."""
        return [(finish - view.rounds, i) for finish, i in self._finishes[view.index].islice(0, most)]

    def rounds_left(self, view: WorkerView) -> float:
        """Expected rounds of the worker until all is done, with its share of the waiting requests by slots."""
        if not view.slots:
            return 0.0
        waiting = self._waiting_tokens * view.slots / self._all_slots
        return (waiting + self._active_tokens(view)) / view.slots

    def _active_tokens(self, view: WorkerView) -> float:
        """Expected tokens that the active requests have still to make."""
        if self.estimator.exact:
            return self._finish_sum[view.index] - len(self._finishes[view.index]) * view.rounds
        return float(self.estimator.remaining(view)[0].sum())

    def completions_ahead(self, view: WorkerView) -> tuple[FloatArray, FloatArray]:
        """Rounds ahead, and the completions that are expected until each of them: two arrays of one shape."""
        requests, made = active_arrays(view)
        ends = len(requests) - self.estimator.alive(requests, made, AHEAD + 1).sum(axis=0)
        return AHEAD.astype(np.float64), ends

    def rounds_to_completions(self, view: WorkerView, most: int) -> FloatArray:
        """Expected rounds until the 1st, 2nd, ... completion, at most `most` of them; exact when lengths are known."""
        if self.estimator.exact:
            ends = self._finishes[view.index].islice(0, most)
            return np.array([finish - view.rounds for finish, _ in ends], dtype=np.float64)
        rate = float(self.estimator.remaining(view)[1].sum())
        return np.arange(1, min(most, view.active) + 1) / rate if rate > 0 else np.empty(0)
