"""The hybrid method's online rule on the conditional distribution of the remaining lengths.

Expected lengths, rates of completion and the KV check come from the survival function that is learnt as requests
complete (`SurvivalEstimator`, `hidden_admission`): the first extension that the hybrid method's paper names.  An
overflow is answered by evicting the request that started last.
"""

from __future__ import annotations

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.lagrangian import Lagrangian
from llmsched_mip.policies.parts.chance_admission import RISK
from llmsched_mip.policies.parts.hidden_admission import hidden_admission
from llmsched_mip.policies.parts.survival import SurvivalEstimator
from llmsched_mip.policies.protocol import Policy, Problem


def lagrangian_stochastic(problem: Problem, option: str | None = None) -> Policy:
    """`Lagrangian` that accepts a risk of overflow; with known lengths without one.

    Parameters
    ----------
    problem : Problem
    option : str, optional
        Accepted risk of an overflow in a round ahead, above 0 and at most 0.5; 0.05 if nothing else is asked for.
    """
    return at_risk(problem, RISK if option is None else risk(option))


def at_risk(problem: Problem, accepted: float) -> Lagrangian:
    """`Lagrangian` whose KV check accepts this risk of an overflow in a round ahead, where lengths are hidden."""
    if problem.lengths.visible == "known":
        return Lagrangian(problem)
    survival = SurvivalEstimator(problem.lengths, problem.prefill_tokens)
    return Lagrangian(problem, survival, hidden_admission(problem, survival, accepted))


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
