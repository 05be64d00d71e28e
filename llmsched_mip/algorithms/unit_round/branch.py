"""Depth-first search over start rounds in the order of time (compiled); see `exact` for what it proves.

A node is a round t, the requests started so far (at t or before) and the KV load they leave.  Its children start
one more request at t, by ascending index, or go on to the next round at which a request fits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llmsched_mip.algorithms.states import dominated, store
from llmsched_mip.compiled import copy_to, kernel
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.unit_loads import add, earliest
from llmsched_mip.unit_rounds import UnitRounds

DEPTH, NODES = 0, 1


class Requests(NamedTuple):
    """The unit-round problem for the search, requests in its order.

    `twin` is the equal request before each, -1 for none; `excess` are reduced costs by start and `least` their minima
    over all later starts; values are multiples of `step`, and `eps` is what rounding errors may add to a value.
    """

    p: IntArray
    d: IntArray
    weight: FloatArray
    capacity: int
    twin: IntArray
    excess: FloatArray
    least: FloatArray
    step: float
    eps: float

    @classmethod
    def of(
        cls, problem: UnitRounds, order: IntArray, weight: FloatArray, excess: FloatArray, step: float, eps: float
    ) -> Requests:
        """The requests in the given order; `weight` and `excess` are in it already."""
        p, d = problem.p[order], problem.d[order]
        least = np.minimum.accumulate(excess[:, ::-1], axis=1)[:, ::-1].copy()
        same = (np.diff(p) == 0) & (np.diff(d) == 0) & (np.diff(weight) == 0)
        twin = np.concatenate(([-1], np.where(same, np.arange(len(same)), -1)))
        return cls(p, d, weight, problem.capacity, twin, excess, least, step, eps)


class Tree(NamedTuple):
    """The path to the node where the search stands, and the best starts found.

    Row k of `level` is a node: round, first child, next child, request started on the way, cost so far, table entry
    of the nodes with these starts; `low` its least value, `first` the first start of those that wait.
    """

    level: FloatArray
    low: FloatArray
    first: IntArray
    load: IntArray
    starts: IntArray
    counters: IntArray
    best: FloatArray
    best_starts: IntArray

    @classmethod
    def of(cls, requests: Requests, bound: float, value: float, starts: IntArray) -> Tree:
        """The root, of least value `bound`, and starts of a known `value`."""
        n, rounds = requests.excess.shape
        depth = n + rounds + 2
        level, low = np.zeros((depth, 6)), np.zeros(depth)
        level[0, 3], level[0, 5], level[0, 4], low[0] = -1, -1, bound, bound
        load = np.zeros(rounds + 2 * int(requests.d.max()) + 2, dtype=np.int64)
        return cls(
            level,
            low,
            np.zeros((depth, n), dtype=np.int64),
            load,
            np.full(n, -1, dtype=np.int64),
            np.zeros(2, dtype=np.int64),
            np.array([value]),
            starts.astype(np.int64),
        )


@kernel
def _reducible(load, capacity, p, d, s):  # type: ignore[no-untyped-def]
    """Whether a started request could start one round earlier."""
    if s == 0 or load[s] + p + 1 > capacity:
        return False
    for r in range(s + 1, s + d):  # noqa: SIM110 - compiled
        if load[r] + 1 > capacity:
            return False
    return True


@kernel
def _fits(load, capacity, p, d, s):  # type: ignore[no-untyped-def]
    for k in range(1, d + 1):  # noqa: SIM110 - compiled
        if load[s + k] + p + k > capacity:
            return False
    return True


@kernel
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


@kernel
def _undo(requests, tree, request):  # type: ignore[no-untyped-def]
    """Take back the start of a request, if it is one."""
    if request >= 0:
        add(tree.load, requests.p[request], requests.d[request], tree.starts[request], -1)
        tree.starts[request] = -1


@kernel
def _can_start(requests, tree, depth, t, child, limit):  # type: ignore[no-untyped-def]
    """Whether the request `child` may start at t in the node."""
    starts, twin = tree.starts, requests.twin[child]
    if starts[child] >= 0 or tree.first[depth, child] != t or (twin >= 0 and starts[twin] < 0):
        return False
    return tree.low[depth] - requests.least[child, t] + requests.excess[child, t] <= limit


@kernel
def _next_round(requests, tree, depth, t, horizon):  # type: ignore[no-untyped-def]
    """First round after t at which a waiting request fits; horizon + 1 for none."""
    then = horizon + 1
    for i in range(len(requests.p)):
        if tree.starts[i] < 0:
            s = tree.first[depth, i]
            if s <= t:
                s = earliest(tree.load, requests.capacity, requests.p[i], requests.d[i], t + 1)
            then = min(then, s)
    return then


@kernel
def _bound(requests, tree, depth, then, begin):  # type: ignore[no-untyped-def]
    """First starts of all that wait at the node `depth`, requests before `begin` after `then`, and what follows.

    That is: least excess of those that wait, their number, those started as bits, Σ weight start of these.
    """
    horizon = requests.excess.shape[1] - 1
    total, waiting, key, cost = tree.level[depth, 4], 0, np.int64(0), 0.0
    for i in range(len(requests.p)):
        if tree.starts[i] < 0:
            waiting += 1
            s = max(tree.first[depth - 1, i], then if i >= begin else then + 1)
            if s <= horizon:
                s = earliest(tree.load, requests.capacity, requests.p[i], requests.d[i], s)
            tree.first[depth, i] = s
            total += requests.least[i, s] if s <= horizon else np.inf
        else:
            key |= np.int64(1) << i
            cost += requests.weight[i] * tree.starts[i]
    return total, waiting, key, cost


@kernel
def _offer(requests, tree):  # type: ignore[no-untyped-def]
    """Keep the starts of all requests where they are better."""
    value = 0.0
    for i in range(len(requests.p)):
        value += requests.weight[i] * (tree.starts[i] + requests.d[i])
    if value < tree.best[0] - requests.eps:
        tree.best[0] = value
        copy_to(tree.best_starts, tree.starts)


@kernel
def _met(tree, states, node, key, cost, eps):  # type: ignore[no-untyped-def]
    """Whether the node after a change of the round is dominated; else it is stored with its entry.

    The table has one entry of the nodes with the same starts, the first: a node must not be dropped for the sake of
    the one above it, of which it is the continuation.
    """
    then, entry = int(tree.level[node, 0]), np.int64(tree.level[node, 5])
    load = tree.load[then + 1 : then + 1 + states.state.shape[1]]
    if dominated(states, key, then, cost + eps, load, entry, False):
        return True
    if entry < 0:
        tree.level[node, 5] = store(states, key, then, cost, load)
    return False


@kernel
def run(requests, tree, states, most, budget):  # type: ignore[no-untyped-def]
    """Search until done (True) or until `budget` more nodes were opened (False).

    `most` is the largest value that is still looked for.
    """
    n, eps = len(requests.p), requests.eps
    level, low, counters = tree.level, tree.low, tree.counters
    end = counters[NODES] + budget
    horizon = requests.excess.shape[1] - 1
    while counters[DEPTH] >= 0:
        depth = counters[DEPTH]
        t, child = int(level[depth, 0]), int(level[depth, 2])
        limit = min(tree.best[0] - requests.step, most) + eps
        if child > n or low[depth] > limit:
            _undo(requests, tree, int(level[depth, 3]))
            counters[DEPTH] -= 1
            continue
        level[depth, 2] = child + 1
        then, begin, request, spent, entry = t, 0, -1, level[depth, 4], -1.0
        if child < n:
            if not _can_start(requests, tree, depth, t, child, limit):
                continue
            begin, request, spent = child + 1, child, spent + requests.excess[child, t]
            tree.starts[child] = t
            add(tree.load, requests.p[child], requests.d[child], t, 1)
        else:
            then, entry = _next_round(requests, tree, depth, t, horizon), level[depth, 5]
            if then > horizon or wasteful(tree.load, requests.capacity, requests.p, requests.d, tree.starts, t, then):
                continue
        counters[NODES] += 1
        node = depth + 1
        level[node, 0], level[node, 1], level[node, 2] = then, begin, begin
        level[node, 3], level[node, 4], level[node, 5] = request, spent, entry
        total, waiting, key, cost = _bound(requests, tree, node, then, begin)
        low[node] = total
        keep = total <= limit
        if keep and waiting == 0:
            _offer(requests, tree)
            keep = False
        if keep and request < 0:
            keep = not _met(tree, states, node, key, cost, eps)
        if not keep:
            _undo(requests, tree, request)
            continue
        counters[DEPTH] = node
        if counters[NODES] >= end:
            return False
    return True
