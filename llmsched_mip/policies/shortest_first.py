"""Shortest first, and the two papers' names for it: MC-SF and, in hindsight, H-SF."""

from __future__ import annotations

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.parts import keys
from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.list_scheduling import ListScheduling, least_batch
from llmsched_mip.policies.parts.ranking import Renewal
from llmsched_mip.policies.parts.survival import estimator_for
from llmsched_mip.policies.protocol import Problem, prompt_tokens

MARGIN = 0.1


def shortest_first(problem: Problem, option: str | None = None) -> ListScheduling:
    """Prefill as soon as a slot is free, the shortest expected output per weight first; stop at the first that fails
    the forward check.

    With known lengths that is the order of the decode tokens d (over the weight ω where there are weights); in order
    of arrival where nothing is visible of the lengths.
    """
    estimator = estimator_for(problem)
    backlog = Backlog(problem, keys.shortest_first(problem, estimator), estimator)
    return ListScheduling(backlog, Renewal(estimator), least=least_batch(option))


def hindsight_shortest_first(problem: Problem) -> ListScheduling:
    """Shortest first by the true lengths (H-SF of Chen, Ye and Zhou, arXiv 2508.14544).

    Raises
    ------
    InvalidInputError
        When the lengths are not known.
    """
    if problem.lengths.visible != "known":
        raise InvalidInputError("policy", "h-sf is a reference in hindsight: it needs lengths 'known'")
    return shortest_first(problem)


def memory_constrained_shortest_first(problem: Problem, option: str | None = None) -> ListScheduling:
    """MC-SF (Jaillet, Jiang, Mellou, Molinaro, Podimata and Zhou, arXiv 2502.07115): running requests go on; of the
    waiting, the largest prefix by ascending length is started that keeps the KV cache feasible at every future
    completion.

    With known lengths and no margin these are the decisions of `shortest_first`: the two papers' names for one rule.
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
    margin = (0.0 if problem.lengths.visible == "known" else MARGIN) if option is None else share(option)
    estimator, prompts = _PointEstimator(problem.lengths), prompt_tokens(problem)
    admission = [Admission(worker, estimator, prompts, margin) for worker in problem.workers]
    return ListScheduling(Backlog(problem, keys.shortest_first(problem, estimator), estimator, admission))


class _PointEstimator(Estimator):
    """KV is set aside for the expected length, not for more: the margin is there for the error."""

    def longest(self, request: int, made: int = 0) -> int:
        """The expected length."""
        return self.length(request, made)


def share(option: str) -> float:
    """The margin that an option says; raises `InvalidInputError`."""
    try:
        margin = float(option)
    except ValueError:
        margin = -1.0
    if not 0 <= margin < 1:
        raise InvalidInputError("policy", f"mc-sf: expected a margin of at least 0 and below 1, got {option!r}")
    return margin
