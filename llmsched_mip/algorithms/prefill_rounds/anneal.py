"""Simulated annealing over chains of requests and the rounds at which prefill iterations may run (compiled).

The search lowers, in slot-rounds,

    J T + ρ J Σ_t used_t / (used_t + h) + λ Σ_chains max(0, end - T) + κ (J / M) Σ_t max(0, KV_t - M)

over chains, open rounds and the horizon T (`state`), with ρ the rounds that a prefill iteration is worth.  With h
falling to 0 the second sum falls to the number of rounds at which some request starts.  λ is little above 1 at first:
then it does not matter whether the last round is late or few chains are.  Changes of chains exchange parts of two
chains, or reorder one; changes of open rounds open, close or shift some, those that stand apart by a multiple of the
longest length together, since chains of longest requests stay in step.  Where nothing is over the requests fit slots,
KV cache and horizon.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.algorithms.prefill_rounds.state import (
    HORIZON,
    LATE,
    OVER,
    Backlog,
    Chains,
    count_chain,
    hold,
    price,
    recount,
)
from llmsched_mip.budget import Budget
from llmsched_mip.compiled import copy_to, kernel, routine
from llmsched_mip.timing import IntArray

NEAR, STEP = 60, 5
LEAST_SPREAD = 0.3


class _Draft(NamedTuple):
    """What two chains would be: their numbers, requests, starts, sizes and ends."""

    chain: IntArray
    request: IntArray
    start: IntArray
    size: IntArray
    end: IntArray

    @classmethod
    def of(cls, chains: Chains) -> _Draft:
        """Room for two of these chains."""
        chain, size, end = np.zeros((3, 2), dtype=np.int64)
        request, start = np.zeros((2, 2, chains.request.shape[1]), dtype=np.int64)
        return cls(chain, request, start, size, end)


@kernel
def _below(count, random):  # type: ignore[no-untyped-def]
    return int(random.random() * count)


@routine
def _splice(s, draft, q, part, other):  # type: ignore[no-untyped-def]
    """Draft q: chain a, its `out` requests from place i on replaced by the `into` ones of chain b from j on."""
    a, i, out = part
    b, j, into = other
    m = 0
    for k in range(i):
        draft.request[q, m] = s.request[a, k]
        m += 1
    for k in range(j, j + into):
        draft.request[q, m] = s.request[b, k]
        m += 1
    for k in range(i + out, s.size[a]):
        draft.request[q, m] = s.request[a, k]
        m += 1
    draft.chain[q], draft.size[q] = a, m


@routine
def _reorder(s, draft, a, i, j, exchange):  # type: ignore[no-untyped-def]
    """Draft 0: chain a with two places exchanged, or with the request of place i moved to place j."""
    draft.chain[0], draft.size[0] = a, s.size[a]
    for k in range(s.size[a]):
        draft.request[0, k] = s.request[a, k]
    if exchange:
        draft.request[0, i], draft.request[0, j] = s.request[a, j], s.request[a, i]
        return
    step = 1 if i < j else -1
    for k in range(i, j, step):
        draft.request[0, k] = s.request[a, k + step]
    draft.request[0, j] = s.request[a, i]


@routine
def _draft_chains(s, draft, lists, random):  # type: ignore[no-untyped-def]
    """Draft a random change of one or two chains; the number of chains that change, 0 for none."""
    by_length, rank = lists
    n = len(rank)
    i, draw = _below(n, random), random.random()
    j = _below(n, random)
    if draw < 0.35:
        j = by_length[min(max(rank[i] + _below(2 * NEAR + 1, random) - NEAR, 0), n - 1)]
    a, b, at, to = s.chain[i], s.chain[j], s.place[i], s.place[j]
    if i == j:
        return 0
    if a == b:
        _reorder(s, draft, a, at, to, random.random() < 0.5)
        return 1
    out, into = 1, 1
    if 0.35 <= draw < 0.5:
        into = 0
    elif 0.5 <= draw < 0.6:
        into = 2
    elif 0.6 <= draw < 0.65:
        out, into = 2, 2
    elif 0.65 <= draw < 0.8:
        out, into = s.size[a], s.size[b]
    elif draw >= 0.88:
        out, into = 2, 3 if random.random() < 0.5 else 1
    out, into = min(out, s.size[a] - at), min(into, s.size[b] - to)
    if max(s.size[a] - out + into, s.size[b] - into + out) > s.request.shape[1]:
        return 0
    _splice(s, draft, 0, (a, at, out), (b, to, into))
    _splice(s, draft, 1, (b, to, into), (a, at, out))
    return 2


@routine
def _reprice(b, s, draft, q, spread, back):  # type: ignore[no-untyped-def]
    """Count the starts of draft q instead of those of its chain, or (`back`) the other way; what they cost more."""
    c, cost = draft.chain[q], 0.0
    sign = 1 if back else -1
    for k in range(s.size[c]):
        used = s.used[s.start[c, k]]
        cost += price(b, used + sign, spread) - price(b, used, spread)
        s.used[s.start[c, k]] += sign
    for k in range(draft.size[q]):
        used = s.used[draft.start[q, k]]
        cost += price(b, used - sign, spread) - price(b, used, spread)
        s.used[draft.start[q, k]] -= sign
    return cost


@routine
def _rehold(b, s, draft, q, back):  # type: ignore[no-untyped-def]
    """Hold the KV tokens of draft q instead of those of its chain, or (`back`) the other way; tokens more over M."""
    c, over = draft.chain[q], 0
    sign = 1 if back else -1
    for k in range(max(s.size[c], draft.size[q])):
        old = s.request[c, k] if k < s.size[c] else -1
        new = draft.request[q, k] if k < draft.size[q] else -1
        if old == new and s.start[c, k] == draft.start[q, k]:
            continue
        if old >= 0:
            over += hold(s.kv, b.kv_capacity, s.start[c, k], sign * b.prompt[old], sign, b.length[old])
        if new >= 0:
            over += hold(s.kv, b.kv_capacity, draft.start[q, k], -sign * b.prompt[new], -sign, b.length[new])
    return over


@routine
def _keep(s, draft, q):  # type: ignore[no-untyped-def]
    """The chain is what its draft is."""
    c = draft.chain[q]
    s.size[c], s.end[c] = draft.size[q], draft.end[q]
    for k in range(draft.size[q]):
        i = draft.request[q, k]
        s.request[c, k], s.start[c, k], s.chain[i], s.place[i] = i, draft.start[q, k], c, k


@routine
def _change_chains(b, s, draft, lists, weights, accepted, random):  # type: ignore[no-untyped-def]
    """A random change of chains, made where it costs at most `accepted`; `weights`: h, λ and κ J / M."""
    spread, excess, dear = weights
    changed, late = _draft_chains(s, draft, lists, random), 0
    for q in range(changed):
        c = draft.chain[q]
        draft.end[q] = count_chain(b, s, q, draft.request, draft.start, draft.size[q])
        if draft.end[q] >= len(s.open):
            return
        late += max(0, draft.end[q] - s.totals[HORIZON]) - max(0, s.end[c] - s.totals[HORIZON])
    # No change saves more than all that is over now, and a few prefill iterations.
    least = excess * late - dear * s.totals[OVER]
    if changed == 0 or least - 6 * b.prefill > accepted:
        return
    cost = 0.0
    for q in range(changed):
        cost += _reprice(b, s, draft, q, spread, False)
    if least + cost <= accepted:
        over = 0
        for q in range(changed):
            over += _rehold(b, s, draft, q, False)
        if excess * late + cost + dear * over <= accepted:
            for q in range(changed):
                _keep(s, draft, q)
            s.totals[LATE] += late
            s.totals[OVER] += over
            return
        for q in range(changed):
            _rehold(b, s, draft, q, True)
    for q in range(changed):
        _reprice(b, s, draft, q, spread, True)


@routine
def _shift(s, other, t, kind, longest, delta):  # type: ignore[no-untyped-def]
    """Shift open round t, all that stand apart from it by a multiple of the longest length, or all of a stretch."""
    far = len(s.open)
    if kind == 0:
        first, last, step = t, t + 1, 1
    elif kind == 1:
        first, last, step = t % longest, far, longest
    else:
        first, last, step = t, far if kind == 2 else min(far, t + longest // 2), 1
    first = max(first, step if first == 0 else first)
    for u in range(first, last, step):
        other.open[u] = False
    for u in range(first, last, step):
        if s.open[u] and 0 < u + delta < far:
            other.open[u + delta] = True


@routine
def _change_open(b, s, other, longest, random):  # type: ignore[no-untyped-def]
    """Draft a random change of open rounds or horizon in `other`; whether there is one."""
    copy_to(other.open, s.open)
    copy_to(other.totals, s.totals)
    far, horizon, draw = len(s.open), s.totals[HORIZON], random.random()
    delta = 1 + _below(STEP, random)
    if random.random() < 0.5:
        delta = -delta
    if draw >= 0.92:
        other.totals[HORIZON] = max(longest, min(horizon + delta, far - 1))
        return True
    t = s.following[1 + _below(horizon - 1, random)] if horizon > 1 else far
    if draw < 0.25:
        i = _below(len(b.length), random)
        to = s.start[s.chain[i], s.place[i]] + b.length[i]
        if random.random() < 0.4:
            to = s.following[to % horizon] - b.length[i]
        if to <= 0 or to >= horizon or s.open[to]:
            return False
        other.open[to] = True
        if random.random() < 0.5:
            if t >= far:
                return False
            other.open[t] = False
        return True
    if t >= far:
        return False
    if draw < 0.45:
        other.open[t] = False
        if random.random() < 0.3:
            for u in range(t % longest, far, longest):
                other.open[u] = u == 0
        return True
    kind = 0 if draw < 0.6 else 1 if draw < 0.75 else 2 if draw < 0.83 else 3
    _shift(s, other, t, kind, longest, delta)
    if kind == 2 and random.random() < 0.5:
        other.totals[HORIZON] = max(longest, min(horizon + delta, far - 1))
    return True


@routine
def _price_all(b, s, spread):  # type: ignore[no-untyped-def]
    cost = 0.0
    for used in s.used:
        if used > 0:
            cost += price(b, used, spread)
    return cost


@njit(cache=True)
def _stage(b, s, other, draft, lists, limits, moves, random):  # type: ignore[no-untyped-def]
    """Random changes at one temperature; `limits`: it, share of open rounds, longest length, (h, λ, κ J / M)."""
    temperature, share, longest, weights = limits
    spread, excess, dear = weights
    for _ in range(moves):
        accepted = -temperature * math.log(1.0 - random.random())
        if random.random() >= share:
            _change_chains(b, s, draft, lists, weights, accepted, random)
            continue
        if not _change_open(b, s, other, longest, random) or not recount(b, other):
            continue
        more = other.totals - s.totals
        cost = b.slots * more[HORIZON] + excess * more[LATE] + dear * more[OVER]
        if cost + _price_all(b, other, spread) - _price_all(b, s, spread) <= accepted:
            s.open[:], s.following[:], s.start[:], s.end[:] = other.open, other.following, other.start, other.end
            s.used[:], s.kv[:], s.totals[:] = other.used, other.kv, other.totals
    for t in range(1, s.totals[HORIZON]):
        if s.used[t] == 0 and random.random() < 0.5:
            s.open[t] = False
    recount(b, s)


class Cooling(NamedTuple):
    """Of one annealing run.

    First and last temperature (slot-rounds), first h, first and last λ and κ, random changes, the share of those that
    change open rounds, and stages.
    """

    hot: float
    cold: float
    spread: float
    late: tuple[float, float]
    over: tuple[float, float]
    moves: int
    share: float = 0.05
    stages: int = 60


def anneal(b: Backlog, chains: Chains, cooling: Cooling, budget: Budget, random: np.random.Generator) -> Chains:
    """Chains and open rounds with little cost, sooner cold where the time is short.  `chains` stay as they are.

    Parameters
    ----------
    b : Backlog
    chains : Chains
    cooling : Cooling
    budget : Budget
    random : Generator
    """
    s, by_length = chains.copy(), np.argsort(b.length, kind="stable")
    other, lists = s.beside(), (by_length, np.argsort(by_length, kind="stable"))
    draft, longest, given_s = _Draft.of(s), int(b.length.max()), budget.remaining
    for stage in range(cooling.stages):
        if budget.spent():
            break
        done = stage / max(1, cooling.stages - 1)
        if math.isfinite(given_s) and given_s > 0:
            done = min(1.0, max(done, 1.0 - budget.remaining / given_s))
        dear = _between(*cooling.over, done) * b.slots / b.kv_capacity
        weights = (_between(cooling.spread, LEAST_SPREAD, done), _between(*cooling.late, done), dear)
        limits = (_between(cooling.hot, cooling.cold, done), cooling.share, longest, weights)
        _stage(b, s, other, draft, lists, limits, max(1, cooling.moves // cooling.stages), random)
    return s


def _between(first: float, last: float, done: float) -> float:
    return float(first * (last / first) ** done)
