"""The dual of the time-indexed relaxation of unit rounds with whole patterns of a round in place of its KV row.

Sets i = requests, s = start rounds, τ = rounds.  A request that is active in round τ has a *type* (h, r): it holds h
tokens there and r rounds are left to it after τ, so h + r is its peak p_i + d_i.  With prices π_τ(h, r) ≥ 0,

    L(π) = Σ_i min_s [ ω_i (s + d_i) + Σ_{k=1..d_i} π_{s+k}(p_i + k, d_i - k) ] - Σ_τ K(π_τ)

    K(π) = max Σ_j π(h_j, r_j) over *patterns*: lists of types with, for every member j,
           Σ_{j': r_j' ≥ r_j} (h_j' + r_j) ≤ M

Proof that L is a lower bound on Σ ω_i C_i.  Take a feasible schedule, a round τ, and the requests active in it, of
types (h_j, r_j).  They are a pattern: j completes with round τ + r_j, and all j' with r_j' ≥ r_j are active in it and
hold h_j' + r_j tokens, M at most together.  So they pay K(π_τ) at most in round τ, and the bracket of each request is
at least its minimum.  Prices end at a horizon T; a start at T or later pays none, so the minimum over s = 0..T is the
minimum over all s.

K by dynamic programming: with members in the order of descending r, one more member (h, r) may join k members that
hold H tokens when H + h + (k + 1) r ≤ M; only k and H matter.  With π_τ(h, r) = h λ_τ it is at most M λ_τ, and by the
lemma of `models.windows` it is at most m_f μ_fτ more where windows have a price (moved by their reach, all rounds that
a request covers are rounds in which it is active): the best L is at least that of `unit_prices` for all families.

Prices are kept constant over blocks of B rounds, B = 8, 4, 2, 1 in turn: any prices give a bound.  They are found by
subgradient steps that are scaled for each price by the size of its recent subgradients (Adam:
Kingma and Ba 2015, ICLR).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.budget import Budget
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.unit_rounds import UnitRounds

ROUNDING = 1e-9
MOST_CAPACITY = 128
# Prices, of which there are five copies: 0.2 GB.
MOST_PRICES = 5_000_000
BLOCKS = (8, 4, 2, 1)
PASSES = (1200, 300, 300, 300)
STEP = (0.25, 0.2, 0.2, 0.2)
LATER = 0.1
LEAST_GAIN = 1e-6
MOST_AGAIN = 1000
LAST_STEP = 0.02
MEAN, SQUARE, FLOOR = 0.9, 0.99, 0.02
CHUNK = 10


class Types(NamedTuple):
    """Requests, and the tokens h of all types by r: those of r are ``tokens[first[r] : first[r + 1]]``, ascending."""

    p: IntArray
    d: IntArray
    weight: FloatArray
    capacity: int
    tokens: IntArray
    first: IntArray

    @classmethod
    def of(cls, problem: UnitRounds) -> Types:
        """The types of a problem."""
        peaks, longest = problem.p + problem.d, int(problem.d.max())
        tokens = [np.unique(peaks[problem.d > r] - r) for r in range(longest)]
        first = np.concatenate(([0], np.cumsum([len(part) for part in tokens])))
        return cls(problem.p, problem.d, problem.weight, problem.capacity, np.concatenate(tokens), first)


class Room(NamedTuple):
    """Values of the dynamic program by r, k and H; the best pattern; payments by completion, peak and k; starts."""

    best: FloatArray
    pattern: IntArray
    paid: FloatArray
    starts: IntArray

    @classmethod
    def of(cls, types: Types, horizon: int) -> Room:
        """Room for a horizon of T rounds."""
        longest, most = int(types.d.max()), types.capacity // (int(types.p.min()) + 1) + 1
        return cls(
            np.full((longest + 1, most + 1, types.capacity + 1), -np.inf),
            np.zeros((most + 1, 2), dtype=np.int64),
            np.zeros((horizon + longest + 1, types.capacity + 1, longest + 1)),
            np.zeros(len(types.p), dtype=np.int64),
        )


class Moments(NamedTuple):
    """Prices, the best ones so far, means of subgradients and of their squares, and a subgradient.

    Each of shape (blocks, M + 1, longest d), by block, h and r.
    """

    prices: FloatArray
    best: FloatArray
    mean: FloatArray
    square: FloatArray
    slope: FloatArray

    @classmethod
    def of(cls, prices: FloatArray) -> Moments:
        """No step made yet."""
        return cls(prices.copy(), prices.copy(), np.zeros_like(prices), np.zeros_like(prices), np.zeros_like(prices))


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _join(target, source, price):  # type: ignore[no-untyped-def]
    for x in range(len(target)):
        target[x] = max(target[x], source[x] + price)


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def best_pattern(types, prices, best, pattern):  # type: ignore[no-untyped-def]
    """K of the prices of one round, shape (M + 1, longest d), and the members, whose (h, r) fill `pattern`."""
    M, longest, most = types.capacity, prices.shape[1], best.shape[1] - 1
    best[longest] = -np.inf
    best[longest, 0, 0] = 0.0
    for r in range(longest - 1, -1, -1):
        best[r] = best[r + 1]
        for k in range(min(most, M // (r + 1))):
            limit = M - (k + 1) * r
            for h in types.tokens[types.first[r] : types.first[r + 1]]:
                if h > limit:
                    break
                if prices[h, r] > 0.0:
                    _join(best[r, k + 1, h : limit + 1], best[r, k, : limit + 1 - h], prices[h, r])
    value, members, held = 0.0, 0, 0
    for k in range(most + 1):
        for H in range(M + 1):
            if best[0, k, H] > value:
                value, members, held = best[0, k, H], k, H
    k, H, r = members, held, 0
    while k > 0:
        if best[r, k, H] == best[r + 1, k, H]:
            r += 1
            continue
        for h in types.tokens[types.first[r] : types.first[r + 1]]:
            if h <= H and best[r, k - 1, H - h] + prices[h, r] == best[r, k, H]:
                k -= 1
                H -= h
                pattern[k] = h, r
                break
    return value, members


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _payments(types, prices, block, horizon, paid):  # type: ignore[no-untyped-def]
    """Fill paid[c, peak, k]: what a request that completes with round c pays in its last k rounds."""
    longest, M = prices.shape[2], types.capacity
    for c in range(1, paid.shape[0]):
        for peak in range(1, M + 1):
            total = 0.0
            for r in range(min(peak, c, longest)):
                t = c - r
                if t <= horizon:
                    total += prices[(t - 1) // block, peak - r, r]
                paid[c, peak, r + 1] = total


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def value_of_patterns(types, room, prices, block, horizon, slope):  # type: ignore[no-untyped-def]
    """L and the sum of its terms without their signs; `slope` is filled with a subgradient."""
    slope[:] = 0.0
    supply = 0.0
    for b in range(len(prices)):
        rounds = min(block, horizon - b * block)
        value, members = best_pattern(types, prices[b], room.best, room.pattern)
        supply += rounds * value
        for k in range(members):
            slope[b, room.pattern[k, 0], room.pattern[k, 1]] -= rounds
    _payments(types, prices, block, horizon, room.paid)
    demand = 0.0
    for i in range(len(types.p)):
        p, d, least = types.p[i], types.d[i], np.inf
        for s in range(horizon + 1):
            cost = types.weight[i] * (s + d) + room.paid[s + d, p + d, d]
            if cost < least:
                least, room.starts[i] = cost, s
        demand += least
        s = room.starts[i]
        for k in range(1, min(d, horizon - s) + 1):
            slope[(s + k - 1) // block, p + k, d - k] += 1.0
    return demand - supply, demand + supply


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _ascend(types, room, moments, block, horizon, steps, state):  # type: ignore[no-untyped-def]
    """Steps of the given sizes; state: best L less its rounding errors, steps made."""
    prices, mean = moments.prices.ravel(), moments.mean.ravel()
    square, slope = moments.square.ravel(), moments.slope.ravel()
    for step in steps:
        value, size = value_of_patterns(types, room, moments.prices, block, horizon, moments.slope)
        value -= ROUNDING * size
        if value > state[0]:
            state[0] = value
            moments.best[:] = moments.prices
        state[1] += 1.0
        first, second = 1.0 - MEAN ** state[1], 1.0 - SQUARE ** state[1]
        for x in range(len(prices)):
            pull = slope[x] / block
            mean[x] = MEAN * mean[x] + (1.0 - MEAN) * pull
            square[x] = SQUARE * square[x] + (1.0 - SQUARE) * pull * pull
            prices[x] = max(0.0, prices[x] + step * mean[x] / first / (np.sqrt(square[x] / second) + FLOOR))


@dataclass(frozen=True, eq=False)
class PatternPrices:
    """Prices of types and the bound they give.

    Parameters
    ----------
    problem : UnitRounds
    horizon : int
        T.
    block : int
        B, rounds of one price.
    prices : float array, shape (⌈T / B⌉, M + 1, longest d)
        π by block, h and r.
    value : float
        L(π), rounds; rounded down.
    passes : int
        Evaluations of L.
    """

    problem: UnitRounds
    horizon: int
    block: int
    prices: FloatArray
    value: float
    passes: int

    @property
    def proven(self) -> float:
        """The bound on the value of a schedule, rounds: L, rounded up where values are multiples of a step."""
        step = self.problem.step
        return step * float(np.ceil(self.value / step - ROUNDING)) if step else self.value


def applies(problem: UnitRounds, horizon: int) -> bool:
    """Whether the prices fit into memory and a pattern is found in well under a second."""
    types = (problem.capacity + 1) * int(problem.d.max())
    return problem.capacity <= MOST_CAPACITY and horizon * types <= MOST_PRICES


def ascend_patterns(
    problem: UnitRounds,
    kv_prices: FloatArray,
    budget: Budget,
    passes: tuple[int, ...] = PASSES,
    again: int = MOST_AGAIN,
) -> Iterator[PatternPrices]:
    """Improve prices until `budget` is spent; yields at every gain, seldom enough to report each.

    Parameters
    ----------
    problem : UnitRounds
        One that `applies`.
    kv_prices : float array, shape (T,)
        λ to begin with, in rounds of completion for a token of rounds 1..T.
    budget : Budget
    passes : tuple of int
        Evaluations of L with each block of `BLOCKS`.
    again : int
        How often those with the last are repeated at most, as long as they gain.
    """
    types, horizon = Types.of(problem), len(kv_prices)
    room, shape = Room.of(types, horizon), (problem.capacity + 1, int(problem.d.max()))
    held = np.arange(problem.capacity + 1.0)
    usual = float(problem.p.mean() + problem.d.mean() / 2)
    scale = usual * float(kv_prices.mean())
    prices, done, best, gained = np.zeros((0, *shape)), 0, -np.inf, True
    repeated = ((BLOCKS[-1], passes[-1], LATER) for _ in range(again))
    for block, most, size in chain(zip(BLOCKS, passes, STEP, strict=True), repeated):
        if done:
            finer = 2 if len(prices) < -(-horizon // block) else 1
            prices = np.repeat(prices, finer, axis=0)[: -(-horizon // block)]
        else:
            level = np.add.reduceat(kv_prices, np.arange(0, horizon, block)) / block
            prices = level[:, None, None] * held[None, :, None] * np.ones((1, *shape))
        if done > sum(passes) and not gained:
            return
        gained, moments, state = False, Moments.of(prices), np.array([-np.inf, 0.0])
        steps = scale * size * LAST_STEP ** (np.arange(most) / most)
        for at in range(0, most, CHUNK):
            _ascend(types, room, moments, block, horizon, steps[at : at + CHUNK], state)
            done += CHUNK
            if state[0] > best:
                gained = gained or state[0] > best + LEAST_GAIN * abs(best)
                best = float(state[0])
                yield PatternPrices(problem, horizon, block, moments.best, best, done)
            if budget.spent():
                return
        prices = moments.best
