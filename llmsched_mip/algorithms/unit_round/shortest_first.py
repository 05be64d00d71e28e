"""MC-SF of the KV-cache scheduling papers: the baseline of the unit-round instances."""

from __future__ import annotations

import numpy as np
from numba import njit

from llmsched_mip.algorithms.unit_round.loads import add
from llmsched_mip.timing import IntArray
from llmsched_mip.unit_rounds import UnitRounds


@njit(cache=True)
def _run(p, d, capacity, order, load, starts):  # type: ignore[no-untyped-def]
    t, at = 0, 0
    while at < len(order):
        i = order[at]
        fits = True
        for k in range(1, d[i] + 1):
            if load[t + k] + p[i] + k > capacity:
                fits = False
                break
        if fits:
            starts[i] = t
            add(load, p[i], d[i], t, 1)
            at += 1
        else:
            t += 1


def shortest_first(problem: UnitRounds) -> IntArray:
    """Memory-constrained shortest first (Jaillet et al. 2025, algorithm MC-SF): start rounds, shape (n,).

    In every round the waiting requests are taken by ascending output length (ties as given) as long as the KV
    cache holds at every future completion; the first that does not fit ends the round's batch.
    """
    order = np.argsort(problem.d, kind="stable")
    load = np.zeros(int(problem.d.sum()) + int(problem.d.max()) + 2, dtype=np.int64)
    starts = np.zeros(problem.n, dtype=np.int64)
    _run(problem.p, problem.d, problem.capacity, order, load, starts)
    return starts
