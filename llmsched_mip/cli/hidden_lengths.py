"""Options of `llmsched solve` for lengths that are not seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

import llmsched_mip
from llmsched_mip.cli.arguments import at_least, require_known
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.limits import MOST_SCENARIOS
from llmsched_mip.names import LENGTHS

if TYPE_CHECKING:
    from llmsched_mip.instance import Instance
    from llmsched_mip.result import Result

Lengths = Annotated[
    str, typer.Option("--lengths", metavar="WHAT", help="What the plan may see: known, interval or unknown.")
]
LengthsFrom = Annotated[
    Path | None,
    typer.Option("--lengths-from", metavar="HISTORY", help="Instance file whose lengths those not seen are like."),
]
Scenarios = Annotated[
    int | None,
    typer.Option("--scenarios", metavar="N", help="Drawn lengths that a plan is chosen by, where not seen (32)."),
]
OverflowRisk = Annotated[
    float | None,
    typer.Option("--overflow-risk", metavar="P", help="Share of scenarios in which KV may overflow (0.05)."),
]


class HiddenLengths(NamedTuple):
    """What was asked for; None where nothing was.

    Parameters
    ----------
    visible : str
    history : Path or None
    scenarios : int or None
    overflow_risk : float or None
    """

    visible: str
    history: Path | None
    scenarios: int | None
    overflow_risk: float | None

    def require_fits(self, **others: Any) -> None:
        """Raise `InvalidInputError` for options out of range, or that do not go together.

        Parameters
        ----------
        **others
            Options that only go with known lengths, by name; true where one is given.
        """
        require_known("--lengths", self.visible, LENGTHS)
        at_least("--scenarios", self.scenarios, 1, MOST_SCENARIOS)
        at_least("--overflow-risk", self.overflow_risk, 0, 1)
        if self.visible == "known":
            of_hidden = ("--lengths-from", "--scenarios", "--overflow-risk")
            for option, value in zip(of_hidden, self[1:], strict=True):
                if value is not None:
                    raise InvalidInputError(option, "goes with --lengths interval or unknown, not with known lengths")
            return
        for option, given in others.items():
            if given:
                raise InvalidInputError(f"--{option}", f"goes with known lengths, not with --lengths {self.visible}")

    def planner(self, instance: Instance) -> Callable[..., Result] | None:
        """`solve_stochastic` for the instance, which takes the options that all plans have; None: lengths are known."""
        if self.visible == "known":
            return None
        history = None if self.history is None else llmsched_mip.read_instance(self.history)
        given = {"scenarios": self.scenarios, "overflow_risk": self.overflow_risk}
        options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return partial(llmsched_mip.solve_stochastic, instance, self.visible, history=history, **options)
