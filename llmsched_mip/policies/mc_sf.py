"""Memory-constrained shortest first (Jaillet, Jiang, Mellou, Molinaro, Podimata and Zhou, arXiv 2502.07115)."""

from __future__ import annotations

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.base import Problem
from llmsched_mip.policies.estimator import Estimator
from llmsched_mip.policies.queueing import Admission
from llmsched_mip.policies.shortest_first import ShortestFirst

MARGIN = 0.1


class PointEstimator(Estimator):
    """KV is set aside for the expected length, not for more: the margin is there for the error."""

    def longest(self, request: int, made: int = 0) -> int:
        """The expected length."""
        return self.length(request, made)


class MemoryConstrainedShortestFirst(ShortestFirst):
    """Running requests go on; of the waiting, the largest prefix by ascending length is started that keeps the KV
    cache feasible at every future completion.

    With known lengths and no margin these are the decisions of `ShortestFirst`: the two papers' names for one rule.
    Under prediction intervals the prediction is the expected length in the interval, raised as tokens come, and
    a share of the KV cache is kept free of admissions (the margin), except on an empty worker: 0.1 if nothing else
    is asked for.  Where the predictions still fall short, the request that started last is evicted; the paper leaves
    open which (its baselines clear all).

    Parameters
    ----------
    problem : Problem
    option : str, optional
        The margin, at least 0 and below 1.
    """

    def __init__(self, problem: Problem, option: str | None = None):
        super().__init__(problem)
        margin = (0.0 if problem.lengths.visible == "known" else MARGIN) if option is None else share(option)
        self.estimator = PointEstimator(problem.lengths)
        self.admission = [Admission(w, self.estimator, self.prompts, margin) for w in problem.workers]


def share(option: str) -> float:
    """The margin that an option says; raises `InvalidInputError`."""
    try:
        own = float(option)
    except ValueError:
        own = -1.0
    if not 0 <= own < 1:
        raise InvalidInputError("policy", f"mc-sf: expected a margin of at least 0 and below 1, got {option!r}")
    return own
