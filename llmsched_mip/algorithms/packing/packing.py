"""What `pack` returns: an assignment of lengths to bins, its makespan, and what is proven about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from llmsched_mip.timing import IntArray


class Step(NamedTuple):
    """One improvement of the makespan or of the bound; `how` names the step that made it."""

    seconds: float
    makespan: int
    bound: int
    how: str


@dataclass(frozen=True, eq=False)
class Packing:
    """A feasible assignment with a proven lower bound.

    Parameters
    ----------
    assignment : int array, shape (n,)
        Bin 0..bins-1 of each length, in the order of the input.
    makespan : int
        Largest load of a bin, rounds.
    bound : int
        Largest proven lower bound on the makespan of any assignment, rounds.
    bounds : dict of str to int
        Every bound that was computed, by name, rounds.
    status : {'optimal', 'feasible'}
        'optimal' exactly when `makespan` equals `bound`.
    how : str
        Construction or search that gave the makespan, and the bound that is the largest.
    seconds : float
        Wall time.
    trace : list of Step
        Every improvement.
    interrupted : bool
        Whether `stop` or Ctrl-C ended it; the best assignment so far is returned all the same.
    """

    assignment: IntArray
    makespan: int
    bound: int
    bounds: dict[str, int]
    status: str
    how: str
    seconds: float
    trace: list[Step] = field(default_factory=list)
    interrupted: bool = False

    @property
    def gap(self) -> float:
        """(makespan - bound) / makespan."""
        return (self.makespan - self.bound) / self.makespan
