"""Execute a plan's stages as written."""

from __future__ import annotations

import numpy as np

from llmsched_mip.errors import InvalidInputError, InvalidPlanError
from llmsched_mip.plan import Stage
from llmsched_mip.policies.protocol import Decision, Decode, Policy, Prefill, Problem, Wait, WorkerView, decode_or_wait


class FollowPlan(Policy):
    """Each worker runs its stages: prefill when all requests of the stage have arrived, then its rounds.

    Lengths are not looked at: where the plan does not fit what happens, the executor stops with an error.

    Raises
    ------
    InvalidPlanError
        A request appears more than once: the execution would end before its second stage and not notice.
    """

    def __init__(self, problem: Problem):
        if problem.plan is None:
            raise InvalidInputError("plan", "policy 'plan' needs a plan")
        stages = {worker_plan.name: list(worker_plan) for worker_plan in problem.plan.workers}
        self.stages: list[list[Stage]] = [stages.get(worker.name, []) for worker in problem.workers]
        named = np.concatenate([np.zeros(0, dtype=np.int64), *(part.requests for part in problem.plan.workers)])
        twice = np.flatnonzero(np.bincount(named[named >= 0]) > 1)
        if len(twice):
            raise InvalidPlanError(f"policy 'plan': request number {twice[0] + 1} appears more than once")
        self.next = [0] * len(self.stages)
        self.until = [0] * len(self.stages)
        self.here: set[int] = set()

    def arrived(self, request: int, time: float) -> None:
        """Note an arrival."""
        self.here.add(request)

    def evict(self, view: WorkerView) -> list[int]:
        """A plan never evicts: the executor stops with an error."""
        return []

    def decide(self, view: WorkerView) -> Decision:
        """Finish the rounds of the stage, then prefill the next as soon as it may start."""
        w = view.index
        if view.rounds < self.until[w] and view.started:
            return Decode(self.until[w] - view.rounds, wake=False)
        if self.next[w] == len(self.stages[w]):
            return decode_or_wait(view, wake=False)
        stage = self.stages[w][self.next[w]]
        if not self.here.issuperset(stage.requests):
            return Wait()
        if view.time < stage.not_before_s:
            return Wait(stage.not_before_s)
        self.next[w] += 1
        self.until[w] = view.rounds + stage.rounds
        return Prefill(stage.requests, stage.slots)
