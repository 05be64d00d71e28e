"""The order of a plan: expected machine time over weight, less for what has waited long against order of arrival."""

from __future__ import annotations

import numpy as np

from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.rolling_lives import Lives, machine_seconds
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.timing import FloatArray, IntArray

EFFICIENCY = 0.9
"""Share of a full worker's rate that order of arrival is taken to reach."""
STEEPNESS = 4.0
PRIOR_S = 5.0


class RollingOrder:
    """Priorities of what waits, smallest first.

    A request of age t has the priority ``E[machine time] / weight / (1 + (t / T)**4)``: little is lost by age at first,
    and past T it soon stands in front.  T is a multiple of the latency that order of arrival would give at that time:
    the machine time of all that is in the system, over the rate at which full workers do it.

    Parameters
    ----------
    problem : Problem
    estimator : Estimator
    lives : Lives or None
        For hidden lengths.
    ageing : float
        The multiple; 0: no ageing.
    """

    def __init__(self, problem: Problem, estimator: Estimator, lives: Lives | None, ageing: float):
        self.problem, self.estimator, self.lives, self.ageing = problem, estimator, lives, ageing
        n = len(problem.prefill_tokens)
        self.work, self.since, self.weight = np.zeros(n), np.full(n, np.inf), problem.weight
        self.present_s = self.done_s = self.done_expected_s = 0.0
        self._within: dict[int, float] = {}

    def arrived(self, request: int, time: float) -> None:
        """Note a request that waits: for the first time, or after an eviction."""
        if request in self._within:
            return
        self.since[request] = time
        self.work[request] = work = float(self._work(np.array([request]))[0])
        self._within[request] = work
        self.present_s += work

    def completed(self, request: int, length: int) -> None:
        """Note a completion."""
        expected = self._within.pop(request, 0.0)
        self.present_s -= expected
        self.done_expected_s += expected
        prompt = self.problem.prefill_tokens[request : request + 1]
        self.done_s += float(machine_seconds(self.problem, prompt, np.array([length]))[0])

    def _work(self, requests: IntArray) -> FloatArray:
        if self.lives is not None:
            return self.lives.work(requests)
        lengths = np.array([self.estimator.length(i) for i in requests.tolist()], dtype=np.int64)
        return machine_seconds(self.problem, self.problem.prefill_tokens[requests], lengths)

    @property
    def patience_s(self) -> float:
        """T, seconds."""
        off = (self.done_s + PRIOR_S) / (self.done_expected_s + PRIOR_S)
        return self.ageing * off * self.present_s / (EFFICIENCY * len(self.problem.workers))

    def first_key(self, request: int, number: int) -> tuple[float, int]:
        """Place of a request that no plan has seen."""
        return float(self.work[request] / self.weight[request]), number

    def priorities(self, requests: IntArray, time: float) -> FloatArray:
        """Priorities at `time`, shape (m,)."""
        if self.lives is not None:
            self.work[requests] = self._work(requests)
        value = self.work[requests] / self.weight[requests]
        patience = self.patience_s
        if patience <= 0:
            return np.asarray(value)
        age = np.maximum(0.0, time - self.since[requests])
        return np.asarray(value / (1.0 + (age / patience) ** STEEPNESS))

    def overdue(self, request: int, time: float) -> bool:
        """Whether a request is so old that none may pass it."""
        return self.ageing > 0 and time - self.since[request] > self.patience_s
