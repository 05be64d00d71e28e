"""A_max: every output is taken to be as long as its prediction allows (arXiv 2508.14544)."""

from __future__ import annotations

from typing import Any

from llmsched_mip.policies.base import Problem
from llmsched_mip.policies.estimator import FixedEstimator, visible_interval
from llmsched_mip.policies.fcfs import FirstComeFirstServed
from llmsched_mip.policies.queueing import FixedAdmission


class AMax(FirstComeFirstServed):
    """Treat every output as u: ascending u, forward check with u (Chen, Ye and Zhou, arXiv 2508.14544).

    Never overflows the KV cache when the true lengths are at most u.  Choices where the paper has one interval for
    all requests: order by u, then by arrival.  A request that runs past a wrong u is expected to end with every
    round; if that overflows, the request that started last is evicted.  Where nothing is visible, u is what the
    largest KV cache holds beside the prompt.
    """

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self.estimator = FixedEstimator(problem.lengths, visible_interval(problem)[1])
        self.admission = [FixedAdmission(w, self.estimator, self.prompts) for w in problem.workers]

    def key(self, request: int, sequence: int) -> Any:
        """Ascending u, then order of arrival."""
        return self.estimator.length(request), sequence

    def arrival_may_start(self) -> bool:
        """A shorter request stands in front of those that wait."""
        return True
