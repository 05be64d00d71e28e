"""The forward KV check that goes with an objective where lengths are hidden."""

from __future__ import annotations

from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.chance_admission import RISK, ChanceAdmission
from llmsched_mip.policies.parts.refill_admission import refill_admission
from llmsched_mip.policies.parts.survival import SurvivalEstimator
from llmsched_mip.policies.protocol import Problem, prompt_tokens


def hidden_admission(problem: Problem, estimator: SurvivalEstimator, risk: float = RISK) -> list[Admission]:
    """One for each worker: for the makespan refills are counted, since slots are to stay full; for the total completion
    they can be withheld, and only what runs counts."""
    if problem.objective == "makespan":
        return refill_admission(problem, estimator, risk)
    prompts = prompt_tokens(problem)
    return [ChanceAdmission(worker, estimator, prompts, risk) for worker in problem.workers]
