"""Proof of the optimum of a small one-worker backlog by the search of `branch`.

A pass looks only for values below a limit.  When it finds none, the limit is a lower bound: so a search that is cut
short still proves something.  Limits rise from the bound of the empty plan to the incumbent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from llmsched_mip.algorithms.proof import Proof
from llmsched_mip.algorithms.stages import branch
from llmsched_mip.algorithms.stages.problem import StageProblem
from llmsched_mip.algorithms.states import States
from llmsched_mip.budget import Budget
from llmsched_mip.timing import IntArray

SHARES = (0.35, 0.65, 1.0)
MEMO_BYTES = 300_000_000
LONGEST_CHAIN = 512
SLICE = 50_000
TOLERANCE = 1e-10


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
    proof = Proof(None, value, min(bound, value), tolerance=2 * TOLERANCE)
    limits = [value]
    if math.isfinite(value) and not dive:
        limits = [bound + share * (value - bound) for share in SHARES]
    for limit in limits:
        done = search.look(limit, budget)
        proof = replace(proof, best=search.actions, value=search.value, nodes=search.nodes)
        if done:
            # All below `limit` were searched: the best found, or nothing, lies there.
            proof.bound = max(proof.bound, min(limit, search.value) * (1 - TOLERANCE))
        yield proof
        if not done or proof.closed:
            return


class _Search:
    """Passes of the search, and the best so far."""

    def __init__(self, problem: StageProblem, value: float):
        self.problem, self.value, self.nodes = problem, value, 0
        self.actions: IntArray | None = None
        width = problem.slots if problem.ordered else problem.n
        self.states = States.of(width, int(problem.d.max()), MEMO_BYTES, LONGEST_CHAIN, 8**problem.n)

    def look(self, limit: float, budget: Budget) -> bool:
        """Whether all values below `limit` were searched."""
        backlog, tree = self.problem.backlog, branch.Tree.of(self.problem.depth, self.problem.n, self.value)
        slack = TOLERANCE * limit if math.isfinite(limit) else 0.0
        self.states.clear()
        done = False
        while not done and not budget.spent():
            done = branch.run(backlog, tree, self.states, limit, slack, SLICE)
        self.nodes += int(tree.counters[branch.NODES])
        self.value = float(tree.best[0])
        if tree.counters[branch.FOUND]:
            self.actions = tree.best_moves[1 : tree.counters[branch.FOUND]].copy()
        return done
