"""Proof of the optimum of small unit-round instances by depth-first search under a Lagrangian bound.

Every node is bounded by the prices of `bounds.start_prices`: L plus the excess (reduced cost) of every request
that has started, plus the least excess of every other over the starts that are still open to it.

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
from dataclasses import dataclass

import numpy as np

from llmsched_mip.algorithms.unit_round import branch
from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.time_indexed.unit_prices import StartPrices
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.tolerance import meets

MOST_REQUESTS = 62
MEMO_BYTES = 400_000_000
SLICE = 50_000
ROUNDING = 1e-11
SHARES = (0.4, 0.6, 0.8, 1.0)
# Reduced costs that are kept, 400 MB.
MOST_CELLS = 50_000_000


@dataclass
class Proof:
    """Best starts, their value, the proven bound (all in rounds), nodes opened, and whether it is closed."""

    starts: IntArray
    value: float
    bound: float
    nodes: int = 0

    def closed(self, step: float) -> bool:
        """Whether the bound proves the value optimal."""
        return self.bound > self.value - 0.75 * step if step else meets(self.bound, self.value)


class Memo:
    """Table of states; when it is full, nothing more is added."""

    def __init__(self, width: int, capacity: int):
        small = capacity < 2**15
        size = int(min(4_000_000, MEMO_BYTES // ((2 if small else 8) * width + 40)))
        self.head = np.full(2 * size + 1, -1, dtype=np.int64)
        self.next = np.empty(size, dtype=np.int64)
        self.key = np.empty((size, 2), dtype=np.int64)
        self.cost = np.empty(size)
        self.load = np.empty((size, width), dtype=np.int16 if small else np.int64)

    def clear(self) -> None:
        """Forget all states."""
        self.head[:] = -1


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
    own = prices.problem
    order = np.lexsort((own.weight, own.p, own.d))
    proof = Proof(starts.copy(), own.value(starts), prices.proven)
    if proof.closed(own.step):
        yield proof
        return
    excess = prices.reduced_costs()[order]
    later = _later_starts(excess, own.weight[order], proof.value - prices.value)
    if own.n * (excess.shape[1] + later) > MOST_CELLS:
        yield proof
        return
    search = _Search(prices, order, starts[order], proof.value)
    for limit in _limits(proof.value, proof.bound, own.step):
        if not search.look(limit, budget):
            break
        proof.bound = max(proof.bound, min(limit + own.step, search.value))
        proof.starts[order], proof.value, proof.nodes = search.best_starts, search.value, search.nodes
        yield proof
        if proof.closed(own.step):
            return
    if search.value < proof.value:
        proof.starts[order], proof.value = search.best_starts, search.value
    proof.nodes = search.nodes
    yield proof


def _limits(value: float, bound: float, step: float) -> list[float]:
    top = value - step
    first = step * np.ceil(bound / step - 0.25) if step else bound
    levels = [first + share * (top - first) for share in SHARES]
    return sorted({step * float(np.floor(x / step)) if step else float(x) for x in levels[:-1]} | {float(top)})


class _Search:
    """Arrays of the search; requests stand in `order`."""

    def __init__(self, prices: StartPrices, order: IntArray, starts: IntArray, value: float):
        own = prices.problem
        self.p, self.d, self.weight = own.p[order], own.d[order], own.weight[order]
        self.capacity, self.step, self.bound = own.capacity, own.step, prices.value
        self.excess = _extended(prices.reduced_costs()[order], self.weight, value - prices.value)
        self.least = np.minimum.accumulate(self.excess[:, ::-1], axis=1)[:, ::-1].copy()
        same = (np.diff(self.p) == 0) & (np.diff(self.d) == 0) & (np.diff(self.weight) == 0)
        self.twin = np.concatenate(([-1], np.where(same, np.arange(len(same)), -1)))
        self.best, self.best_starts = np.array([value]), starts.astype(np.int64)
        self.memo = Memo(int(self.d.max()), self.capacity)
        self.nodes = 0

    @property
    def value(self) -> float:
        return float(self.best[0])

    def look(self, limit: float, budget: Budget) -> bool:
        """Whether all values up to `limit` were searched."""
        n, rounds = self.excess.shape
        depth = n + rounds + 2
        level, low, first = np.zeros((depth, 6)), np.zeros(depth), np.zeros((depth, n), dtype=np.int64)
        load = np.zeros(rounds + 2 * int(self.d.max()) + 2, dtype=np.int64)
        starts, counters = np.full(n, -1, dtype=np.int64), np.zeros(4, dtype=np.int64)
        level[0, 3], level[0, 5], level[0, 4], low[0] = -1, -1, self.bound, self.bound
        memo = self.memo
        memo.clear()
        # Values a step apart cannot be confused by rounding; without a step they are compared to 1e-11.
        eps = 0.25 * self.step if self.step else ROUNDING * self.value
        done = False
        while not done and not budget.spent():
            done = branch.run(
                self.p, self.d, self.weight, self.capacity, self.twin, self.excess, self.least, limit, self.step, eps,
                level, low, first, load, starts, counters, self.best, self.best_starts, SLICE,
                memo.head, memo.next, memo.key, memo.cost, memo.load,
            )  # fmt: skip
        self.nodes += int(counters[branch.NODES])
        return done


def _later_starts(excess: FloatArray, weight: FloatArray, gap: float) -> int:
    """Starts after the last column, which cost `weight` more each, until all exceed the gap."""
    short = float(np.max((gap - excess[:, -1]) / weight, initial=0.0))
    return int(np.ceil(min(short, 2.0**53))) + 1


def _extended(excess: FloatArray, weight: FloatArray, gap: float) -> FloatArray:
    """Append `_later_starts`: no start beyond the last column can then be in a better schedule."""
    later = np.arange(1, _later_starts(excess, weight, gap) + 1)
    return np.concatenate((excess, excess[:, -1:] + weight[:, None] * later), axis=1)
