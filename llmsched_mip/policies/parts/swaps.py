"""Exchanges in a list of requests, in the unit-round model (compiled): to compare orders, not to execute them."""

from __future__ import annotations

import numpy as np
from numba import njit

from llmsched_mip.unit_loads import list_starts

ROUNDING = 1e-12


@njit(cache=True)
def _value(weight, starts, d):  # type: ignore[no-untyped-def]
    """Σ ω (start + d)."""
    total = 0.0
    for i in range(len(d)):
        total += weight[i] * (starts[i] + d[i])
    return total


@njit(cache=True)
def swapped(order, p, d, weight, capacity, slots, reach, evaluations):  # type: ignore[no-untyped-def]
    """Exchange two requests of the order, up to `reach` places apart, as long as the weighted total completion of
    the list falls; nearest first, until a whole pass finds nothing or the evaluations are used up."""
    n, horizon = len(p), 2 + d.sum()
    load, active = np.zeros(horizon, dtype=np.int64), np.zeros(horizon, dtype=np.int64)
    starts = np.zeros(n, dtype=np.int64)
    list_starts(order, p, d, capacity, slots, load, active, starts)
    best = _value(weight, starts, d)
    improved = True
    while improved:
        improved = False
        for gap in range(1, min(reach, n - 1) + 1):
            for k in range(n - gap):
                i, j = order[k], order[k + gap]
                if p[i] == p[j] and d[i] == d[j] and weight[i] == weight[j]:
                    continue
                if evaluations <= 0:
                    return order
                order[k], order[k + gap] = j, i
                list_starts(order, p, d, capacity, slots, load, active, starts)
                value = _value(weight, starts, d)
                evaluations -= 1
                if value < best * (1 - ROUNDING):
                    best, improved = value, True
                else:
                    order[k], order[k + gap] = i, j
    return order
