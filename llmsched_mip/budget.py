"""How long something may go on: one object from the command line down to the solver's callback."""

from __future__ import annotations

import math
from collections.abc import Callable

from llmsched_mip import clock
from llmsched_mip.errors import InvalidInputError


class Budget:
    """Seconds from now on, and whoever may end the work before they have passed.

    Parameters
    ----------
    seconds : float
        Wall time, from the moment that the budget is made; default: no limit.
    interrupted : callable, optional
        Polled; once it is true, the work has to end (Ctrl-C, or the goal is reached).

    Raises
    ------
    InvalidInputError
        `seconds` is negative or not a number.
    """

    __slots__ = ("_asked", "began", "seconds")

    def __init__(self, seconds: float = math.inf, interrupted: Callable[[], bool] | None = None):
        if not seconds >= 0:
            raise InvalidInputError("time_limit", f"expected a number of seconds ≥ 0, got {seconds}")
        self.seconds, self.began, self._asked = float(seconds), clock.now(), interrupted

    def __repr__(self) -> str:
        return f"Budget({self.seconds:g})"

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return clock.now() - self.began

    @property
    def remaining(self) -> float:
        """Seconds left, at least 0; infinite without a limit."""
        return max(0.0, self.seconds - self.elapsed)

    def interrupted(self) -> bool:
        """Whether somebody has asked to end."""
        return self._asked is not None and bool(self._asked())

    def spent(self) -> bool:
        """Whether to end: asked to, or no time is left."""
        return self.interrupted() or self.elapsed >= self.seconds

    def or_default(self, seconds: float) -> Budget:
        """The budget itself where it has a limit, else a slice of `seconds`."""
        return self if math.isfinite(self.seconds) else self.slice(seconds)

    def slice(self, seconds: float = math.inf, share: float = 1.0) -> Budget:
        """A part of what is left: at most `seconds`, and at most `share` of the rest; interrupts reach it too."""
        left = self.remaining
        return Budget(min(seconds, share * left if math.isfinite(left) else left), self._asked)
