"""KV tokens held when requests end: what runs together grows together until one of them ends.

The KV cache fills from each completion to the next, and empties there.  So it is the rounds in which requests end that
have to fit it, one for each request; in the rounds before them it is not full.

Letters, of one worker with R decode rounds and the requests of a set S, m of them: M KV tokens (`Limits.kv`); request
i is active in d_i rounds in a row and holds p_i + k tokens in its k-th; e_(1) ≤ ... ≤ e_(m) the last rounds of the
requests of S, e_(0) = 0 and l_j = e_(j) - e_(j-1), so Σ l_j ≤ R.

For every price y ≥ 0 (rounds)

    R ≥ Σ_S r_i(y),   r_i(y) = min { Σ_j (a_j - a_{j-1} + y) (p_i + a_j) : 0 = a_0 < a_1 < ... < a_c = d_i } / M - y.

Proof.  Round e_(j) holds at most M tokens.  Add these m inequalities, weighted by l_j + y: the right side is at most
M (R + m y).  On the left request i counts in every e_(j) in which it is active, with p_i + a tokens if that is its a-th
round.  Let a_1 < ... < a_c = d_i be these ages, each counted once where several requests end in one round.  Between two
of them lies at least one whole interval, or several of which all but one have l = 0, so l_j is the difference of the
ages; and the first interval is at least as long as a_1, as the request begins in it.

S is any set: where r_i < 0 the request is left out.  So the rounds in which the requests of a set have all ended are at
least the sum of max(r_i, 0) over it.  At y = 0 that is Σ_S (p_i d_i + d_i (d_i + 1) / 2) / M, the KV token-rounds.

The minimum.  F(a) = (a + y) (p + a) + min over b < a of F(b) - b (p + a), a lower envelope of lines of falling slope at
rising places: a step of it takes constant time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.timing import FloatArray, IntArray

LEAST_PRICE, MOST_PRICE, PRICES, REFINED = 1e-4, 1e2, 13, 8
"""Prices that are tried, and how many more around the best of them."""
MOST_AGES = 4_000_000
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class KvEnds:
    """The relaxation of one worker."""

    limits: Limits

    @cached_property
    def by_prompt(self) -> IntArray:
        """Places of the requests by their prompts."""
        return np.argsort(self.limits.p, kind="stable")

    @cached_property
    def ages(self) -> int:
        """Steps that the minima take: the most decode tokens of each prompt length, added up."""
        p, d = self.limits.p[self.by_prompt], self.limits.d[self.by_prompt]
        if not len(p):
            return 0
        return int(np.maximum.reduceat(d, np.flatnonzero(np.diff(p, prepend=-1))).sum())

    def rounds(self, price: float) -> FloatArray:
        """max(r_i, 0) of each request that fits, shape (m,); rounded down."""
        limits = self.limits
        least, table = np.zeros(len(limits.p)), np.zeros(int(limits.d.max(initial=0)) + 1)
        lines = np.zeros((2, len(table)))
        _least(limits.p, limits.d, self.by_prompt, price, table, lines, least)
        found: FloatArray = least / limits.kv * (1.0 - ROUNDING) - price
        return np.maximum(found, 0.0)


def prices() -> list[float]:
    """Prices that are far apart, rising; the first is none."""
    return [0.0, *np.geomspace(LEAST_PRICE, MOST_PRICE, 2 * PRICES - 1).tolist()]


def best_price(value: Callable[[float], float]) -> float:
    """The price of those tried at which `value` is largest: some far apart, then some near the best of them."""
    tried = {price: value(price) for price in np.geomspace(LEAST_PRICE, MOST_PRICE, PRICES).tolist()}
    step = (MOST_PRICE / LEAST_PRICE) ** (1.0 / (PRICES - 1))
    for _ in range(REFINED // 2):
        best, step = max(tried, key=lambda price: (tried[price], -price)), step**0.5
        tried.update({price: value(price) for price in (best / step, best * step)})
    found: float = max(tried, key=lambda price: (tried[price], -price))
    return found


@njit(cache=True)
def _least(p, d, order, price, table, lines, least):  # type: ignore[no-untyped-def]
    """F(d) of each request; `order` has requests of one prompt after each other."""
    first = 0
    while first < len(order):
        prompt, most, last = p[order[first]], 0, first
        while last < len(order) and p[order[last]] == prompt:
            most = max(most, d[order[last]])
            last += 1
        _table(float(prompt), most, price, table, lines)
        for at in range(first, last):
            least[order[at]] = table[d[order[at]]]
        first = last


@njit(cache=True)
def _table(prompt, most, price, table, lines):  # type: ignore[no-untyped-def]
    """F(0..most) of a prompt; `lines` has slopes and values at 0 of the lower envelope."""
    slope, value = lines
    table[0], head, end = 0.0, 0, 0
    for age in range(1, most + 1):
        new, level = 1.0 - age, table[age - 1]
        while end - head >= 2 and (value[end - 1] - value[end - 2]) * (slope[end - 2] - new) >= (
            level - value[end - 2]
        ) * (slope[end - 2] - slope[end - 1]):
            end -= 1
        slope[end], value[end] = new, level
        end += 1
        held = prompt + age
        while end - head >= 2 and value[head + 1] + slope[head + 1] * held <= value[head] + slope[head] * held:
            head += 1
        table[age] = (age + price) * held + value[head] + slope[head] * held
