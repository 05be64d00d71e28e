"""A_min: start from the lower end of the prediction and refine as tokens come (arXiv 2508.14544)."""

from __future__ import annotations

from typing import Any

from llmsched_mip.policies.base import Decision, Evict, Problem, WorkerView
from llmsched_mip.policies.estimator import FixedEstimator, visible_interval
from llmsched_mip.policies.fcfs import FirstComeFirstServed
from llmsched_mip.policies.queueing import FixedAdmission


class AMin(FirstComeFirstServed):
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
        super().__init__(problem)
        self.estimate = visible_interval(problem)[0]
        self.estimator = FixedEstimator(problem.lengths, self.estimate)
        self.admission = [FixedAdmission(w, self.estimator, self.prompts) for w in problem.workers]

    def key(self, request: int, sequence: int) -> Any:
        """Ascending estimate, then order of arrival."""
        return self.estimate[request], sequence

    def arrived(self, request: int, time: float) -> None:
        """Queue the request; after an eviction with its raised estimate."""
        if request in self.keys:
            self.keys[request] = self.estimate[request], self.keys[request][1]
        super().arrived(request, time)

    def arrival_may_start(self) -> bool:
        """A shorter request stands in front of those that wait."""
        return True

    def decide(self, view: WorkerView) -> Decision:
        """Evict what overflows the next round, then prefill what fits, else decode."""
        return Evict(self.evict(view)) if view.overflows else super().decide(view)

    def evict(self, view: WorkerView) -> list[int]:
        """The active requests with the smallest estimates, as many as the next round needs."""
        made = {i: view.rounds - start for i, start in view.started.items()}
        order = sorted(made, key=lambda i: (max(self.estimate[i], made[i]), made[i], -self.sequence[i]))
        capacity = view.worker.kv_capacity
        after = view.kv_held + view.active
        victims: list[int] = []
        while capacity is not None and after > capacity:
            i = order[len(victims)]
            victims.append(i)
            after -= self.prompts[i] + made[i] + 1
            self.estimate[i] = max(self.estimate[i], made[i])
            self.admission[view.index].released(i)
        if view.active == 1:
            self.unfit[view.index].update(victims)
        return victims
