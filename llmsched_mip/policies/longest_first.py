"""Longest first."""

from __future__ import annotations

from llmsched_mip.policies.parts import keys
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.list_scheduling import ListScheduling, least_batch
from llmsched_mip.policies.parts.ranking import Renewal
from llmsched_mip.policies.parts.survival import estimator_for
from llmsched_mip.policies.protocol import Problem


def longest_first(problem: Problem, option: str | None = None) -> ListScheduling:
    """Prefill as soon as a slot is free, the longest expected output first (LPT); in order of arrival where
    nothing is visible of the lengths."""
    estimator = estimator_for(problem)
    backlog = Backlog(problem, keys.longest_first(estimator), estimator)
    return ListScheduling(backlog, Renewal(estimator), least=least_batch(option))
