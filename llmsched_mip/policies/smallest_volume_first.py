"""Smallest volume first (arXiv 2606.22327)."""

from __future__ import annotations

from llmsched_mip.policies.parts import keys
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.list_scheduling import ListScheduling, least_batch
from llmsched_mip.policies.parts.ranking import Renewal
from llmsched_mip.policies.parts.survival import estimator_for
from llmsched_mip.policies.protocol import Problem


def smallest_volume_first(problem: Problem, option: str | None = None) -> ListScheduling:
    """Ascending KV volume p d + d (d + 1) / 2, stop at the first that fails the forward check.

    In the unit-round model, for a backlog with unit weights, the total completion is at most 1 + 2 / (1 - α) times
    the optimum when every p + d is at most α M (as stated in arXiv 2606.22327).  With weights: volume over weight.
    Where lengths are not known, the volume of the expected length.
    """
    estimator = estimator_for(problem)
    backlog = Backlog(problem, keys.smallest_volume_first(problem, estimator), estimator)
    return ListScheduling(backlog, Renewal(estimator), least=least_batch(option))
