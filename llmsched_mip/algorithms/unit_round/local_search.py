"""Simulated annealing over orders: each request takes the earliest start that the ones before it leave."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from llmsched_mip.budget import Budget
from llmsched_mip.timing import IntArray
from llmsched_mip.unit_loads import add, earliest
from llmsched_mip.unit_rounds import UnitRounds

HOT, COLD = 0.02, 0.0005
SLICE_WORK = 2_000_000


@njit(cache=True)
def _rebuild(p, d, weight, capacity, order, begin, load, starts):  # type: ignore[no-untyped-def]
    """Place the requests from position `begin` of the order on; the weighted sum of their completions."""
    cost = 0.0
    for at in range(begin, len(order)):
        i = order[at]
        starts[i] = earliest(load, capacity, p[i], d[i], 0)
        add(load, p[i], d[i], starts[i], 1)
        cost += weight[i] * (starts[i] + d[i])
    return cost


@njit(cache=True)
def _anneal(p, d, weight, capacity, order, load, starts, value, best, best_starts, temperature, moves, random):  # type: ignore[no-untyped-def]
    """Insertions and swaps at one temperature; updates everything in place, returns the current value."""
    n = len(order)
    old, old_starts = order.copy(), starts.copy()
    for _ in range(moves):
        a, b = random.integers(0, n), random.integers(0, n)
        if random.random() < 0.5:
            b = min(max(a + random.integers(-6, 7), 0), n - 1)
        if a == b:
            continue
        begin = min(a, b)
        old[:], old_starts[:] = order, starts
        kept = value
        for at in range(begin, n):
            i = order[at]
            add(load, p[i], d[i], starts[i], -1)
            kept -= weight[i] * (starts[i] + d[i])
        if random.random() < 0.6:
            i = order[a]
            if a < b:
                order[a:b] = old[a + 1 : b + 1]
            else:
                order[b + 1 : a + 1] = old[b:a]
            order[b] = i
        else:
            order[a], order[b] = order[b], order[a]
        new = kept + _rebuild(p, d, weight, capacity, order, begin, load, starts)
        if new <= value or random.random() < math.exp((value - new) / temperature):
            value = new
            if value < best[0] - 1e-9:
                best[0] = value
                best_starts[:] = starts
            continue
        for at in range(begin, n):
            i = order[at]
            add(load, p[i], d[i], starts[i], -1)
        order[:], starts[:] = old, old_starts
        for at in range(begin, n):
            i = order[at]
            add(load, p[i], d[i], starts[i], 1)
    return value


def anneal(problem: UnitRounds, starts: IntArray, budget: Budget, seed: int) -> IntArray:
    """Best start rounds found within a finite budget, from `starts` on; the temperature follows the time passed."""
    own, random = problem, np.random.default_rng(seed)
    load = np.zeros(int(own.d.sum()) + int(own.d.max()) + 2, dtype=np.int64)
    order = np.lexsort((own.d, starts))
    current = np.zeros(own.n, dtype=np.int64)
    value = _rebuild(own.p, own.d, own.weight, own.capacity, order, 0, load, current)
    best, best_starts = np.array([own.value(starts)]), starts.astype(np.int64)
    if value < best[0]:
        best[0], best_starts[:] = value, current
    per_request = best[0] / own.n
    moves = int(np.clip(SLICE_WORK // int(own.d.sum()), 1, 5_000))
    while not budget.spent():
        share = min(1.0, budget.elapsed / budget.seconds)
        temperature = per_request * HOT * (COLD / HOT) ** share * 5
        value = _anneal(
            own.p, own.d, own.weight, own.capacity, order, load, current, value, best, best_starts,
            temperature, moves, random,
        )  # fmt: skip
    return best_starts
