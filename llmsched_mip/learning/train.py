"""`train`: a rule for each goal, as a policy file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.learning.crew import Crew
from llmsched_mip.learning.goal import Goal
from llmsched_mip.learning.search import Effort, Search, package
from llmsched_mip.learning.state import Ledger, State
from llmsched_mip.learning.validation import validate

MOST_VALIDATED = 100


@dataclass(frozen=True)
class Settings:
    """How the training is run.

    Parameters
    ----------
    effort : Effort
    seconds : float, optional
        Wall time, shared by the goals; the validation comes on top.
    jobs : int, optional
        Processes; default one for each core.
    validated : int
        Held-out seeds, 0 to so many less one, on which the hand-made rules are compared; 0: none.
    state : Path, optional
        File in which the training keeps where it stands.
    resume : bool
        Continue from that file.
    """

    effort: Effort = field(default_factory=Effort)
    seconds: float | None = None
    jobs: int | None = None
    validated: int = 10
    state: Path | None = None
    resume: bool = False


def train(
    goals: Sequence[Goal], settings: Settings = Settings(), note: Callable[[str], None] = print
) -> dict[str, Any]:
    """Train a rule for each goal; the content of a policy file.

    Ctrl-C ends the training with the best so far, which `training.interrupted` says.

    Raises
    ------
    InvalidInputError
        The package `cma` is missing, or a goal is given twice.
    UnreadableFileError, InfeasibleInstanceError
        One line.
    """
    effort, began = settings.effort, clock.now()
    package()
    names = [goal.name for goal in goals]
    if len(set(names)) < len(names):
        raise InvalidInputError("FAMILY", f"{max(names, key=names.count)} is given twice")
    recorded = {**asdict(effort), "goals": [asdict(goal) for goal in goals]}
    state = State.at(settings.state, recorded, settings.resume)
    whole = Budget() if settings.seconds is None else Budget(settings.seconds)
    entries, interrupted = [], False
    with Crew(settings.jobs) as crew:
        for k, goal in enumerate(goals):
            search = Search(goal, effort, crew, Ledger(state, names[k]), note)
            found = search.run(whole.slice(share=1 / (len(goals) - k)))
            interrupted = found.interrupted
            seeds = 0 if interrupted else settings.validated
            try:
                validation = validate(goal, found.parameters, seeds, crew) if seeds else None
            except KeyboardInterrupt:
                validation, interrupted = None, True
            entries.append(
                {
                    "family": goal.family,
                    "objective": goal.instance(0).objective,
                    "lengths": goal.lengths,
                    "predictions": goal.predictions,
                    "requests": goal.requests,
                    "likeness": list(goal.likeness()),
                    "start": found.start,
                    "parameters": {name: round(value, 6) for name, value in asdict(found.parameters).items()},
                    "curve": [generation._asdict() for generation in found.curve],
                    "validation": validation,
                }
            )
            if interrupted:
                break
    run = {"seed": effort.seed, "seeds": effort.seeds, "population": effort.population}
    took = {"generations": effort.generations, "seconds": round(clock.now() - began, 1), "interrupted": interrupted}
    if not interrupted:
        state.remove()
    return {"format": "llmsched-policy", "version": 1, "training": {**run, **took}, "entries": entries}


def policy_text(document: dict[str, Any]) -> str:
    """A policy file as text."""
    return json.dumps(document, indent=1) + "\n"
