"""Proof of the optimum of a small one-worker backlog by the search of `branch`.

A pass looks only for values below a limit.  When it finds none, the limit is a lower bound: so a search that is cut
short still proves something.  Limits rise from the bound of the empty plan to the incumbent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from llmsched_mip.algorithms.stages import branch
from llmsched_mip.algorithms.stages.problem import StageProblem
from llmsched_mip.budget import Budget
from llmsched_mip.timing import IntArray

SHARES = (0.35, 0.65, 1.0)
MEMO_BYTES = 300_000_000
MOST_ENTRIES = 4_000_000
SLICE = 50_000
TOLERANCE = 1e-10


@dataclass
class Proof:
    """The best actions (None: the known value was not improved), the value, the proven bound, and nodes opened."""

    actions: IntArray | None
    value: float
    bound: float
    nodes: int = 0

    @property
    def closed(self) -> bool:
        """Whether the bound meets the value, to the tolerance of the search (1e-10 relative)."""
        return self.bound >= self.value * (1 - 2 * TOLERANCE)


def prove(problem: StageProblem, value: float, bound: float, budget: Budget, dive: bool = False) -> Iterator[Proof]:
    """Search until the optimum is proven or `budget` is spent; yields whenever the plan or the bound improve.

    Parameters
    ----------
    problem : StageProblem
    value : float
        Value of a known plan, seconds, of weight 1; infinity without one.
    bound : float
        A proven lower bound.
    budget : Budget
        Looked at every `SLICE` nodes.
    dive : bool
        One pass up to the known value: better plans sooner, a bound only at the end.
    """
    search = _Search(problem, value)
    proof = Proof(None, value, min(bound, value))
    limits = [value]
    if math.isfinite(value) and not dive:
        limits = [bound + share * (value - bound) for share in SHARES]
    for limit in limits:
        done = search.look(limit, budget)
        proof = Proof(search.actions, search.value, proof.bound, search.nodes)
        if done:
            # All below `limit` were searched: the best found, or nothing, lies there.
            proof.bound = max(proof.bound, min(limit, search.value) * (1 - TOLERANCE))
        yield proof
        if not done or proof.closed:
            return


class _Search:
    """The arrays of a search, and the best so far."""

    def __init__(self, problem: StageProblem, value: float):
        own, n = problem, problem.n
        self.problem, self.nodes = own, 0
        self.actions: IntArray | None = None
        self.best = np.array([value])
        self.depth = own.depth
        width = own.slots if own.ordered else n
        small = int(own.d.max()) < 2**15
        size = int(min(MOST_ENTRIES, 8**n, MEMO_BYTES // ((2 if small else 8) * width + 40)))
        self.head = np.full(2 * size + 1, -1, dtype=np.int64)
        self.following, self.key = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
        self.cost = np.empty(size)
        self.left = np.empty((size, width), dtype=np.int16 if small else np.int64)
        self.best_moves = np.zeros((self.depth, 2), dtype=np.int64)

    @property
    def value(self) -> float:
        return float(self.best[0])

    def look(self, limit: float, budget: Budget) -> bool:
        """Whether all values below `limit` were searched."""
        own, n = self.problem, self.problem.n
        numbers, marks = np.zeros((self.depth, 3)), np.zeros((self.depth, 5), dtype=np.int64)
        lefts, moves = np.full((self.depth, n), -1, dtype=np.int64), np.zeros((self.depth, 2), dtype=np.int64)
        marks[0, branch.LAST] = marks[0, branch.LEAD] = -1
        counters = np.zeros(4, dtype=np.int64)
        slack = TOLERANCE * limit if math.isfinite(limit) else 0.0
        self.head[:] = -1
        done = False
        while not done and not budget.spent():
            done = branch.run(
                own.makespan, own.one_iteration, own.at_completions, own.ordered, own.p, own.d, own.twin, own.slots,
                own.capacity, own.cap, own.round_s, own.tail_s, own.iteration_s, own.cover_s, own.fixed_s, own.prompt_s,
                limit, slack, numbers, marks, lefts, moves, counters, self.best, self.best_moves, SLICE,
                self.head, self.following, self.key, self.cost, self.left,
            )  # fmt: skip
        self.nodes += int(counters[branch.NODES])
        if counters[branch.FOUND]:
            self.actions = self.best_moves[1 : counters[branch.FOUND]].copy()
        return done
