"""What is expected of requests that have not started: chances that they still run, in a table by rounds ahead."""

from __future__ import annotations

import numpy as np

from llmsched_mip.instance import MAX_TOKENS
from llmsched_mip.policies.parts.survival import SurvivalEstimator
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.timing import FloatArray, IntArray, work_seconds

HORIZONS = 24


class Lives:
    """Chances that requests still run in rounds ahead, spread geometrically up to what a KV cache can hold.

    The rows of what waits are kept until the estimator has learnt more.

    Parameters
    ----------
    problem : Problem
        With lengths that are not known.
    estimator : SurvivalEstimator
    """

    def __init__(self, problem: Problem, estimator: SurvivalEstimator):
        self.problem, self.estimator, self.prompts = problem, estimator, problem.prefill_tokens
        capacities = [worker.kv_capacity or MAX_TOKENS for worker in problem.workers]
        most = max(2, min(MAX_TOKENS, max(capacities), _longest(problem)))
        self.ahead: IntArray = np.unique(np.geomspace(1, most, HORIZONS).astype(np.int64))
        n, rounds = len(self.prompts), len(self.ahead)
        self._chance, self._version = np.zeros((n, rounds)), np.full(n, -1)

    def chance(self, requests: IntArray) -> FloatArray:
        """Chances that requests which start now run in the rounds ahead: shape (m, H)."""
        old = requests[self._version[requests] != self.estimator.version]
        if len(old):
            self._chance[old] = self.estimator.alive(old, np.zeros(len(old), dtype=np.int64), self.ahead)
            self._version[old] = self.estimator.version
        return self._chance[requests]

    def load(self, requests: IntArray, made: IntArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the KV tokens that active requests hold in the rounds ahead, each of shape (m, H)."""
        return self._moments(self.estimator.alive(requests, made, self.ahead), self.prompts[requests] + made)

    def waiting_load(self, requests: IntArray) -> tuple[FloatArray, FloatArray]:
        """The same of requests that would start now."""
        return self._moments(self.chance(requests), self.prompts[requests])

    def _moments(self, chance: FloatArray, held: IntArray) -> tuple[FloatArray, FloatArray]:
        tokens = held[:, None] + self.ahead[None, :]
        mean = chance * tokens
        return mean, mean * tokens * (1.0 - chance)

    def work(self, requests: IntArray) -> FloatArray:
        """Expected machine time (`timing.work_seconds`, of several workers the least), shape (m,), seconds."""
        chance = self.chance(requests)
        lengths = np.broadcast_to(self.ahead, chance.shape)
        prompts = np.broadcast_to(self.prompts[requests, None], chance.shape)
        each = machine_seconds(self.problem, prompts.ravel(), lengths.ravel()).reshape(chance.shape)
        least = machine_seconds(self.problem, self.prompts[requests], np.ones(len(requests), dtype=np.int64))
        # The rounds between two of the table are run with the chance of the later one, on the average of both ends.
        between = (chance[:, :-1] + chance[:, 1:]) / 2
        return np.asarray(least + (np.diff(each, axis=1) * between).sum(axis=1))


def _longest(problem: Problem) -> int:
    upper = problem.lengths.upper
    return MAX_TOKENS if upper is None else 2 * int(upper.max(initial=1))


def machine_seconds(problem: Problem, prompts: IntArray, lengths: IntArray) -> FloatArray:
    """Machine time of requests with these lengths, shape (n,): the least over the kinds of workers, seconds."""
    kinds = {worker.kind: worker for worker in problem.workers}.values()
    each = [work_seconds(w.prefill_time, w.decode_time, prompts, lengths, w.slots, w.kv_capacity) for w in kinds]
    return np.asarray(np.minimum.reduce(each))
