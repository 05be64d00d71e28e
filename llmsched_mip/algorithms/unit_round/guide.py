"""What guides a beam search over starts of unit rounds: what a partial schedule has lost for certain.

Total completion.  With prices λ of KV tokens and their bound L(λ) (`relaxations.time_indexed.kv_prices`), every
schedule has, exactly,

    Σ ω_i C_i - L(λ) = Σ_i excess_i(s_i) + Σ_t λ_t (M - KV of round t)

where excess_i(s) ≥ 0 is what the start s costs request i, prices included, above its cheapest start.  So a partial
schedule has lost the excess of those started and the priced idle KV of the rounds that change no more; those that
wait past their cheapest start will lose their excess from now on, at least.

Makespan.  Rounds M = Σ KV volumes + Σ idle KV: the price of a token is 1 / M of a round, and a request that must still
run past the deadline that is aimed at costs what it misses it by.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.timing import FloatArray, IntArray, request_kv_peak, request_kv_volume
from llmsched_mip.unit_rounds import UnitRounds

NO_DEADLINE = -1.0
# Starts that are looked at for the cheapest ones of all requests.
MOST_STARTS = 100_000_000


class Guide(NamedTuple):
    """Requests in the order in which they are considered, and prices.

    Parameters
    ----------
    p, d : int arrays, shape (n,)
    weight : float array, shape (n,)
    capacity : int
    total, moment : float arrays
        Λ_t = Σ_{τ≤t} λ_τ and Σ_{τ≤t} τ λ_τ from t = 0 on; prices end with the arrays.
    least : float array, shape (n,)
        Cost of the cheapest start, prices included.
    cheapest : int array, shape (n,)
        That start; ascending.
    gain : float array, shape (n,)
        Idle KV that placing a request is expected to bring anyway, priced: awkward requests had better be placed early.
    idle_share : float
        Part of every round that is expected to stay idle.
    deadline : float
        Rounds that a makespan aims at; `NO_DEADLINE` for total completion.
    """

    p: IntArray
    d: IntArray
    weight: FloatArray
    capacity: int
    total: FloatArray
    moment: FloatArray
    least: FloatArray
    cheapest: IntArray
    gain: FloatArray
    idle_share: float
    deadline: float


def completion_guide(problem: UnitRounds, prices: FloatArray) -> tuple[Guide, IntArray]:
    """The guide for total completion, with an idle share of 0, and the order of its requests.

    Parameters
    ----------
    problem : UnitRounds
    prices : float array, shape (T,)
        λ of rounds 1..T, in rounds of completion a token.
    """
    priced = np.concatenate((prices, np.zeros(int(problem.d.max()) + 1)))
    total = np.concatenate(([0.0], np.cumsum(priced)))
    moment = np.concatenate(([0.0], np.cumsum(priced * np.arange(1, len(priced) + 1))))
    least, cheapest = np.zeros(problem.n), np.zeros(problem.n, dtype=np.int64)
    stride = max(1, problem.n * len(prices) // MOST_STARTS)
    _cheapest((problem.p, problem.d, problem.weight), total, moment, stride, least, cheapest)
    order = np.lexsort((request_kv_volume(problem.p, problem.d) / problem.weight, cheapest))
    p, d, weight = problem.p[order], problem.d[order], problem.weight[order]
    gain = np.zeros(problem.n)
    guide = Guide(
        p,
        d,
        weight,
        problem.capacity,
        total,
        moment,
        least[order],
        cheapest[order],
        gain,
        0.0,
        NO_DEADLINE,
    )
    return guide, order


def makespan_guide(problem: UnitRounds, deadline: float, awkwardness: float) -> tuple[Guide, IntArray]:
    """The guide for a makespan that aims at `deadline` rounds, and the order of its requests: longest first.

    A request is expected to leave idle `awkwardness` times the part of the capacity that it fills at its end, of as
    many rounds as its volume takes.
    """
    volume = request_kv_volume(problem.p, problem.d).astype(np.float64)
    order = np.lexsort((-volume, -problem.d))
    horizon = int(2 * max(deadline, float(problem.d.max()), float(volume.sum()) / problem.capacity))
    rounds = np.arange(horizon + int(problem.d.max()) + 2, dtype=np.float64)
    gain = awkwardness * volume * request_kv_peak(problem.p, problem.d) / float(problem.capacity) ** 2
    nothing = np.zeros(problem.n)
    guide = Guide(
        problem.p[order],
        problem.d[order],
        nothing,
        problem.capacity,
        rounds / problem.capacity,
        rounds * (rounds + 1) / (2 * problem.capacity),
        nothing,
        np.zeros(problem.n, dtype=np.int64),
        gain[order],
        0.0,
        deadline,
    )
    return guide, order


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def bracket(p, d, weight, total, moment, s):  # type: ignore[no-untyped-def]
    """Cost of a start at s with what it pays."""
    last = len(total) - 1
    first, end = min(s, last), min(s + d, last)
    return weight * (s + d) + (p - s) * (total[end] - total[first]) + moment[end] - moment[first]


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _cheapest(requests, total, moment, stride, least, cheapest):  # type: ignore[no-untyped-def]
    """Fill least and cheapest: every stride-th start, then those around the best of them.

    A start costs at least its weight (s + d), so later ones need no look.
    """
    p, d, weight = requests
    for i in range(len(p)):
        least[i] = np.inf
        for s in range(0, len(total), stride):
            if weight[i] * (s + d[i]) > least[i]:
                break
            cost = bracket(p[i], d[i], weight[i], total, moment, s)
            if cost < least[i]:
                least[i], cheapest[i] = cost, s
        near = cheapest[i]
        for s in range(max(0, near - stride + 1), near + stride):
            cost = bracket(p[i], d[i], weight[i], total, moment, s)
            if cost < least[i]:
                least[i], cheapest[i] = cost, s


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def excess(guide, i, s):  # type: ignore[no-untyped-def]
    """What the start s of request i loses."""
    if guide.deadline >= 0:
        return -guide.gain[i]
    return bracket(guide.p[i], guide.d[i], guide.weight[i], guide.total, guide.moment, s) - guide.least[i]


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def lateness(guide, done, low, s, i, last_end):  # type: ignore[no-untyped-def]
    """What those that wait lose at least when the next start is that of i at s; those before `low` do not wait."""
    n, late = len(guide.p), 0.0
    if guide.deadline >= 0:
        end = max(last_end, s + guide.d[i])
        for j in range(low, n):
            if not done[j] and j != i:
                end = max(end, s + guide.d[j])
                break
        return max(0.0, end - guide.deadline)
    for j in range(low, n):
        if guide.cheapest[j] >= s:
            break
        if not done[j] and j != i:
            late += excess(guide, j, s)
    return late


def idle_share(guide: Guide, starts: IntArray) -> float:
    """Priced idle KV of a schedule over all priced KV; 0 where nothing has a price."""
    last = len(guide.total) - 1
    first, end = np.minimum(starts, last), np.minimum(starts + guide.d, last)
    paid = (guide.p - starts) * (guide.total[end] - guide.total[first]) + guide.moment[end] - guide.moment[first]
    everything = guide.capacity * float(guide.total[-1])
    return max(0.0, 1.0 - float(paid.sum()) / everything) if everything > 0 else 0.0
