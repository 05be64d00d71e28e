"""What every lower bound returns, and the protocol of a function that computes one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.texts import seconds_text


@dataclass(frozen=True, slots=True)
class Bound:
    """A proven lower bound on the objective.

    Parameters
    ----------
    name : str
        Name in the registry `llmsched_mip.bounds.BOUNDS`.
    value : float
        Lower bound on the objective of every feasible plan, seconds (weighted seconds for total completion).
    seconds : float
        Time spent on it.
    certificate : dict
        The numbers that the proof needs, e.g. rounds and prefill iterations, plain values.
    """

    name: str
    value: float
    seconds: float = 0.0
    certificate: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Bound({self.name!r}, {seconds_text(self.value)} s)"


class BoundFunction(Protocol):
    """Computes one bound, or None where it does not apply to the instance or its objective."""

    def __call__(self, instance: Instance, budget: Budget) -> Bound | None:
        """Return the bound on the instance's objective, within the budget."""
