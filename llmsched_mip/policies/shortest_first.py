"""Shortest first."""

from __future__ import annotations

from typing import Any

from llmsched_mip.policies.fcfs import FirstComeFirstServed


class ShortestFirst(FirstComeFirstServed):
    """Prefill as soon as a slot is free, the shortest expected output per weight first; stop at the first that fails
    the forward check.

    With known lengths that is the order of the decode tokens d (over the weight ω where there are weights); in order
    of arrival where nothing is visible of the lengths.
    """

    def key(self, request: int, sequence: int) -> Any:
        """Ascending d / ω, then order of arrival."""
        if self.estimator.visible == "unknown":
            return 0.0, sequence
        return self.estimator.length(request) / float(self.problem.weight[request]), sequence

    def arrival_may_start(self) -> bool:
        """A shorter request stands in front of those that wait."""
        return True
