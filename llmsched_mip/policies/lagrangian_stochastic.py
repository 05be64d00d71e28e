"""The hybrid method's online rule on the conditional distribution of the remaining lengths."""

from __future__ import annotations

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.lagrangian import Lagrangian
from llmsched_mip.policies.parts.chance_admission import ChanceAdmission
from llmsched_mip.policies.parts.queue import WaitingQueue
from llmsched_mip.policies.parts.refill_admission import refill_admission
from llmsched_mip.policies.parts.survival import SurvivalEstimator
from llmsched_mip.policies.protocol import Decision, Policy, Problem, WorkerView, prompt_tokens

RISK = 0.05


def lagrangian_stochastic(problem: Problem, option: str | None = None) -> Policy:
    """`StochasticLagrangian`; with known lengths `Lagrangian`.

    Parameters
    ----------
    problem : Problem
    option : str, optional
        Accepted risk of an overflow in a round ahead, above 0 and at most 0.5; 0.05 if nothing else is asked for.
    """
    accepted = RISK if option is None else risk(option)
    return Lagrangian(problem) if problem.lengths.visible == "known" else StochasticLagrangian(problem, accepted)


class StochasticLagrangian(Policy):
    """`Lagrangian` that plans on the distribution of the remaining lengths instead of a single estimate.

    Expected lengths, rates of completion and the KV check come from the survival function that is learnt as requests
    complete (`SurvivalEstimator`; for the makespan `RefillAdmission`, else `ChanceAdmission`): the first extension
    that the hybrid method's paper names. An overflow is answered by evicting the request that started last.

    Parameters
    ----------
    problem : Problem
        With lengths that are not known.
    risk : float
        Accepted risk of an overflow in a round ahead.
    """

    def __init__(self, problem: Problem, risk: float):
        self.survival, prompts = SurvivalEstimator(problem.lengths, problem.prefill_tokens), prompt_tokens(problem)
        if problem.objective == "makespan":
            admission = refill_admission(problem, self.survival, risk)
        else:
            admission = [ChanceAdmission(w, self.survival, prompts, risk) for w in problem.workers]
        self.rule = Lagrangian(problem, self.survival, admission)

    def arrived(self, request: int, time: float) -> None:
        """Queue the request."""
        self.rule.arrived(request, time)

    def ranked(self, view: WorkerView) -> WaitingQueue:
        """As `Lagrangian` ranks them, on the survival function."""
        return self.rule.ranked(view)

    def admitted(self, request: int, view: WorkerView) -> None:
        """Note that a mixed engine has taken a request that waited."""
        self.rule.admitted(request, view)

    def decide(self, view: WorkerView) -> Decision:
        """Prefill now, or decode until the next completion."""
        return self.rule.decide(view)

    def completed(self, request: int, length: int, view: WorkerView) -> None:
        """Learn the length."""
        self.rule.completed(request, length, view)

    def evict(self, view: WorkerView) -> list[int]:
        """Evict the request that started last; its length is more than what was made."""
        return self.rule.evict(view)


def risk(option: str) -> float:
    """The accepted risk that an option says; raises `InvalidInputError`."""
    try:
        accepted = float(option)
    except ValueError:
        accepted = 0.0
    if not 0 < accepted <= 0.5:
        raise InvalidInputError(
            "policy", f"lagrangian-stochastic: expected a risk above 0 and at most 0.5, got {option!r}"
        )
    return accepted
