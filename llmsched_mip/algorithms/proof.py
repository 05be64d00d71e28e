"""What a search by depth first has proven so far."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched_mip.timing import IntArray
from llmsched_mip.tolerance import meets


@dataclass
class Proof:
    """A value, a bound and how they were found.

    Parameters
    ----------
    best : int array or None
        What has the value: start rounds, or actions; None where the search has not improved the known value.
    value, bound : float
        Best value known and proven lower bound, in the unit of the search.
    nodes : int
        Nodes opened.
    step : float
        Values are multiples of it; 0 where they are not.
    tolerance : float
        To which the search tells values apart, relative; 0 for that of `meets`.
    """

    best: IntArray | None
    value: float
    bound: float
    nodes: int = 0
    step: float = 0.0
    tolerance: float = 0.0

    @property
    def closed(self) -> bool:
        """Whether the bound proves the value optimal."""
        if self.step:
            return self.bound > self.value - 0.75 * self.step
        if self.tolerance:
            return self.bound >= self.value * (1 - self.tolerance)
        return meets(self.bound, self.value)
