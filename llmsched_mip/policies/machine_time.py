"""Smallest machine time first: Smith's rule on what a request takes of a full worker."""

from __future__ import annotations

from llmsched_mip.policies.parts import keys
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.list_scheduling import ListScheduling, least_batch
from llmsched_mip.policies.parts.ranking import Renewal
from llmsched_mip.policies.parts.survival import estimator_for
from llmsched_mip.policies.protocol import Problem


def machine_time(problem: Problem, option: str | None = None) -> ListScheduling:
    """Ascending machine time over weight, stop at the first that fails the forward check.

    The machine time is what a request takes of a worker that is full (`timing.work_seconds`): its prompt at the slope
    of the prefill time, its per-sequence and per-KV-token decode time, and its share of the decode rounds by slots or
    by KV volume, whichever is more; of several workers the least.  Where only rounds take time and the KV cache
    binds, the order is that of `svf`, where slots bind that of `shortest-first`; those keys ignore prefill time.
    Where lengths are not known, of the expected length.
    """
    estimator = estimator_for(problem)
    backlog = Backlog(problem, keys.smallest_machine_time_first(problem, estimator), estimator)
    return ListScheduling(backlog, Renewal(estimator), least=least_batch(option))
