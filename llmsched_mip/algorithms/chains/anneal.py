"""Simulated annealing over chains (compiled): which slot serves which requests in which order, so that starts coincide.

A slot serves a chain of requests, each as soon as the one before it has ended, or some rounds later.  The plan runs as
many rounds as its longest chain, and as many prefill iterations as there are rounds at which some chain starts a
request.  Chains within R rounds are a packing (P||Cmax); among these packings, and the orders within their chains, few
have starts that coincide.  The search exchanges requests within and between chains, moves them, and lets them wait;

    cost = Σ_t share(starts at round t) + λ Σ_chains rounds beyond R,      share(m) = (1 + h) m / (h + m)

With h falling to 0 the first sum falls to the number of prefill iterations; a large h rewards rounds at which many
start already.  KV is not seen.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.budget import Budget
from llmsched_mip.compiled import kernel
from llmsched_mip.timing import FloatArray, IntArray

STAGES = 60
HOT, COLD = 0.4, 0.06
SPREAD, NARROW = 1.7, 0.35
SOFT, HARD, STRICT, STRICT_STAGES = 0.3, 3.3, 50.0, 3
NOTHING, EXCHANGE, WAIT, MOVE = -1, 0, 1, 2
NEAR = 24


class Chains(NamedTuple):
    """J chains; all arrays change in place.

    Parameters
    ----------
    request, wait : int arrays, shape (J, most)
        The requests of each chain in their order, and the rounds for which each waits.
    size, end : int arrays, shape (J,)
        Requests and rounds of each chain.
    chain : int array, shape (n,)
        The chain of each request.
    starts : int array, shape (rounds,)
        Requests that start at each round.
    """

    request: IntArray
    wait: IntArray
    size: IntArray
    end: IntArray
    chain: IntArray
    starts: IntArray

    @classmethod
    def of(cls, length: IntArray, chain: IntArray, count: int) -> Chains:
        """Longest first in every chain, none waits.

        Parameters
        ----------
        length, chain : int arrays, shape (n,)
            Rounds of each request and its chain, from 0 to `count` - 1.
        count : int
        """
        most = 4 * int(np.bincount(chain, minlength=count).max()) + 8
        rounds = 2 * (int(np.bincount(chain, weights=length, minlength=count).max()) + int(length.max())) + 2
        request, wait = np.zeros((2, count, most), dtype=np.int64)
        size, end = np.zeros((2, count), dtype=np.int64)
        chains = cls(request, wait, size, end, chain.astype(np.int64), np.zeros(rounds, dtype=np.int64))
        for i in np.argsort(-length, kind="stable").tolist():
            c = int(chain[i])
            chains.request[c, chains.size[c]] = i
            chains.size[c] += 1
            chains.starts[chains.end[c]] += 1
            chains.end[c] += length[i]
        return chains

    def copy(self) -> Chains:
        """The same in arrays of its own."""
        return Chains(*(column.copy() for column in self))

    @property
    def rounds(self) -> int:
        """Rounds of the longest chain."""
        return int(self.end.max())

    @property
    def prefills(self) -> int:
        """Rounds at which some request starts."""
        return int(np.count_nonzero(self.starts))

    def start_of(self, length: IntArray) -> IntArray:
        """The round at which each request starts: shape (n,)."""
        start = np.zeros(len(length), dtype=np.int64)
        for requests, waits, size in zip(self.request.tolist(), self.wait.tolist(), self.size.tolist(), strict=True):
            now = 0
            for i, wait in zip(requests[:size], waits[:size], strict=True):
                start[i] = now + wait
                now += wait + int(length[i])
        return start


@kernel
def _count(chains, length, share, c, k, sign):  # type: ignore[no-untyped-def]
    """Count (sign 1) the starts of chain c from its k-th request on, or take them out (-1); what that costs."""
    now = 0
    for j in range(k):
        now += chains.wait[c, j] + length[chains.request[c, j]]
    cost = 0.0
    for j in range(k, chains.size[c]):
        now += chains.wait[c, j]
        known = chains.starts[now]
        cost += share[known + sign] - share[known]
        chains.starts[now] = known + sign
        now += length[chains.request[c, j]]
    chains.end[c] = now
    return cost


@kernel
def _exchange(chains, a, i, b, j):  # type: ignore[no-untyped-def]
    """Exchange the i-th request of chain a and the j-th of chain b."""
    other = chains.request[a, i]
    chains.request[a, i] = chains.request[b, j]
    chains.request[b, j] = other
    chains.chain[chains.request[a, i]] = a
    chains.chain[other] = b


@kernel
def _move(chains, a, i, b, j):  # type: ignore[no-untyped-def]
    """Move the i-th request of chain a before the j-th of another chain b; it takes its wait along."""
    request, wait = chains.request[a, i], chains.wait[a, i]
    chains.size[a] -= 1
    for k in range(i, chains.size[a]):
        chains.request[a, k], chains.wait[a, k] = chains.request[a, k + 1], chains.wait[a, k + 1]
    for k in range(chains.size[b], j, -1):
        chains.request[b, k], chains.wait[b, k] = chains.request[b, k - 1], chains.wait[b, k - 1]
    chains.request[b, j], chains.wait[b, j] = request, wait
    chains.size[b] += 1
    chains.chain[request] = b


@kernel
def _below(count, random):  # type: ignore[no-untyped-def]
    """A random whole number from 0 to count - 1; `Generator.integers` would make an array for each."""
    return int(random.random() * count)


@kernel
def _random_change(chains, length, by_length, rank, random):  # type: ignore[no-untyped-def]
    """What is done to which places (a, i) and (b, j), and the rounds that (a, i) waits longer.

    An exchange between chains is mostly one with a request of nearly the same length.
    """
    count = len(chains.size)
    draw, a = random.random(), _below(count, random)
    if chains.size[a] == 0:
        return NOTHING, a, 0, a, 0, 0
    i = _below(chains.size[a], random)
    if draw < 0.15:
        return WAIT, a, i, a, i, 1 if random.random() < 0.5 else -1
    if draw < 0.4:
        return EXCHANGE, a, i, a, _below(chains.size[a], random), 0
    if draw < 0.75:
        at = rank[chains.request[a, i]] + _below(2 * NEAR + 1, random) - NEAR
        other = by_length[min(max(at, 0), len(by_length) - 1)]
        b, j = chains.chain[other], 0
        while chains.request[b, j] != other:
            j += 1
    else:
        b = _below(count, random)
        if chains.size[b] == 0:
            return NOTHING, a, i, a, i, 0
        j = _below(chains.size[b], random)
    if a == b:
        return NOTHING, a, i, a, i, 0
    return MOVE if draw >= 0.9 else EXCHANGE, a, i, b, j, 0


@kernel
def _longer(chains, length, kind, a, i, b, j, shift):  # type: ignore[no-untyped-def]
    """Rounds by which the chains a and b grow."""
    if kind == WAIT:
        return shift, shift
    x = length[chains.request[a, i]]
    if kind == MOVE:
        return -x - chains.wait[a, i], x + chains.wait[a, i]
    y = length[chains.request[b, j]]
    return (y - x, x - y) if a != b else (0, 0)


@kernel
def _possible(chains, length, kind, a, i, b, j, shift):  # type: ignore[no-untyped-def]
    """Whether there is such a change."""
    if kind == WAIT:
        return chains.wait[a, i] + shift >= 0
    if kind == MOVE:
        return chains.size[b] + 1 < chains.request.shape[1]
    return kind == EXCHANGE and length[chains.request[a, i]] != length[chains.request[b, j]]


@kernel
def _apply(chains, kind, a, i, b, j, shift):  # type: ignore[no-untyped-def]
    """Make a change."""
    if kind == WAIT:
        chains.wait[a, i] += shift
    elif kind == MOVE:
        _move(chains, a, i, b, j)
    else:
        _exchange(chains, a, i, b, j)


@kernel
def _recount(chains, length, share, a, i, b, j, sign):  # type: ignore[no-untyped-def]
    """`_count` from the places of a change on."""
    if a == b:
        return _count(chains, length, share, a, min(i, j), sign)
    return _count(chains, length, share, a, i, sign) + _count(chains, length, share, b, j, sign)


@njit(cache=True)
def _stage(chains, length, lists, share, limits, moves, random):  # type: ignore[no-untyped-def]
    """Random changes at one temperature; `limits`: R, λ and the temperature, `lists`: requests by length, and ranks."""
    by_length, rank = lists
    rounds, excess, temperature = limits
    for _ in range(moves):
        kind, a, i, b, j, shift = _random_change(chains, length, by_length, rank, random)
        if not _possible(chains, length, kind, a, i, b, j, shift):
            continue
        more_a, more_b = _longer(chains, length, kind, a, i, b, j, shift)
        end_a, end_b = chains.end[a], chains.end[b]
        if max(end_a + more_a, end_b + more_b) >= len(chains.starts):
            continue
        beyond = max(0.0, end_a + more_a - rounds) - max(0.0, end_a - rounds)
        if a != b:
            beyond += max(0.0, end_b + more_b - rounds) - max(0.0, end_b - rounds)
        accepted = -temperature * math.log(1.0 - random.random())
        # No change saves more than all starts of both chains.
        if excess * beyond - chains.size[a] - chains.size[b] > accepted:
            continue
        cost = excess * beyond + _recount(chains, length, share, a, i, b, j, -1)
        _apply(chains, kind, a, i, b, j, shift)
        cost += _recount(chains, length, share, a, i, b, j, 1)
        if cost > accepted:
            _recount(chains, length, share, a, i, b, j, -1)
            if kind == MOVE:
                _apply(chains, kind, b, j, a, i, shift)
            else:
                _apply(chains, kind, a, i, b, j, -shift)
            _recount(chains, length, share, a, i, b, j, 1)


def anneal(
    chains: Chains, length: IntArray, rounds: int, moves: int, budget: Budget, random: np.random.Generator
) -> Chains:
    """Chains with few rounds at which requests start, within about `rounds` rounds; what was reached when time is up.

    Parameters
    ----------
    chains : Chains
        Where it starts; they stay as they are.
    length : int array, shape (n,)
    rounds : int
        R.
    moves : int
        Random changes in all.
    budget : Budget
    random : Generator
    """
    found = chains.copy()
    by_length = np.argsort(length, kind="stable")
    lists = (by_length, np.argsort(by_length, kind="stable"))
    number = np.arange(len(length) + 2, dtype=np.float64)
    for stage in range(STAGES):
        if budget.spent():
            break
        done = stage / (STAGES - 1)
        spread = SPREAD * (NARROW / SPREAD) ** done
        share: FloatArray = (1 + spread) * number / (spread + number)
        excess = STRICT if stage >= STAGES - STRICT_STAGES else SOFT + (HARD - SOFT) * done
        limits = (float(rounds), excess, HOT * (COLD / HOT) ** done)
        _stage(found, length, lists, share, limits, max(1, moves // STAGES), random)
    return found
