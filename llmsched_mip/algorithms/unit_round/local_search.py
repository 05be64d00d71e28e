"""Simulated annealing over orders: each request takes the earliest start that the ones before it leave."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.budget import Budget
from llmsched_mip.compiled import kernel
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.unit_loads import add, earliest
from llmsched_mip.unit_rounds import UnitRounds

HOT, COLD = 0.02, 0.0005
SLICE_WORK = 2_000_000


class Requests(NamedTuple):
    """The unit-round problem, compiled."""

    p: IntArray
    d: IntArray
    weight: FloatArray
    capacity: int


class Schedule(NamedTuple):
    """An order, the starts that it gives and the KV load of every round; the best value and starts met."""

    order: IntArray
    starts: IntArray
    load: IntArray
    best: FloatArray
    best_starts: IntArray


@kernel
def _rebuild(requests, schedule, begin):  # type: ignore[no-untyped-def]
    """Place the requests from position `begin` of the order on; the weighted sum of their completions."""
    p, d, weight, capacity = requests
    cost = 0.0
    for at in range(begin, len(schedule.order)):
        i = schedule.order[at]
        schedule.starts[i] = earliest(schedule.load, capacity, p[i], d[i], 0)
        add(schedule.load, p[i], d[i], schedule.starts[i], 1)
        cost += weight[i] * (schedule.starts[i] + d[i])
    return cost


@kernel
def _load(requests, schedule, begin, sign):  # type: ignore[no-untyped-def]
    """Add (sign 1) or take out (sign -1) the load of the requests from position `begin` of the order on."""
    for at in range(begin, len(schedule.order)):
        i = schedule.order[at]
        add(schedule.load, requests.p[i], requests.d[i], schedule.starts[i], sign)


@njit(cache=True)
def _anneal(requests, schedule, value, temperature, moves, random):  # type: ignore[no-untyped-def]
    """Insertions and swaps at one temperature; updates the schedule in place, returns its value."""
    order, starts = schedule.order, schedule.starts
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
            kept -= requests.weight[order[at]] * (starts[order[at]] + requests.d[order[at]])
        _load(requests, schedule, begin, -1)
        if random.random() < 0.6:
            i = order[a]
            if a < b:
                order[a:b] = old[a + 1 : b + 1]
            else:
                order[b + 1 : a + 1] = old[b:a]
            order[b] = i
        else:
            order[a], order[b] = order[b], order[a]
        new = kept + _rebuild(requests, schedule, begin)
        if new <= value or random.random() < math.exp((value - new) / temperature):
            value = new
            if value < schedule.best[0] - 1e-9:
                schedule.best[0] = value
                schedule.best_starts[:] = starts
            continue
        _load(requests, schedule, begin, -1)
        order[:], starts[:] = old, old_starts
        _load(requests, schedule, begin, 1)
    return value


def anneal(problem: UnitRounds, starts: IntArray, budget: Budget, seed: int) -> IntArray:
    """Best start rounds found within a finite budget, from `starts` on; the temperature follows the time passed."""
    random, d = np.random.default_rng(seed), problem.d
    requests = Requests(problem.p, d, problem.weight, problem.capacity)
    load = np.zeros(int(d.sum()) + int(d.max()) + 2, dtype=np.int64)
    best = np.array([problem.value(starts)])
    order, placed = np.lexsort((d, starts)), np.zeros(problem.n, dtype=np.int64)
    schedule = Schedule(order, placed, load, best, starts.astype(np.int64))
    value = _rebuild(requests, schedule, 0)
    if value < best[0]:
        best[0], schedule.best_starts[:] = value, placed
    per_request = best[0] / problem.n
    moves = int(np.clip(SLICE_WORK // int(d.sum()), 1, 5_000))
    while not budget.spent():
        share = min(1.0, budget.elapsed / budget.seconds)
        temperature = per_request * HOT * (COLD / HOT) ** share * 5
        value = _anneal(requests, schedule, value, temperature, moves, random)
    return schedule.best_starts
