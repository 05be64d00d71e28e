"""List scheduling in the unit-round model (compiled): to compare orders quickly, not to execute them."""

from __future__ import annotations

import numpy as np
from numba import njit

ROUNDING = 1e-12


@njit(cache=True)
def list_starts(order, p, d, capacity, slots, load, active, starts):  # type: ignore[no-untyped-def]
    """Start every request of `order` in the first round, not before the one ahead of it, in which it fits.

    ``load[t]`` and ``active[t]``, arrays longer than the plan and set to 0 here, are KV and requests of round t;
    `starts` is filled.  Returns the last round.
    """
    load[:] = 0
    active[:] = 0
    s = last = 0
    for i in order:
        while True:
            moved = False
            for t in range(min(s + d[i], last), s, -1):
                room = capacity - load[t] - p[i]
                if t - s > room or active[t] >= slots:
                    s = t if room < 1 or active[t] >= slots else t - room
                    moved = True
                    break
            if not moved:
                break
        starts[i] = s
        last = max(last, s + d[i])
        for k in range(1, d[i] + 1):
            load[s + k] += p[i] + k
            active[s + k] += 1
    return last


@njit(cache=True)
def _value(order, p, d, weight, capacity, slots, load, active, starts):  # type: ignore[no-untyped-def]
    list_starts(order, p, d, capacity, slots, load, active, starts)
    total = 0.0
    for i in range(len(p)):
        total += weight[i] * (starts[i] + d[i])
    return total


@njit(cache=True)
def swapped(order, p, d, weight, capacity, slots, reach, evaluations):  # type: ignore[no-untyped-def]
    """Exchange two requests of the order, up to `reach` places apart, as long as the weighted total completion of
    the list falls; nearest first, until a whole pass finds nothing or the evaluations are used up."""
    n, horizon = len(p), 2 + d.sum()
    load, active = np.zeros(horizon, dtype=np.int64), np.zeros(horizon, dtype=np.int64)
    starts = np.zeros(n, dtype=np.int64)
    best = _value(order, p, d, weight, capacity, slots, load, active, starts)
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
                value = _value(order, p, d, weight, capacity, slots, load, active, starts)
                evaluations -= 1
                if value < best * (1 - ROUNDING):
                    best, improved = value, True
                else:
                    order[k], order[k + gap] = i, j
    return order
