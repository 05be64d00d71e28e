"""A_min: start from the lower end of the prediction and refine as tokens come (arXiv 2508.14544)."""

from __future__ import annotations

from llmsched_mip.policies.parts.admission import fixed_admission
from llmsched_mip.policies.parts.backlog import Backlog, BacklogPolicy
from llmsched_mip.policies.parts.estimator import FixedEstimator, visible_interval
from llmsched_mip.policies.parts.list_scheduling import ListScheduling
from llmsched_mip.policies.protocol import Decision, Evict, Problem, WorkerView


class AMin(BacklogPolicy):
    """Estimate max(l, tokens so far); admit greedily by ascending estimate; on overflow evict by ascending estimate
    (Chen, Ye and Zhou, arXiv 2508.14544: log-competitive).

    At each iteration boundary: where one more round of all active requests would overflow the KV cache, active
    requests are evicted in ascending order of their estimates until the round fits.  Then waiting requests are
    admitted in ascending order of their estimates while the forward check holds with the estimates as lengths.  An
    evicted request keeps its raised estimate and starts from its prompt again.  The upper ends are never looked at.

    Choices where public text leaves a detail open: of equal estimates the request with the fewest tokens made is
    evicted first (least work lost), then the last to arrive; admission takes equal estimates by arrival; an
    active request past its estimate is expected to end with the next round.  Where nothing is visible, l = 1.
    """

    def __init__(self, problem: Problem):
        self.estimate = estimate = visible_interval(problem)[0]
        estimator = FixedEstimator(problem.lengths, estimate)
        admission = fixed_admission(problem, estimator)
        self.backlog = Backlog(
            problem, lambda i, number: (estimate[i], number), estimator, admission, keeps_place=False
        )
        self.scheduling = ListScheduling(self.backlog)

    def decide(self, view: WorkerView) -> Decision:
        """Evict what overflows the next round, then prefill what fits, else decode."""
        return Evict(self.evict(view)) if view.overflows else self.scheduling.decide(view)

    def evict(self, view: WorkerView) -> list[int]:
        """The active requests with the smallest estimates, as many as the next round needs."""
        made = {i: view.rounds - start for i, start in view.started.items()}
        number, prompts = self.backlog.queue.number, self.backlog.prompts
        order = sorted(made, key=lambda i: (max(self.estimate[i], made[i]), made[i], -number[i]))
        capacity = view.worker.kv_capacity
        after = view.kv_held + view.active
        victims: list[int] = []
        while capacity is not None and after > capacity:
            i = order[len(victims)]
            victims.append(i)
            after -= prompts[i] + made[i] + 1
            self.estimate[i] = max(self.estimate[i], made[i])
        self.backlog.evicted(victims, view)
        return victims
