"""Which of several workers is to take a request: where its prefill stalls few and its own tokens come quickly."""

from __future__ import annotations

import math

from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.protocol import Problem, WorkerView, prompt_tokens

MEMORY_S = 30.0
PATIENCE_S = 1.0
"""So long, at most, a request waits for a worker that suits it better."""


class RollingPlacement:
    """What it costs to run a request on each worker: ``A s + d r``, with A requests active there that its prefill of s
    seconds stalls, and r the seconds of a decode round there, with all that comes between two rounds.

    So long prompts of short outputs gather where few decode, and long outputs where few prompts interrupt them.

    Parameters
    ----------
    problem : Problem
    estimator : Estimator
    """

    def __init__(self, problem: Problem, estimator: Estimator):
        self.workers, self.estimator, self.prompts = problem.workers, estimator, prompt_tokens(problem)
        count = len(problem.workers)
        self._seconds, self._rounds = [0.0] * count, [0.0] * count
        self._last: list[tuple[float, int, int, int, int]] = [(0.0, 0, 0, 0, 1)] * count

    def observe(self, view: WorkerView) -> None:
        """Note the state of a worker that decides."""
        w = view.index
        before, rounds, active = self._last[w][:3]
        passed = view.time - before
        if active and passed > 0:
            kept = math.exp(-passed / MEMORY_S)
            self._seconds[w] = kept * self._seconds[w] + passed
            self._rounds[w] = kept * self._rounds[w] + view.rounds - rounds
        self._last[w] = view.time, view.rounds, view.active, view.kv_held, view.free_slots

    def taken(self, batch: list[int], view: WorkerView) -> None:
        """Note a prefill, so that others see at once what will be active and held."""
        time, rounds, active, held, free = self._last[view.index]
        tokens = sum(self.prompts[i] for i in batch)
        self._last[view.index] = time, rounds, active + len(batch), held + tokens, free - len(batch)

    def _round_s(self, w: int) -> float:
        if self._rounds[w] > 0:
            return self._seconds[w] / self._rounds[w]
        return float(self.workers[w].decode_time.round_seconds(self._last[w][2], self._last[w][3]))

    def elsewhere(self, request: int, view: WorkerView, waited_s: float) -> bool:
        """Whether another worker with room suits the request better by more than a round of waiting."""
        if waited_s > PATIENCE_S:
            return False
        prompt, length = self.prompts[request], self.estimator.length(request)
        here = self._cost(view.index, prompt, length) - self._round_s(view.index)
        return any(
            w != view.index and self._room(w, prompt, length) and self._cost(w, prompt, length) < here
            for w in range(len(self.workers))
        )

    def _cost(self, w: int, prompt: int, length: int) -> float:
        stall = self.workers[w].prefill_time.least_seconds(prompt)
        return self._last[w][2] * stall + length * self._round_s(w)

    def _room(self, w: int, prompt: int, length: int) -> bool:
        _, _, active, held, free = self._last[w]
        capacity, cap = self.workers[w].kv_capacity, self.workers[w].max_prefill_tokens
        if free <= 0 or (cap is not None and prompt > cap):
            return False
        return capacity is None or held + (active + 1) * length / 2 + prompt <= capacity
