"""MC-SF of the KV-cache scheduling papers: the baseline of the unit-round instances."""

from __future__ import annotations

import numpy as np

from llmsched_mip.timing import IntArray
from llmsched_mip.unit_loads import list_starts
from llmsched_mip.unit_rounds import UnitRounds


def shortest_first(problem: UnitRounds) -> IntArray:
    """Memory-constrained shortest first (Jaillet et al. 2025, algorithm MC-SF): start rounds, shape (n,).

    In every round the waiting requests are taken by ascending output length (ties as given) as long as the KV
    cache holds at every future completion; the first that does not fit ends the round's batch.
    """
    order = np.argsort(problem.d, kind="stable")
    load, active = np.zeros((2, int(problem.d.sum()) + int(problem.d.max()) + 2), dtype=np.int64)
    starts = np.zeros(problem.n, dtype=np.int64)
    list_starts(order, problem.p, problem.d, problem.capacity, problem.n, load, active, starts)
    return starts
