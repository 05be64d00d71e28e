"""A_max: every output is taken to be as long as its prediction allows (arXiv 2508.14544)."""

from __future__ import annotations

from llmsched_mip.policies.parts.admission import fixed_admission
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.estimator import FixedEstimator, visible_interval
from llmsched_mip.policies.parts.list_scheduling import ListScheduling
from llmsched_mip.policies.protocol import Problem


def a_max(problem: Problem) -> ListScheduling:
    """Treat every output as u: ascending u, forward check with u (Chen, Ye and Zhou, arXiv 2508.14544).

    Never overflows the KV cache when the true lengths are at most u.  Choices where the paper has one interval for
    all requests: order by u, then by arrival.  A request that runs past a wrong u is expected to end with every
    round; if that overflows, the request that started last is evicted.  Where nothing is visible, u is what the
    largest KV cache holds beside the prompt.
    """
    upper = visible_interval(problem)[1]
    estimator = FixedEstimator(problem.lengths, upper)
    admission = fixed_admission(problem, estimator)
    return ListScheduling(Backlog(problem, lambda i, number: (upper[i], number), estimator, admission))
