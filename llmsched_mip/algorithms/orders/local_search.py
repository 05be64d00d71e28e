"""Simulated annealing of sequences of batches (compiled; Kirkpatrick, Gelatt and Vecchi, Science 220, 1983)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from llmsched_mip.algorithms.orders.batches import BATCHES, NOTES, OPENED, Batches, undo
from llmsched_mip.algorithms.orders.execution import Execution, execute, starts_of
from llmsched_mip.algorithms.orders.moves import Alike, carry, drawn, part, relimit, relocate, split, swap, unite
from llmsched_mip.algorithms.orders.single_worker import SingleWorker, Starts
from llmsched_mip.compiled import kernel
from llmsched_mip.timing import run_kv_volume

RELOCATE, SWAP, RELIMIT, UNITE, SPLIT, CARRY = 35, 70, 80, 86, 94, 97


class LocalSearch:
    """A sequence of batches that is changed one trial at a time, and the best that was kept.

    Parameters
    ----------
    problem : SingleWorker
    starts : Starts
        Those of a plan.
    seed : int
        For random choices.

    Attributes
    ----------
    value, best_value : float
        Of the sequence now, and of the best.
    """

    def __init__(self, problem: SingleWorker, starts: Starts, seed: int):
        self.problem, self.random = problem, np.random.default_rng(seed)
        self.alike = Alike.of(problem, run_kv_volume(problem.d, 1, problem.p))
        self.execution = Execution.of(problem)
        self.begin(Batches.of(problem, starts))
        self.best_value, self.best = self.value, self.batches.copy()

    def begin(self, batches: Batches) -> None:
        """Go on from another sequence."""
        self.batches = batches
        self.value = self._renewed()

    def take(self, starts: Starts) -> None:
        """Go on from another plan; it is the best if it is better."""
        self.begin(Batches.of(self.problem, starts))
        if self.value < self.best_value:
            self.best_value, self.best = self.value, self.batches.copy()

    def back_to_best(self) -> None:
        """Go on from the best."""
        self.begin(self.best.copy())

    def _renewed(self) -> float:
        """The value, computed from the first batch on: that of many trials has gathered rounding errors."""
        count = int(self.batches.counts[BATCHES])
        return float(execute(self.problem, self.batches, self.execution, 0, count, True))

    def step(self, temperature: float, trials: int) -> None:
        """Make so many trials at a temperature."""
        _anneal(self.problem, self.batches, self.execution, self.alike, temperature, trials, self.random)
        self.value = float(self.execution.states.totals[0])

    def keep_best(self) -> bool:
        """Keep what there is now if it is the best; whether it is.  To be called now and then: it takes a while."""
        self.value = self._renewed()
        if self.value >= self.best_value:
            return False
        self.best_value, self.best = self.value, self.batches.copy()
        return True

    def best_starts(self) -> Starts:
        """The starts of the best sequence."""
        return starts_of(self.problem, self.best, self.execution)


@kernel
def _change(problem, batches, alike, counts, random):  # type: ignore[no-untyped-def]
    """One random change: the first and the last place that it touches."""
    kind = drawn(random, 0, 100)
    if kind < RELOCATE:
        return relocate(problem, batches, alike, random)
    if kind < SWAP:
        return swap(problem, batches, alike, random)
    if kind < RELIMIT:
        return relimit(problem, batches, random, counts)
    if kind < UNITE:
        return unite(problem, batches, random)
    if kind < SPLIT:
        return split(problem, batches, random, counts)
    if kind < CARRY:
        return carry(batches, random)
    return part(problem, batches, random)


@njit(cache=True)
def _anneal(problem, batches, execution, alike, temperature, trials, random):  # type: ignore[no-untyped-def]
    """Trials at one temperature; what is worse by x is taken with the probability exp(-x / temperature)."""
    states = execution.states
    for _ in range(trials):
        first, last = _change(problem, batches, alike, states.counts, random)
        if first < 0:
            undo(problem, batches)
            continue
        for k in range(batches.counts[NOTES]):
            if batches.journal[k, 0] == OPENED:
                states.counts[batches.journal[k, 1], 0] = -1
        most = states.totals[0] - temperature * math.log(1.0 - random.random())
        if execute(problem, batches, execution, first, last, False) <= most:
            execute(problem, batches, execution, first, last, True)
            batches.counts[NOTES] = 0
        else:
            undo(problem, batches)
