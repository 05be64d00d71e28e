"""Estimates of decode lengths from what is visible, refined as tokens come and requests complete."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from llmsched_mip.instance import MAX_TOKENS
from llmsched_mip.policies.protocol import Lengths, Problem, WorkerView
from llmsched_mip.timing import FloatArray, IntArray

PRIOR_MEAN = 256
OVERRUN = 1.25
LARGEST = 2**17


class Estimator:
    """Expected lengths for one policy.

    With known lengths the estimate is the length.  With an interval [l, u] it is the mean of a log-uniform length
    in [max(l, tokens made + 1), u], and past u the tokens made times 1.25.  With nothing visible it is the mean of
    the completed lengths above the tokens made (mean residual life), or before any such is known twice the tokens
    made, at least 256.
    """

    def __init__(self, lengths: Lengths):
        self.visible = lengths.visible
        self.lower: list[int] | None = None if lengths.lower is None else lengths.lower.tolist()
        self.upper: list[int] | None = None if lengths.upper is None else lengths.upper.tolist()
        self.low, self.high = lengths.lower, lengths.upper
        self.seen = _Seen()
        self.version = 0

    @property
    def exact(self) -> bool:
        """Whether estimates are the lengths themselves."""
        return self.visible == "known"

    def observe(self, length: int) -> None:
        """Learn the length of a completed request."""
        if self.visible == "unknown":
            self.seen.add(length)

    def note(self, request: int, length: int, view: WorkerView) -> None:
        """Note a completion on the worker of `view`."""
        self.observe(length)

    def lose(self, request: int, made: int, view: WorkerView | None = None) -> None:
        """Note an eviction after `made` tokens, from the worker of `view`."""

    def length(self, request: int, made: int = 0) -> int:
        """Expected length in tokens of `request` that has made `made` tokens and is not complete: > `made`."""
        if self.lower is None or self.upper is None:
            return self._residual_mean(made)
        low, high = max(self.lower[request], made + 1), self.upper[request]
        if high <= low:
            return low if low > made + 1 or high == low else max(made + 1, round(made * OVERRUN))
        return max(low, round((high - low) / math.log(high / low)))

    def longest(self, request: int, made: int = 0) -> int:
        """Length in tokens to set KV aside for: halfway from the estimate to the upper end of the interval."""
        estimate = self.length(request, made)
        if self.upper is None:
            return estimate
        return max(estimate, (estimate + self.upper[request]) // 2)

    def _residual_mean(self, made: int) -> int:
        count, tokens = self.seen.above(made)
        if count:
            mean: float = tokens / count
            return max(made + 1, round(mean))
        return max(PRIOR_MEAN, 2 * made)

    def remaining(self, view: WorkerView) -> tuple[FloatArray, FloatArray]:
        """Of the active requests of a worker: expected tokens still to make, and the rate of completion per round.

        The rate is the hazard of the length: ``1 / (x ln(u / x))`` at x = max(l, tokens made + 1) for a log-uniform
        length in [l, u], and 0 before l; with nothing visible, one over the mean residual life.  Both have shape
        (active,).
        """
        count = len(view.started)
        made = view.rounds - np.fromiter(view.started.values(), dtype=np.int64, count=count)
        if self.low is None or self.high is None:
            left = self._residuals(made)
            return left, 1.0 / left
        requests = np.fromiter(view.started.keys(), dtype=np.int64, count=count)
        x, high = np.maximum(self.low[requests], made + 1), self.high[requests]
        inside = high > x
        ratio = np.where(inside, np.log(np.where(inside, high / x, math.e)), 1.0)
        mean = np.where(inside, (high - x) / ratio, np.maximum(x, made * OVERRUN))
        due = self.low[requests] <= made + 1
        rate = np.where(due, np.minimum(1.0, 1.0 / (np.where(inside, x, 1) * ratio)), 0.0)
        return np.maximum(1.0, mean - made), rate

    def alive(self, requests: IntArray, made: IntArray, ahead: IntArray) -> FloatArray:
        """Chance that each request still runs in the round `ahead` from now, shape (requests, ahead): 0 or 1, for the
        expected length."""
        lengths = np.array([self.length(i, k) for i, k in zip(requests.tolist(), made.tolist(), strict=True)])
        return (lengths[:, None] >= made[:, None] + ahead[None, :]).astype(np.float64)

    def quantile(self, request: int, made: int, share: float) -> int:
        """The least length that the request, which has made `made` tokens, exceeds with a chance of 1 - `share`: here
        the expected length."""
        return self.length(request, made)

    def sample(self, rng: np.random.Generator, requests: IntArray, made: IntArray, count: int) -> IntArray:
        """Draw `count` times the lengths of requests that have made so many tokens: shape (count, m), each > `made`;
        here the expected ones."""
        lengths = [self.length(i, k) for i, k in zip(requests.tolist(), made.tolist(), strict=True)]
        return np.tile(np.array(lengths, dtype=np.int64), (count, 1))

    def _residuals(self, made: IntArray) -> FloatArray:
        count, tokens = self.seen.above(made)
        mean = tokens / np.maximum(count, 1)
        expected = np.where(count > 0, mean, np.maximum(PRIOR_MEAN, 2 * made))
        return np.maximum(1.0, expected - made)


class _Seen:
    """Completed lengths: how many are above a number of tokens, and their sum, by table.

    Nothing is known above `LARGEST` tokens: the table ends there.
    """

    def __init__(self) -> None:
        self._table = np.zeros((2, PRIOR_MEAN), dtype=np.int64)

    def add(self, length: int) -> None:
        """Count one more length."""
        end = min(length, LARGEST)
        size = self._table.shape[1]
        if end >= size:
            self._table = np.pad(self._table, ((0, 0), (0, 2 * end - size)))
        self._table[0, :end] += 1
        self._table[1, :end] += length

    def above(self, made: Any) -> Any:
        """Count and sum of the lengths above `made`, a scalar or an array: shape (2,) or (2, m)."""
        return self._table[:, np.minimum(made, self._table.shape[1] - 1)]


class FixedEstimator(Estimator):
    """One given number for each request, whatever is visible; past it, one token more than what is made.

    Parameters
    ----------
    lengths : Lengths
    values : list of int
        Shape (n,), tokens; may be changed while it is used.
    """

    def __init__(self, lengths: Lengths, values: list[int]):
        super().__init__(lengths)
        self.values = values
        if self.visible == "unknown":
            self.visible = "interval"

    def length(self, request: int, made: int = 0) -> int:
        """The number given, or `made` + 1."""
        return max(self.values[request], made + 1)

    def longest(self, request: int, made: int = 0) -> int:
        """The same."""
        return self.length(request, made)


def visible_interval(problem: Problem) -> tuple[list[int], list[int]]:
    """Ends l and u of what is visible of each length, each of shape (n,), tokens.

    Where nothing is visible: 1, and what the largest KV cache holds beside the prompt, or the most that any request
    may have, which no length of a feasible instance exceeds.
    """
    lengths, prompts = problem.lengths, problem.prefill_tokens
    if lengths.lower is not None and lengths.upper is not None:
        return lengths.lower.tolist(), lengths.upper.tolist()
    capacities = [worker.kv_capacity for worker in problem.workers]
    most = np.full(len(prompts), MAX_TOKENS)
    if None not in capacities:
        largest = max(c for c in capacities if c is not None)
        most = np.clip(largest - prompts, 1, MAX_TOKENS)
    return [1] * len(prompts), most.tolist()
