"""The search for the numbers of a rule: from the best hand-made one by CMA-ES (Hansen, arXiv 1604.00772).

All candidates of a generation are replayed on the same instances (common random numbers), those of another generation
on other ones, so that no luck is kept.  At the end the mean of the search, the best of the last generations and the
start are compared on instances that none of them has seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.learning.crew import Crew
from llmsched_mip.learning.goal import Goal
from llmsched_mip.learning.state import Ledger
from llmsched_mip.policies.parts.learned_parameters import LOWER, NAMES, STARTS, STEPS, TRIES, UPPER, Parameters
from llmsched_mip.timing import FloatArray

FIRST_TRAINING_SEED = 10_000
SIGMA = 0.5
KEPT = 3
FINAL = 4


class Generation(NamedTuple):
    """Objective over that of first come, first served: of the best candidate, and the mean of all."""

    generation: int
    best: float
    mean: float


@dataclass(frozen=True)
class Effort:
    """How much is tried.

    Parameters
    ----------
    seed : int
        Of the search; training instances do not depend on it.
    seeds : int
        Instances that each candidate is replayed on.
    population, generations : int
    """

    seed: int = 0
    seeds: int = 4
    population: int = 12
    generations: int = 30


@dataclass(frozen=True)
class Found:
    """What a search ends with.

    Parameters
    ----------
    parameters : Parameters
    start : str
        The hand-made rule that it began from.
    curve : list of Generation
    interrupted : bool
        Whether somebody ended it.
    """

    parameters: Parameters
    start: str
    curve: list[Generation]
    interrupted: bool


class Search:
    """The search for one goal.

    Parameters
    ----------
    goal : Goal
    effort : Effort
    crew : Crew
    ledger : Ledger
    note : callable
        Takes a line for each generation.
    """

    def __init__(self, goal: Goal, effort: Effort, crew: Crew, ledger: Ledger, note: Callable[[str], None]):
        self.goal, self.effort, self.crew, self.ledger, self.note = goal, effort, crew, ledger, note
        self.free = np.flatnonzero(goal.free())
        self.idle = [k for k in np.flatnonzero(~goal.free()) if NAMES[k] not in ("refill", "lot_size")]
        self._seed = FIRST_TRAINING_SEED

    def run(self, budget: Budget) -> Found:
        """Search until the generations are done, the budget is spent or Ctrl-C."""
        curve: list[Generation] = []
        label, best = "fcfs", STARTS["fcfs"]
        last: list[Parameters] = []
        try:
            label, best = self._start()
            strategy = _strategy(best, self.free, self.effort)
            for number in range(self.effort.generations):
                if budget.spent() or strategy.stop():
                    break
                last = self._generation(strategy, best, number, curve, last)
            return Found(self._best([best, *last]), label, curve, False)
        except KeyboardInterrupt:
            return Found(last[0] if last else best, label, curve, True)

    def _start(self) -> tuple[str, Parameters]:
        """The best hand-made rule, and what the first tries make of it."""
        label, best = self._best_of(STARTS)
        for changes in TRIES:
            if not any(NAMES.index(name) in self.idle for change in changes for name in change):
                tried = {str(change): replace(best, **change) for change in changes}
                best = self._best_of({"": best, **tried})[1]
        return label, best

    def _best_of(self, rules: dict[str, Parameters]) -> tuple[str, Parameters]:
        losses = self._losses(list(rules.values()), self.effort.seeds)
        return list(rules.items())[int(np.argmin(losses))]

    def _generation(
        self, strategy: Any, start: Parameters, number: int, curve: list[Generation], last: list[Parameters]
    ) -> list[Parameters]:
        """One generation; the mean of the search and the best of the last ones."""
        points = strategy.ask()
        rules = [self._parameters(start, point) for point in points]
        losses = self._losses(rules, self.effort.seeds)
        strategy.tell(points, losses)
        done = Generation(number, math.exp(min(losses)), math.exp(float(np.mean(losses))))
        curve.append(done)
        self.note(
            f"{self.goal.name}: generation {number + 1} of {self.effort.generations}, of fcfs: "
            f"best {done.best:.4f}, mean {done.mean:.4f}"
        )
        middle = self._parameters(start, strategy.result.xfavorite)
        return [middle, *[rules[int(np.argmin(losses))], *last[1:]][:KEPT]]

    def _parameters(self, start: Parameters, point: FloatArray) -> Parameters:
        """The rule at a point of the search, which has the free numbers alone, in steps from the start."""
        vector = start.vector
        vector[self.free] += STEPS.vector[self.free] * np.asarray(point)
        return Parameters.of(vector)

    def _best(self, rules: list[Parameters]) -> Parameters:
        """The best on instances that have not been used."""
        return rules[int(np.argmin(self._losses(rules, FINAL * self.effort.seeds)))]

    def _losses(self, rules: list[Parameters], seeds: int) -> list[float]:
        """Mean loss of each over the next seeds."""
        first, self._seed = self._seed, self._seed + seeds
        recorded = self.ledger.recorded(len(rules))
        if recorded is not None:
            return recorded
        pairs = list(product(range(first, first + seeds), [tuple(rule.vector.tolist()) for rule in rules]))
        found = self.crew.map(self.goal.loss, [seed for seed, _ in pairs], [vector for _, vector in pairs])
        losses = np.array(found).reshape(seeds, len(rules)).mean(axis=0).tolist()
        self.ledger.record(losses)
        return list(losses)


class _Normal:
    """Normal random numbers of a seed."""

    def __init__(self, seed: int):
        self._generator = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> FloatArray:
        return self._generator.standard_normal(shape)


def package() -> Any:
    """The package `cma`; raises `InvalidInputError` where it is not there."""
    try:
        import cma
    except ImportError:
        raise InvalidInputError("train", "needs the package cma: pip install 'llmsched-mip[train]'") from None
    return cma


def _strategy(start: Parameters, free: np.ndarray, effort: Effort) -> Any:
    """CMA-ES around the start, in steps."""
    cma = package()
    bounds = [(((ends - start.vector) / STEPS.vector)[free]).tolist() for ends in (LOWER, UPPER)]
    options = {
        "popsize": effort.population,
        "bounds": bounds,
        "randn": _Normal(effort.seed),
        "seed": math.nan,
        "verbose": -9,
        "verb_log": 0,
        "verb_disp": 0,
    }
    return cma.CMAEvolutionStrategy([0.0] * len(free), SIGMA, options)
