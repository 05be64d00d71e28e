"""Serial placement (compiled): requests in a given order, each at the earliest round that the ones before it leave.

The serial schedule generation scheme of project scheduling (Kelley 1963; Kolisch 1996, EJOR 90) with a resource whose
use grows while it is held: request i started after round s holds p_i + (t - s) KV tokens in round t, s < t ≤ s + d_i.
A list schedule decides round by round, so that a long prompt waits until enough happens to be free at once; here it
takes its place first, in any round, and short ones fill what is left before, beside and after it.

*Backwards* rounds count from the end of the schedule: a request takes the latest place that the ones before it leave.
Its use then falls from p_i + d_i as time goes on, so that requests which together overflow at their ends are ended a
few rounds apart, where placed forwards the one too many waits until another has ended.

The load is piecewise linear: in a segment the same requests are active, and its last round holds the most, or
backwards its first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.compiled import kernel
from llmsched_mip.timing import IntArray


class Jobs(NamedTuple):
    """What is placed, and where.

    Parameters
    ----------
    p, d : int arrays, shape (n,)
        Prompt tokens and decode rounds.
    patience : int array, shape (n,)
        Most rounds for which a request waits for a prefill iteration that is there already, instead of one of its own.
    step : int
        Starts are multiples of it, in rounds.
    slots, capacity : int
        Most requests at once, and KV tokens.
    pace : float
        Rounds between one request of the order and the next, for each KV-token-round of the first; 0: as early as it
        fits.  Requests that are started together grow together and leave the KV cache empty at first; at a pace of
        1 / `capacity` and a little more they are of all ages at any time, and it is full all the time.
    backward : bool
        Whether rounds count from the end.
    """

    p: IntArray
    d: IntArray
    patience: IntArray
    step: int
    slots: int
    capacity: int
    pace: float = 0.0
    backward: bool = False


def patience_rounds(p: IntArray, d: IntArray, idle_s: float, round_s: float, limits: tuple[int, int]) -> IntArray:
    """Rounds that each request may wait until what it leaves idle of the slots or the KV cache, `limits`, is worth so
    many seconds of rounds: shape (n,)."""
    slots, capacity = limits
    share = np.maximum((p + d / 2) / capacity, 1 / slots)
    return np.asarray(np.minimum(idle_s / (round_s * share), d.max()), dtype=np.int64)


class Load(NamedTuple):
    """Segments and prefill rounds of what is placed; `size` has how many there are of each.

    Segment g has the rounds ``border[g] + 1 .. border[g + 1]``; the last one has no end and is empty.  Round t of it
    holds ``offset[g] + active[g] t`` KV tokens, backwards ``offset[g] - active[g] t``.
    """

    border: IntArray
    offset: IntArray
    active: IntArray
    prefill: IntArray
    size: IntArray

    @classmethod
    def room(cls, n: int) -> Load:
        """Arrays for n requests."""
        return cls(*(np.zeros(2 * n + 2, dtype=np.int64) for _ in range(3)), *np.zeros((2, n + 2), dtype=np.int64))


@kernel
def _segment(load, s, g):  # type: ignore[no-untyped-def]
    """The segment with round s + 1, from segment g on."""
    last = load.size[0] - 1
    while g < last and load.border[g + 1] <= s:
        g += 1
    return g


@kernel
def _earliest(jobs, load, i, s, g):  # type: ignore[no-untyped-def]
    """First multiple of the step ≥ s at which request i fits, and its segment; segment g is not behind s."""
    segments, p, d = load.size[0], jobs.p[i], jobs.d[i]
    g = _segment(load, s, g)
    k = g
    while k < segments and load.border[k] < s + d:
        last = k == segments - 1
        t = s + d if last else min(s + d, load.border[k + 1])
        # In round t at most this many of the tokens that it makes fit: if none do, it starts behind the segment.
        made = jobs.capacity - p - load.offset[k] - load.active[k] * t
        full = load.active[k] >= jobs.slots or made < 1
        if not full and t - s <= made:
            k += 1
            continue
        s = load.border[k + 1] if full else t - made
        s += -s % jobs.step
        g = _segment(load, s, g)
        k = g
    return s, g


@kernel
def _earliest_backward(jobs, load, i, s, g):  # type: ignore[no-untyped-def]
    """`_earliest` where request i holds p + d - k tokens in round s + 1 + k, and s + d is a multiple of the step."""
    segments, p, d = load.size[0], jobs.p[i], jobs.d[i]
    g = _segment(load, s, g)
    k = g
    while k < segments and load.border[k] < s + d:
        t = max(s, load.border[k]) + 1
        room = jobs.capacity - load.offset[k] + load.active[k] * t
        full = load.active[k] >= jobs.slots
        if not full and p + d + 1 + s - t <= room:
            k += 1
            continue
        # Started inside the segment it holds p + d at first, beside what falls by `active` a round.
        above = p + d + load.offset[k] - jobs.capacity
        inside = load.border[k + 1] if full else max(load.border[k], -(-above // load.active[k]) - 1)
        s = max(s + 1, min(load.border[k + 1], inside))
        s += -(s + d) % jobs.step
        g = _segment(load, s, g)
        k = g
    return s, g


@kernel
def _fits_from(jobs, load, i, s, g):  # type: ignore[no-untyped-def]
    """First round ≥ s from which request i fits, and its segment."""
    if jobs.backward:
        return _earliest_backward(jobs, load, i, s, g)
    return _earliest(jobs, load, i, s, g)


@kernel
def _split(load, t, g):  # type: ignore[no-untyped-def]
    """Make round t a border, which is not before that of segment g; its number."""
    while g < load.size[0] and load.border[g] < t:
        g += 1
    if g == load.size[0] or load.border[g] != t:
        for k in range(load.size[0], g, -1):
            load.border[k], load.offset[k], load.active[k] = load.border[k - 1], load.offset[k - 1], load.active[k - 1]
        load.border[g], load.offset[g], load.active[g] = t, load.offset[g - 1], load.active[g - 1]
        load.size[0] += 1
    return g


@kernel
def _first_prefill(load, s):  # type: ignore[no-untyped-def]
    """The number of the first prefill round ≥ s."""
    low, high = 0, load.size[1]
    while low < high:
        middle = (low + high) // 2
        if load.prefill[middle] < s:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _prefilled(jobs, load, i, s, g):  # type: ignore[no-untyped-def]
    """Start of request i, which fits at s: at a prefill round that is near enough, else at one of its own, at s."""
    after = jobs.d[i] if jobs.backward else 0
    k = _first_prefill(load, s + after)
    latest = s + after + jobs.patience[i]
    while k < load.size[1] and load.prefill[k] <= latest:
        at, there = _fits_from(jobs, load, i, load.prefill[k] - after, g)
        if at == load.prefill[k] - after:
            return at, there
        while k < load.size[1] and load.prefill[k] < at + after:
            k += 1
    k = _first_prefill(load, s + after)
    for m in range(load.size[1], k, -1):
        load.prefill[m] = load.prefill[m - 1]
    load.prefill[k] = s + after
    load.size[1] += 1
    return s, g


@njit(cache=True)
def place(jobs, order, load, starts):  # type: ignore[no-untyped-def]
    """Place the requests in `order`; fills `starts`, returns the rounds and the prefill rounds."""
    load.border[0] = load.offset[0] = load.active[0] = 0
    load.size[0], load.size[1] = 1, 0
    rounds, ready = 0, 0.0
    for i in order:
        s = int(ready)
        s += -(s + jobs.d[i] if jobs.backward else s) % jobs.step
        s, g = _fits_from(jobs, load, i, s, 0)
        ready += jobs.pace * (jobs.p[i] * jobs.d[i] + jobs.d[i] * (jobs.d[i] + 1) / 2)
        s, g = _prefilled(jobs, load, i, s, g)
        starts[i] = s
        rounds = max(rounds, s + jobs.d[i])
        begin = _split(load, s, g)
        end = _split(load, s + jobs.d[i], begin)
        for k in range(begin, end):
            load.offset[k] += jobs.p[i] + jobs.d[i] + 1 + s if jobs.backward else jobs.p[i] - s
            load.active[k] += 1
    if jobs.backward:
        for i in order:
            starts[i] = rounds - starts[i] - jobs.d[i]
    return rounds, load.size[1]


def placed(jobs: Jobs, order: IntArray) -> tuple[int, int, IntArray]:
    """Rounds, prefill rounds and starts, shape (n,), of an order."""
    starts = np.zeros(len(jobs.p), dtype=np.int64)
    rounds, prefills = place(jobs, order, Load.room(len(jobs.p)), starts)
    return int(rounds), int(prefills), starts


@njit(cache=True)
def _descend(jobs, order, load, starts, weights, value, trials, random):  # type: ignore[no-untyped-def]
    """`trials` random changes of the order, each kept unless the value rises; changes `order`, returns the value."""
    n = len(order)
    trial = order.copy()
    near = 20
    for _ in range(trials):
        kind, a = random.random(), random.integers(0, n)
        if kind < 0.2:
            for k in range(n):
                if starts[order[k]] + jobs.d[order[k]] > starts[order[a]] + jobs.d[order[a]]:
                    a = k
        b = random.integers(0, a + 1) if kind < 0.4 else random.integers(0, n)
        if kind >= 0.7:
            b = min(n - 1, max(0, a + random.integers(-near, near + 1)))
        if kind < 0.4:
            trial[b + 1 : a + 1] = order[b:a]
            trial[b] = order[a]
        else:
            trial[a], trial[b] = order[b], order[a]
        rounds, prefills = place(jobs, trial, load, starts)
        cost = weights[0] * rounds + weights[1] * prefills
        if cost <= value:
            value = cost
            order[:] = trial
        else:
            trial[:] = order
    return value


def descend(
    jobs: Jobs, order: IntArray, seconds: tuple[float, float], trials: int, random: np.random.Generator
) -> tuple[float, IntArray]:
    """Local search over the order: earlier places for those that end last, insertions and swaps.

    Parameters
    ----------
    jobs : Jobs
    order : int array, shape (n,)
        Where it starts.
    seconds : tuple of float
        What a round and a prefill iteration cost.
    trials : int
    random : Generator

    Returns
    -------
    float, int array
        ``seconds`` · (rounds, prefill iterations) of the best order, and that order, shape (n,).
    """
    best, load, starts = order.copy(), Load.room(len(jobs.p)), np.zeros(len(jobs.p), dtype=np.int64)
    weights: Any = np.array(seconds)
    value = float(weights @ np.array(place(jobs, best, load, starts), dtype=np.float64))
    return float(_descend(jobs, best, load, starts, weights, value, trials, random)), best
