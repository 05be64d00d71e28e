"""Depth-first search over start rounds in the order of time (compiled); see `exact` for what it proves.

A node is a round t, the requests started so far (at t or before) and the KV load they leave.  Its children start
one more request at t, by ascending index, or go on to the next round at which a request fits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from llmsched_mip.unit_loads import add, earliest

T_NOW, DEPTH, NODES, ENTRIES = 0, 1, 2, 3
LONGEST_CHAIN = 256


@njit(cache=True)
def _reducible(load, capacity, p, d, s):  # type: ignore[no-untyped-def]
    """Whether a started request could start one round earlier."""
    if s == 0 or load[s] + p + 1 > capacity:
        return False
    for r in range(s + 1, s + d):  # noqa: SIM110 - compiled
        if load[r] + 1 > capacity:
            return False
    return True


@njit(cache=True)
def _fits(load, capacity, p, d, s):  # type: ignore[no-untyped-def]
    for k in range(1, d + 1):  # noqa: SIM110 - compiled
        if load[s + k] + p + k > capacity:
            return False
    return True


@njit(cache=True)
def wasteful(load, capacity, p, d, starts, t, then):  # type: ignore[no-untyped-def]
    """Whether going on from t to `then` fixes a load in which one request could simply be moved earlier.

    The rounds up to `then` change no more.  A started request whose other rounds end in (t, then] could start a
    round earlier; or a waiting one fits as a whole before `then`.
    """
    for i in range(len(p)):
        if starts[i] >= 0:
            last = starts[i] + d[i] - 1
            if t < last <= then and _reducible(load, capacity, p[i], d[i], starts[i]):
                return True
        else:
            for s in range(max(0, t + 1 - d[i]), then - d[i] + 1):
                if _fits(load, capacity, p[i], d[i], s):
                    return True
    return False


@njit(cache=True)
def dominated(memo_head, memo_next, memo_key, memo_cost, memo_load, counters, own, key, then, load, cost, eps):  # type: ignore[no-untyped-def]
    """Whether a stored state (same requests started, no later round) costs no more and leaves no more load; else store.

    `own` is the entry of the node whose starts this one has, -1 if it is the first with them: a node must not be
    dropped for the sake of the one above it, of which it is the continuation.  Only the first is stored.
    """
    width = memo_load.shape[1]
    slot = (key * 1099511628211) % len(memo_head)
    entry = memo_head[slot]
    seen = 0
    while entry >= 0 and seen < LONGEST_CHAIN:
        if entry != own and memo_key[entry, 0] == key and memo_key[entry, 1] <= then and memo_cost[entry] <= cost + eps:
            smaller = True
            shift = then - memo_key[entry, 1]
            for r in range(width - shift):
                if memo_load[entry, r + shift] > load[then + 1 + r]:
                    smaller = False
                    break
            if smaller:
                return True
        entry = memo_next[entry]
        seen += 1
    new = counters[ENTRIES]
    if own < 0 and new < len(memo_cost):
        memo_key[new, 0] = key
        memo_key[new, 1] = then
        memo_cost[new] = cost
        for r in range(width):
            memo_load[new, r] = load[then + 1 + r]
        memo_next[new] = memo_head[slot]
        memo_head[slot] = new
        counters[ENTRIES] += 1
    return False


@njit(cache=True)
def run(  # type: ignore[no-untyped-def]
    p, d, weight, capacity, twin, excess, least, most, step, eps,
    level, low, first, load, starts, counters, best, best_starts, budget,
    memo_head, memo_next, memo_key, memo_cost, memo_load,
):  # fmt: skip
    """Search until done (True) or until `budget` more nodes were opened (False).

    `excess` are reduced costs and `least` their minima over all later starts; `most` is the largest value that is
    still looked for, and `eps` what rounding errors may add to a value.  `level[depth]` = (round, first child, next
    child, request started on the way, cost so far,
    table entry of the nodes with these starts).
    """
    n = len(p)
    end = counters[NODES] + budget
    horizon = excess.shape[1] - 1
    while counters[DEPTH] >= 0:
        depth = counters[DEPTH]
        t = int(level[depth, 0])
        child = int(level[depth, 2])
        limit = min(best[0] - step, most)
        if child > n or low[depth] > limit + eps:
            request = int(level[depth, 3])
            if request >= 0:
                add(load, p[request], d[request], starts[request], -1)
                starts[request] = -1
            counters[DEPTH] -= 1
            continue
        level[depth, 2] = child + 1
        if child < n:
            if starts[child] >= 0 or first[depth, child] != t:
                continue
            if twin[child] >= 0 and starts[twin[child]] < 0:
                continue
            spent = level[depth, 4] + excess[child, t]
            if low[depth] - least[child, t] + excess[child, t] > limit + eps:
                continue
            starts[child] = t
            add(load, p[child], d[child], t, 1)
            then, begin, request = t, child + 1, child
        else:
            then = horizon + 1
            for i in range(n):
                if starts[i] < 0:
                    s = first[depth, i]
                    if s <= t:
                        s = earliest(load, capacity, p[i], d[i], t + 1)
                    then = min(then, s)
            if then > horizon or wasteful(load, capacity, p, d, starts, t, then):
                continue
            spent, begin, request = level[depth, 4], 0, -1
        counters[NODES] += 1
        total, waiting, key, cost = spent, 0, np.int64(0), 0.0
        for i in range(n):
            if starts[i] < 0:
                waiting += 1
                from_round = then if i >= begin else then + 1
                s = max(first[depth, i], from_round)
                if s <= horizon:
                    s = earliest(load, capacity, p[i], d[i], s)
                first[depth + 1, i] = s
                total += least[i, s] if s <= horizon else np.inf
            else:
                key |= np.int64(1) << i
                cost += weight[i] * starts[i]
        keep = total <= limit + eps
        if keep and waiting == 0:
            value = 0.0
            for i in range(n):
                value += weight[i] * (starts[i] + d[i])
            if value < best[0] - eps:
                best[0] = value
                best_starts[:] = starts
            keep = False
        entry = np.int64(-1)
        if keep and request < 0:
            entry = np.int64(level[depth, 5])
            before = counters[ENTRIES]
            keep = not dominated(
                memo_head, memo_next, memo_key, memo_cost, memo_load, counters, entry, key, then, load, cost, eps
            )
            if counters[ENTRIES] > before:
                entry = before
        if not keep:
            if request >= 0:
                add(load, p[request], d[request], t, -1)
                starts[request] = -1
            continue
        depth += 1
        counters[DEPTH] = depth
        level[depth, 0], level[depth, 1], level[depth, 2] = then, begin, begin
        level[depth, 3], level[depth, 4], level[depth, 5] = request, spent, entry
        low[depth] = total
        if counters[NODES] >= end:
            return False
    return True
