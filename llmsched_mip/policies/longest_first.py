"""Longest first."""

from __future__ import annotations

from llmsched_mip.policies.fcfs import FirstComeFirstServed


class LongestFirst(FirstComeFirstServed):
    """Prefill as soon as a slot is free, the longest expected output first (LPT); in order of arrival where
    nothing is visible of the lengths."""

    def key(self, request: int, sequence: int) -> int:
        """Descending expected length, then order of arrival."""
        if self.estimator.visible == "unknown":
            return sequence
        return (MAX_LENGTH - self.estimator.length(request)) * MAX_REQUESTS + sequence

    def arrival_may_start(self) -> bool:
        """A longer request stands in front of those that wait."""
        return True


MAX_LENGTH = 2**32
MAX_REQUESTS = 2**40
