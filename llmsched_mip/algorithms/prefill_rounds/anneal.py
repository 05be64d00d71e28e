"""Simulated annealing over prefill rounds and the requests that start at each of them (compiled).

Points t_0 = 0 < t_1 < ... < t_K-1 and a horizon t_K, in decode rounds; every request starts at one of the points.  What
is active after t_m counts until t_m+1, since nothing can take its slot before, with the p + min(t_m+1 - t, d) KV tokens
that are the most that it holds until then.  With A_m the requests and H_m the tokens so counted, the search
lowers, in slot-rounds,

    J t_K + ρ J Σ_k used_k / (used_k + h)
      + λ (Σ_m (t_m+1 - t_m) (max(0, A_m - J) + J max(0, H_m - M) / M) + LATE Σ_i max(0, end_i - t_K))

with ρ the rounds that a prefill iteration is worth.  With h falling to 0 the second sum falls to the number of points
that are used; points that nobody uses cost nothing and jump to rounds at which some request ends.  Where the part in
brackets is 0 the requests fit slots and KV cache as they start.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.budget import Budget
from llmsched_mip.compiled import kernel
from llmsched_mip.timing import IntArray

LATE = 3.0
GRID_SHARE = 0.02
NEAR, STEP, PAST_END = 60, 4, 8
SPREAD_END = 0.3


class Backlog(NamedTuple):
    """The requests and the worker: tokens p and d (int arrays, shape (n,)), J, M, and ρ J in slot-rounds."""

    prompt: IntArray
    length: IntArray
    slots: float
    kv_capacity: float
    prefill: float


class Points(NamedTuple):
    """Prefill rounds with who starts there; all arrays change in place.

    Parameters
    ----------
    time : int array, shape (K + 1,)
        The points, increasing from 0, and the horizon.
    start : int array, shape (n,)
        The point at which each request starts.
    active, kv, used : int arrays, shape (K,)
        A_m, H_m, and the requests that start at each point.
    """

    time: IntArray
    start: IntArray
    active: IntArray
    kv: IntArray
    used: IntArray

    @classmethod
    def of(cls, time: IntArray, start: IntArray) -> Points:
        """Points that are not yet counted."""
        active, kv, used = np.zeros((3, len(time) - 1), dtype=np.int64)
        return cls(time.astype(np.int64), start.astype(np.int64), active, kv, used)

    def copy(self) -> Points:
        """The same in arrays of its own."""
        return Points(*(column.copy() for column in self))

    @property
    def prefills(self) -> int:
        """Points at which some request starts."""
        return len(np.unique(self.start))

    @property
    def start_round(self) -> IntArray:
        """The round at which each request starts: shape (n,)."""
        return self.time[self.start]

    def with_free(self, count: int, random: np.random.Generator) -> Points:
        """The points that are used, and `count` random ones that are not."""
        times = np.unique(np.append(0, self.start_round))
        free = np.setdiff1d(np.arange(1, self.time[-1]), times)
        more = random.choice(free, min(count, len(free)), replace=False)
        merged = np.sort(np.concatenate([times, more, self.time[-1:]]))
        return Points.of(merged, np.searchsorted(merged, self.start_round))


@kernel
def _over(b, rounds, active, kv):  # type: ignore[no-untyped-def]
    """What is over the slots and the KV cache between two points, in slot-rounds."""
    over = 0.0
    if active > b.slots:
        over += active - b.slots
    if kv > b.kv_capacity:
        over += (kv - b.kv_capacity) * b.slots / b.kv_capacity
    return over * rounds


@kernel
def _put(b, s, i, k, sign):  # type: ignore[no-untyped-def]
    """Count request i from point k on (sign 1), or take it out (-1); what that adds to the penalty."""
    begin, last = s.time[k], len(s.used)
    end = begin + b.length[i]
    m, cost = k, 0.0
    while m < last and s.time[m] < end:
        rounds = s.time[m + 1] - s.time[m]
        cost -= _over(b, rounds, s.active[m], s.kv[m])
        s.active[m] += sign
        s.kv[m] += sign * (b.prompt[i] + min(s.time[m + 1] - begin, b.length[i]))
        cost += _over(b, rounds, s.active[m], s.kv[m])
        m += 1
    s.used[k] += sign
    return cost + sign * LATE * max(0, end - s.time[last])


@njit(cache=True)
def recount(b, s):  # type: ignore[no-untyped-def]
    """Count all requests anew; the penalty, without λ."""
    s.active[:], s.kv[:], s.used[:] = 0, 0, 0
    cost = 0.0
    for i in range(len(b.length)):
        cost += _put(b, s, i, s.start[i], 1)
    return cost


@kernel
def _price(b, s, spread):  # type: ignore[no-untyped-def]
    """What horizon and points cost, in slot-rounds."""
    cost = b.slots * s.time[-1]
    for used in s.used:
        cost += b.prefill * used / (used + spread)
    return cost


@kernel
def _jump(b, s, other, random):  # type: ignore[no-untyped-def]
    """A point that nobody uses goes where some request ends, or to where one has to start to end at a point."""
    count, n = len(s.used), len(b.length)
    j = 1 + int(random.random() * (count - 1))
    i, k = int(random.random() * n), int(random.random() * (count + 1))
    to = s.time[s.start[i]] + b.length[i] if random.random() < 0.6 else s.time[k] - b.length[i]
    if j >= count or s.used[j] > 0 or to <= 0 or to >= s.time[count]:
        return False
    for m in range(count + 1):
        if s.time[m] == to:
            return False
    shifted = 0
    for m in range(1, count):
        shifted += s.time[m] < to
    shifted -= s.time[j] < to
    place = shifted + 1
    for m in range(j, place):
        other.time[m] = s.time[m + 1]
    for m in range(j, place, -1):
        other.time[m] = s.time[m - 1]
    other.time[place] = to
    for i in range(n):
        k = s.start[i]
        if j < k <= place:
            other.start[i] = k - 1
        elif place <= k < j:
            other.start[i] = k + 1
    return True


@kernel
def _merge(b, s, other, k, draw):  # type: ignore[no-untyped-def]
    """Who starts at point k starts at the one before or after it, or what follows closes up to the one before."""
    count, to = len(s.used), k - 1
    if k >= count or s.used[k] == 0:
        return False
    if 0.4 <= draw < 0.7 and k + 1 < count:
        to = k + 1
    elif draw >= 0.7:
        gap = s.time[k] - s.time[k - 1]
        for m in range(k + 1, count + 1):
            other.time[m] -= gap
        other.time[k] = other.time[k - 1] + 1
        if other.time[k] >= other.time[k + 1]:
            return False
    for i in range(len(b.length)):
        if s.start[i] == k:
            other.start[i] = to
    return True


@kernel
def _shift(s, other, k, kind, longest, random):  # type: ignore[no-untyped-def]
    """Point k, all from it on, or all that stand apart from it by a multiple of the longest length, a little."""
    delta = 1 + int(random.random() * STEP)
    if random.random() < 0.5:
        delta = -delta
    last = len(s.used)
    for m in range(1, last + 1):
        apart = s.time[m] - s.time[k]
        if m == k or (kind == 1 and m > k) or (kind == 2 and apart % longest == 0):
            other.time[m] += delta
    ordered = True
    for m in range(last):
        ordered = ordered and other.time[m] < other.time[m + 1]
    return ordered


@njit(cache=True)
def _change_points(b, s, other, longest, random):  # type: ignore[no-untyped-def]
    """One random change of the points, made in `other`; whether there is one."""
    other.time[:], other.start[:] = s.time, s.start
    draw, k = random.random(), 1 + int(random.random() * len(s.used))
    if draw < 0.35:
        return _jump(b, s, other, random)
    if draw < 0.45:
        return _merge(b, s, other, k, random.random())
    return _shift(s, other, k, 0 if draw < 0.6 else 1 if draw < 0.85 else 2, longest, random)


@kernel
def _target(b, s, i, random):  # type: ignore[no-untyped-def]
    """A random point for request i: any, one near its own, or the last one from which it ends by a random point."""
    draw, count = random.random(), len(s.used)
    if draw < 0.5:
        return int(random.random() * count)
    if draw < 0.75:
        return min(max(s.start[i] + int(random.random() * 7) - 3, 0), count - 1)
    k = 1 + int(random.random() * count)
    by = s.time[k] - b.length[i]
    while k > 0 and s.time[k] > by:
        k -= 1
    return k


@njit(cache=True)
def _stage(b, s, other, lists, limits, moves, random):  # type: ignore[no-untyped-def]
    """Random changes at one temperature; `limits`: h, λ and the temperature, `lists`: requests by length, and ranks."""
    by_length, rank = lists
    spread, excess, temperature = limits
    n, penalty = len(b.length), recount(b, s)
    for _ in range(moves):
        draw, accepted = random.random(), -temperature * math.log(1.0 - random.random())
        if draw < GRID_SHARE:
            if not _change_points(b, s, other, b.length[by_length[n - 1]], random):
                continue
            cost = recount(b, other)
            if excess * (cost - penalty) + _price(b, other, spread) - _price(b, s, spread) <= accepted:
                s.time[:], s.start[:], s.active[:] = other.time, other.start, other.active
                s.kv[:], s.used[:], penalty = other.kv, other.used, cost
            continue
        i, j, more = int(random.random() * n), -1, 0.0
        x = s.start[i]
        if draw < 0.5:
            y = _target(b, s, i, random)
            more += b.prefill * ((s.used[y] + 1) / (s.used[y] + 1 + spread) - s.used[y] / (s.used[y] + spread))
            more += b.prefill * ((s.used[x] - 1) / (s.used[x] - 1 + spread) - s.used[x] / (s.used[x] + spread))
        else:
            j = by_length[min(max(rank[i] + int(random.random() * (2 * NEAR + 1)) - NEAR, 0), n - 1)]
            y = s.start[j]
        latest = s.time[-1] + PAST_END
        if x == y or s.time[y] + b.length[i] > latest or (j >= 0 and s.time[x] + b.length[j] > latest):
            continue
        cost = _put(b, s, i, x, -1) + _put(b, s, i, y, 1)
        if j >= 0:
            cost += _put(b, s, j, y, -1) + _put(b, s, j, x, 1)
        if excess * cost + more <= accepted:
            s.start[i], penalty = y, penalty + cost
            if j >= 0:
                s.start[j] = x
            continue
        _put(b, s, i, y, -1)
        _put(b, s, i, x, 1)
        if j >= 0:
            _put(b, s, j, x, -1)
            _put(b, s, j, y, 1)


class Cooling(NamedTuple):
    """First and last temperature (slot-rounds), first h, first and last λ, random changes and stages."""

    hot: float
    cold: float
    spread: float
    excess: tuple[float, float]
    moves: int
    stages: int = 60


def anneal(b: Backlog, points: Points, cooling: Cooling, budget: Budget, random: np.random.Generator) -> Points:
    """Points with little cost; what was reached when time is up.  `points` stay as they are.

    Parameters
    ----------
    b : Backlog
    points : Points
        At least two points.
    cooling : Cooling
    budget : Budget
    random : Generator
    """
    s, by_length = points.copy(), np.argsort(b.length, kind="stable")
    lists, other = (by_length, np.argsort(by_length, kind="stable")), points.copy()
    for stage in range(cooling.stages):
        if budget.spent():
            break
        done = stage / max(1, cooling.stages - 1)
        spread = cooling.spread * (SPREAD_END / cooling.spread) ** done
        excess = cooling.excess[0] * (cooling.excess[1] / cooling.excess[0]) ** done
        limits = (spread, excess, cooling.hot * (cooling.cold / cooling.hot) ** done)
        _stage(b, s, other, lists, limits, max(1, cooling.moves // cooling.stages), random)
    return s
