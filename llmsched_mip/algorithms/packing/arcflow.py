"""Arc-flow model of "do the lengths fit into the bins at this capacity?" (Valério de Carvalho, 1999).

Sets
    U   nodes: loads 0..capacity that lengths taken in decreasing order can make
    A   arcs (u, l): a length l put on load u, so that the load becomes u + l

Parameters
    m[l]   how often length l occurs
    bins   number of bins

Variables
    f[u, l]   bins in which length l is put on load u

Objective
    minimise sum_(0, l) f[0, l]                                      bins that are used

Constraints
    cover[l]   sum_u f[u, l] >= m[l]
    flow[u]    sum_(l: (u-l, l) in A) f[u-l, l] >= sum_l f[u, l]     for u > 0: a load may stay where it is

Every filling of a bin, its lengths in decreasing order, is a path from 0.  So when the LP needs more than
`bins`, no assignment has a makespan of at most `capacity`; and an integral flow out of 0 of at most `bins` is
one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from llmsched_mip.algorithms.packing.lower_bounds import knapsack_weights_refute
from llmsched_mip.budget import Budget
from llmsched_mip.solvers import ArrayModel, SolveResult, Status, solve_arrays
from llmsched_mip.timing import IntArray

WEIGHT_SCALE = 10**7
# Loads that arrays are made for.
MOST_CAPACITY = 5_000_000


@dataclass(frozen=True, eq=False)
class ArcFlow:
    """The graph at one capacity.

    Parameters
    ----------
    lengths : int array, shape (n,)
        In decreasing order.
    distinct, count : int arrays, shape (k,)
        Distinct lengths, decreasing, and how often each occurs.
    tail, kind : int arrays, shape (arcs,)
        Load that an arc starts from, and index of its length in `distinct`.
    """

    lengths: IntArray
    bins: int
    capacity: int
    distinct: IntArray
    count: IntArray
    tail: IntArray
    kind: IntArray

    @classmethod
    def build(cls, lengths: IntArray, bins: int, capacity: int, max_arcs: int) -> ArcFlow | None:
        """Graph of lengths in decreasing order; None with more than `max_arcs` arcs or loads above `MOST_CAPACITY`."""
        if capacity > MOST_CAPACITY:
            return None
        distinct, count = np.unique(lengths, return_counts=True)
        distinct, count = distinct[::-1], count[::-1]
        reached = np.zeros(capacity + 1, dtype=bool)
        reached[0] = True
        tails, arcs = [], 0
        for length, copies in zip(distinct.tolist(), count.tolist(), strict=True):
            tail = _put_on(reached, length, copies)
            tails.append(tail)
            arcs += len(tail)
            if arcs > max_arcs:
                return None
        kind = np.repeat(np.arange(len(distinct)), [len(tail) for tail in tails])
        return cls(lengths, bins, capacity, distinct, count, np.concatenate(tails), kind)

    def model(self) -> ArrayModel:
        """The LP as arrays: rows are cover[l], then flow[u]."""
        arcs, kinds = len(self.tail), len(self.distinct)
        head = self.tail + self.distinct[self.kind]
        inner = np.unique(self.tail[self.tail > 0])
        number = np.full(self.capacity + 1, -1, dtype=np.int64)
        number[inner] = kinds + np.arange(len(inner))
        enters, leaves = np.flatnonzero(number[head] >= 0), np.flatnonzero(self.tail > 0)
        every = np.arange(arcs)
        rows = np.concatenate((self.kind, number[head[enters]], number[self.tail[leaves]]))
        columns = np.concatenate((every, enters, leaves))
        values = np.concatenate((np.ones(arcs), np.ones(len(enters)), -np.ones(len(leaves))))
        matrix = sparse.csc_array((values, (rows, columns)), shape=(kinds + len(inner), arcs))
        return ArrayModel(
            (self.tail == 0).astype(float),
            matrix,
            np.concatenate((self.count.astype(float), np.zeros(len(inner)))),
            np.full(kinds + len(inner), math.inf),
            np.zeros(arcs),
            np.minimum(self.bins, self.count[self.kind]).astype(float),
            np.zeros(arcs, dtype=bool),
        )

    def refuted_by_lp(self, budget: Budget) -> bool:
        """Whether the LP proves that no assignment has a makespan of at most `capacity`.

        The duals of cover[l] become integer weights, and `knapsack_weights_refute` checks these in integers:
        an inexact LP can fail to prove, but not prove what is false.
        """
        model = replace(self.model(), upper=np.full(len(self.tail), math.inf))
        options = {"solver": "ipm", "run_crossover": "off"}
        result = _solve(model, budget, threads=1, options=options)
        if result.row_duals is None or result.value is None or result.value <= self.bins + 1e-7:
            return False
        duals = np.maximum(result.row_duals[: len(self.distinct)], 0.0)
        weights = np.floor(duals * WEIGHT_SCALE).astype(np.int64)
        of_length = weights[np.searchsorted(-self.distinct, -self.lengths)]
        return knapsack_weights_refute(self.lengths, self.bins, self.capacity, of_length)

    def solve(self, budget: Budget) -> tuple[Status, IntArray | None]:
        """Look for an integral flow: INFEASIBLE is a proof, an assignment (shape (n,)) fits `capacity`.

        The number of bins stays the objective although any flow of at most `bins` would do: without an
        objective the root LP of HiGHS can cycle for as long as it is let.
        """
        model = self.model()
        source = sparse.csc_array((self.tail == 0).astype(float)[None, :])
        model = replace(
            model,
            matrix=sparse.csc_array(sparse.vstack((model.matrix, source))),
            row_lower=np.append(model.row_lower, 0.0),
            row_upper=np.append(model.row_upper, float(self.bins)),
            integer=np.ones(len(self.tail), dtype=bool),
        )
        result = _solve(model, budget)
        return result.status, self._assignment(result)

    def _assignment(self, result: SolveResult) -> IntArray | None:
        """Follow the flow from 0, bin by bin; lengths that are covered too often are left out."""
        if result.x is None:
            return None
        flow = np.rint(result.x).astype(np.int64)
        used = np.flatnonzero(flow)
        leaving: dict[int, list[int]] = {}
        for arc in used.tolist():
            leaving.setdefault(int(self.tail[arc]), []).extend([int(self.kind[arc])] * int(flow[arc]))
        first = np.concatenate(([0], np.cumsum(self.count)))
        taken = np.zeros(len(self.distinct), dtype=np.int64)
        assignment = np.full(len(self.lengths), -1, dtype=np.int64)
        for b in range(self.bins):
            load = 0
            while leaving.get(load):
                kind = leaving[load].pop()
                load += int(self.distinct[kind])
                if taken[kind] < self.count[kind]:
                    assignment[first[kind] + taken[kind]] = b
                    taken[kind] += 1
        return None if (assignment < 0).any() else assignment


def _solve(model: ArrayModel, budget: Budget, **limits: Any) -> SolveResult:
    """Solve; the driver ends quietly at Ctrl-C, the caller's search must end with it."""
    result = solve_arrays(model, budget=budget, **limits)
    if result.status in (Status.INTERRUPTED_INCUMBENT, Status.INTERRUPTED_NO_INCUMBENT) and not budget.interrupted():
        raise KeyboardInterrupt
    return result


def _put_on(reached: np.ndarray, length: int, copies: int) -> IntArray:
    """Loads that `length` can be put on, at most `copies` times; marks the new loads in `reached`."""
    capacity = len(reached) - 1
    tails = np.zeros(capacity + 1, dtype=bool)
    front = reached.copy()
    for _ in range(min(copies, capacity // length)):
        front[capacity + 1 - length :] = False
        tails |= front
        moved = np.zeros(capacity + 1, dtype=bool)
        moved[length:] = front[: capacity + 1 - length]
        front = moved & ~reached
        if not front.any():
            break
        reached |= front
    return np.flatnonzero(tails)
