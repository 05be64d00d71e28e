"""Proof of the optimum of small unit-round instances by depth-first search under a Lagrangian bound.

Every node is bounded by the prices of `relaxations.time_indexed.unit_prices`: L plus the excess (reduced cost) of
every request that has started, plus the least excess of every other over the starts that are still open to it.

Proof that nothing better is lost.
- Children: a schedule is the list of its starts by (round, index).  Going on skips only rounds at which no waiting
  request fits the load of those started; the load of what is started only grows.
- Requests that are equal may start by ascending index.
- A schedule in which one request can start earlier while the others stay is not optimal.  `branch.wasteful` finds
  such a request in rounds that change no more, so no optimal schedule is below the node.
- Two nodes at the same round with the same requests started: whatever follows the one with more load in some
  rounds also fits the other, and costs the same.  So one that costs no more and has nowhere more load suffices.
- Values are multiples of `step`, so only values up to incumbent - step are looked for.

A first pass looks only for values up to a limit below the incumbent: when it finds none, limit + step is a lower
bound.  So a search that is cut short still proves something.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmsched_mip.algorithms.proof import Proof
from llmsched_mip.algorithms.states import States
from llmsched_mip.algorithms.unit_round import branch
from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.time_indexed.unit_prices import StartPrices
from llmsched_mip.timing import FloatArray, IntArray

MOST_REQUESTS = 62
MEMO_BYTES = 400_000_000
LONGEST_CHAIN = 256
SLICE = 50_000
ROUNDING = 1e-11
SHARES = (0.4, 0.6, 0.8, 1.0)
# Reduced costs that are kept, 400 MB.
MOST_CELLS = 50_000_000


def prove(prices: StartPrices, starts: IntArray, budget: Budget) -> Iterator[Proof]:
    """Search until the optimum is proven or `budget` is spent; yields whenever the starts or the bound improve.

    Parameters
    ----------
    prices : StartPrices
        Its problem has at most `MOST_REQUESTS` requests.
    starts : int array, shape (n,)
        A feasible schedule.
    budget : Budget
    """
    problem = prices.problem
    order = np.lexsort((problem.weight, problem.p, problem.d))
    proof = Proof(starts.copy(), problem.value(starts), prices.proven, step=problem.step)
    excess = prices.reduced_costs()[order]
    later = _later_starts(excess, problem.weight[order], proof.value - prices.value)
    if proof.closed or problem.n * (excess.shape[1] + later) > MOST_CELLS:
        yield proof
        return
    search = _Search(prices, order, starts[order], proof.value)
    for limit in _limits(proof.value, proof.bound, problem.step):
        if not search.look(limit, budget):
            break
        proof.bound = max(proof.bound, min(limit + problem.step, search.value))
        proof.best, proof.value, proof.nodes = search.starts, search.value, search.nodes
        yield proof
        if proof.closed:
            return
    proof.best, proof.value, proof.nodes = search.starts, search.value, search.nodes
    yield proof


def _limits(value: float, bound: float, step: float) -> list[float]:
    top = value - step
    first = step * np.ceil(bound / step - 0.25) if step else bound
    levels = [first + share * (top - first) for share in SHARES]
    return sorted({step * float(np.floor(x / step)) if step else float(x) for x in levels[:-1]} | {float(top)})


class _Search:
    """Passes of the search; requests stand in `order`."""

    def __init__(self, prices: StartPrices, order: IntArray, starts: IntArray, value: float):
        problem, weight = prices.problem, prices.problem.weight[order]
        excess = _extended(prices.reduced_costs()[order], weight, value - prices.value)
        self.order, self.step, self.bound = order, problem.step, prices.value
        self.requests = branch.Requests.of(problem, order, weight, excess, problem.step, 0.0)
        self.states = States.of(int(problem.d.max()), problem.capacity, MEMO_BYTES, LONGEST_CHAIN)
        self.value, self.best, self.nodes = value, starts, 0

    @property
    def starts(self) -> IntArray:
        """The best starts, in the order of the problem."""
        starts = np.empty_like(self.best)
        starts[self.order] = self.best
        return starts

    def look(self, limit: float, budget: Budget) -> bool:
        """Whether all values up to `limit` were searched."""
        # Values a step apart cannot be confused by rounding; without a step they are compared to 1e-11.
        requests = self.requests._replace(eps=0.25 * self.step if self.step else ROUNDING * self.value)
        tree = branch.Tree.of(requests, self.bound, self.value, self.best)
        self.states.clear()
        done = False
        while not done and not budget.spent():
            done = branch.run(requests, tree, self.states, limit, SLICE)
        self.nodes += int(tree.counters[branch.NODES])
        self.value, self.best = float(tree.best[0]), tree.best_starts
        return done


def _later_starts(excess: FloatArray, weight: FloatArray, gap: float) -> int:
    """Starts after the last column, which cost `weight` more each, until all exceed the gap."""
    short = float(np.max((gap - excess[:, -1]) / weight, initial=0.0))
    return int(np.ceil(min(short, 2.0**53))) + 1


def _extended(excess: FloatArray, weight: FloatArray, gap: float) -> FloatArray:
    """Append `_later_starts`: no start beyond the last column can then be in a better schedule."""
    later = np.arange(1, _later_starts(excess, weight, gap) + 1)
    return np.concatenate((excess, excess[:, -1:] + weight[:, None] * later), axis=1)
