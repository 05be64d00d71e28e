"""Estimates of decode lengths from what is visible, refined as tokens come and requests complete."""

from __future__ import annotations

import math
from bisect import bisect_right, insort

from llmsched_mip.policies.base import Lengths, WorkerView

PRIOR_MEAN = 256


class Estimator:
    """Expected lengths for one policy.

    With known lengths the estimate is the length.  With an interval [l, u] it is the mean of a log-uniform length
    in [max(l, tokens made + 1), u], and past u the tokens made times 1.25.  With nothing visible it is the mean of
    the completed lengths above the tokens made (mean residual life), or before any such is known twice the tokens
    made, at least 256.
    """

    def __init__(self, lengths: Lengths):
        self.visible = lengths.visible
        self.lower = None if lengths.lower is None else lengths.lower.tolist()
        self.upper = None if lengths.upper is None else lengths.upper.tolist()
        self.seen: list[int] = []

    @property
    def exact(self) -> bool:
        """Whether estimates are the lengths themselves."""
        return self.visible == "known"

    def observe(self, length: int) -> None:
        """Learn the length of a completed request."""
        if self.visible == "unknown":
            insort(self.seen, length)

    def length(self, request: int, made: int = 0) -> int:
        """Expected length in tokens of `request` that has made `made` tokens and is not complete: > `made`."""
        if self.lower is None or self.upper is None:
            return self._residual_mean(made)
        low, high = max(self.lower[request], made + 1), self.upper[request]
        if high <= low:
            return low if low > made + 1 or high == low else max(made + 1, made * 5 // 4)
        return max(low, round((high - low) / math.log(high / low)))

    def _residual_mean(self, made: int) -> int:
        first = bisect_right(self.seen, made)
        above = self.seen[first:]
        if above:
            return max(made + 1, round(sum(above) / len(above)))
        return max(PRIOR_MEAN, 2 * made)

    def completion_rate(self, view: WorkerView) -> float:
        """Expected completions per round among the active requests of a worker, for lengths that are not known.

        The hazard of a log-uniform length in [l, u] after k tokens is ``1 / (x ln(u / x))`` at x = max(l, k), and 0
        while k < l; with nothing visible, one over the mean residual life of the completed lengths.
        """
        rate = 0.0
        for i, start in view.started.items():
            made = view.rounds - start
            if self.lower is None or self.upper is None:
                rate += 1.0 / max(1, self._residual_mean(made) - made)
            elif made + 1 >= self.lower[i]:
                x, high = made + 1, self.upper[i]
                rate += 1.0 if x >= high else min(1.0, 1.0 / (x * math.log(high / x)))
        return rate
