"""Chains of requests that start at open rounds: the state of the annealing and how it is counted (compiled).

A slot serves a chain of requests.  Prefill iterations run at *open* rounds only, so each request of a chain starts at
the first open round at or after the end of the one before it.  Chains keep the slots by themselves; what can be over
is the horizon and the KV cache, which is counted round by round.
"""

from __future__ import annotations

import heapq
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from llmsched_mip.compiled import kernel, routine
from llmsched_mip.timing import IntArray

HORIZON, LATE, OVER = 0, 1, 2


class Backlog(NamedTuple):
    """The requests and the worker: tokens p and d (int arrays, shape (n,)), J, M, and ρ J in slot-rounds.

    ρ is the number of rounds that a prefill iteration is worth; `kv_capacity` is at least every request's p + d.
    """

    prompt: IntArray
    length: IntArray
    slots: int
    kv_capacity: int
    prefill: float


class Chains(NamedTuple):
    """Chains and open rounds; all arrays change in place.  F rounds are looked at.

    Parameters
    ----------
    open : bool array, shape (F,)
        The rounds at which a prefill iteration may run.
    request : int array, shape (J, most)
        The requests of each chain in their order.
    size : int array, shape (J,)
        Requests of each chain.
    chain, place : int arrays, shape (n,)
        The chain of each request, and its place there.
    following : int array, shape (F,)
        The first open round at or after each round; F where there is none.
    start : int array, shape (J, most)
        The rounds at which the requests of the chains start.
    end : int array, shape (J,)
        The round at which each chain ends.
    used, kv : int arrays, shape (F,)
        Requests that start at each round, and KV tokens held in it (at its end).
    steps : int array, shape (2, F + 1)
        First and second differences of `kv`, while it is counted.
    totals : int array, shape (3,)
        The horizon T in rounds, Σ_chains rounds beyond it, and Σ_rounds tokens beyond M.
    """

    open: NDArray[np.bool_]
    request: IntArray
    size: IntArray
    chain: IntArray
    place: IntArray
    following: IntArray
    start: IntArray
    end: IntArray
    used: IntArray
    kv: IntArray
    steps: IntArray
    totals: IntArray

    @classmethod
    def of(cls, b: Backlog, chains: list[list[int]], opened: NDArray[np.bool_], horizon: int) -> Chains:
        """Chains as given, counted; every chain must end within the rounds of `opened`."""
        most, count = 4 * max(map(len, chains)) + 8, len(b.length)
        request, start = np.zeros((2, len(chains), most), dtype=np.int64)
        chain, place = np.zeros((2, count), dtype=np.int64)
        for c, requests in enumerate(chains):
            request[c, : len(requests)] = requests
            chain[requests], place[requests] = c, np.arange(len(requests))
        size = np.array([len(requests) for requests in chains], dtype=np.int64)
        following, used, kv = np.zeros((3, len(opened)), dtype=np.int64)
        steps = np.zeros((2, len(opened) + 1), dtype=np.int64)
        end, totals = np.zeros(len(chains), dtype=np.int64), np.array([horizon, 0, 0])
        found = cls(opened.copy(), request, size, chain, place, following, start, end, used, kv, steps, totals)
        assert recount(b, found)
        return found

    def copy(self) -> Chains:
        """The same in arrays of its own."""
        columns: list[Any] = [column.copy() for column in self]
        return Chains(*columns)

    def beside(self) -> Chains:
        """Other open rounds for the same chains: these share the arrays of requests, and no others."""
        mine = self.copy()
        return mine._replace(request=self.request, size=self.size, chain=self.chain, place=self.place)

    @property
    def fits(self) -> bool:
        """Whether the requests keep the KV cache as they start; slots they keep always."""
        return int(self.totals[OVER]) == 0

    @property
    def rounds(self) -> int:
        """The round at which the last chain ends."""
        return int(self.end.max())

    @property
    def prefills(self) -> int:
        """Rounds at which some request starts."""
        return int(np.count_nonzero(self.used))

    @property
    def start_round(self) -> IntArray:
        """The round at which each request starts: shape (n,)."""
        return self.start[self.chain, self.place]


@routine
def count_chain(b, s, c, requests, starts, size):  # type: ignore[no-untyped-def]
    """Write when the requests of a chain start; its end, or F where no round is open for one of them or it is later."""
    far, now = len(s.open), 0
    for k in range(size):
        now = s.following[now]
        if now >= far or now + b.length[requests[c, k]] >= far:
            return far
        starts[c, k] = now
        now += b.length[requests[c, k]]
    return now


@routine
def recount(b, s):  # type: ignore[no-untyped-def]
    """Count everything anew from the chains, the open rounds and the horizon; False where some chain has no end."""
    far = len(s.open)
    following = far
    for t in range(far - 1, -1, -1):
        if s.open[t]:
            following = t
        s.following[t], s.used[t], s.steps[0, t], s.steps[1, t] = following, 0, 0, 0
    s.totals[LATE] = 0
    for c in range(len(s.size)):
        end = count_chain(b, s, c, s.request, s.start, s.size[c])
        if end >= far:
            return False
        s.end[c] = end
        s.totals[LATE] += max(0, end - s.totals[HORIZON])
        for k in range(s.size[c]):
            i, begin = s.request[c, k], s.start[c, k]
            last = begin + b.length[i]
            s.used[begin] += 1
            s.steps[0, begin] += b.prompt[i]
            s.steps[1, begin] += 1
            s.steps[0, last] -= b.prompt[i] + b.length[i]
            s.steps[1, last] -= 1
    held, active, over = 0, 0, 0
    for t in range(far):
        active += s.steps[1, t]
        held += active + s.steps[0, t]
        s.kv[t] = held
        over += max(0, held - b.kv_capacity)
    s.totals[OVER] = over
    return True


@kernel
def price(b, count, spread):  # type: ignore[no-untyped-def]
    """What a round at which `count` requests start costs, in slot-rounds: ρ J count / (count + h)."""
    return b.prefill * count / (count + spread)


@njit(cache=True)
def hold(kv, capacity, begin, tokens, slope, rounds):  # type: ignore[no-untyped-def]
    """Add tokens + slope k in the k-th of `rounds` rounds from `begin` on (k from 1); tokens beyond the capacity."""
    over = 0
    part = kv[begin : begin + rounds]
    for k in range(rounds):
        before = part[k]
        after = before + tokens + slope * (k + 1)
        part[k] = after
        over += max(after - capacity, 0) - max(before - capacity, 0)
    return over


def chains_of(b: Backlog, horizon: float, phases: int, random: np.random.Generator) -> Chains:
    """Chains of about the same length, longest first into the shortest one and then in random order.

    Parameters
    ----------
    b : Backlog
    horizon : float
        T in shares of what the slots take, at least 1.
    phases : int
        Open rounds in the longest length, one in each of so many parts of it; they repeat with it.
    random : Generator
    """
    longest = int(b.length.max())
    ends: Any = np.zeros(b.slots, dtype=np.int64)
    chains: list[list[int]] = [[] for _ in range(b.slots)]
    for i in np.argsort(-b.length, kind="stable").tolist():
        c = int(ends.argmin())
        chains[c].append(i)
        ends[c] += b.length[i]
    chains = [random.permutation(chain).tolist() for chain in chains]
    # Each request waits for two phases at most.
    waited = b.length + 2 * -(-longest // phases) + 2
    far = max(int(waited[chain].sum()) for chain in chains if chain) + 2 * longest
    opened = np.zeros(far, dtype=np.bool_)
    # Evenly spread rounds would lie apart by multiples of one length only.
    shares = (np.arange(phases) + random.random(phases)) * (np.arange(phases) > 0)
    for offset in (shares * longest / phases).astype(np.int64).tolist():
        opened[offset::longest] = True
    within = max(int(np.ceil(horizon * b.length.sum() / b.slots)), longest)
    return Chains.of(b, chains, opened, min(within, far - 1))


def chains_from(b: Backlog, start_round: IntArray) -> Chains:
    """Chains of requests that start at given rounds, which are the open ones: each goes on where a slot is free first.

    Parameters
    ----------
    b : Backlog
    start_round : int array, shape (n,)
        Rounds at which at most J requests are active at once.
    """
    chains: list[list[int]] = [[] for _ in range(b.slots)]
    free = [(0, c) for c in range(b.slots)]
    for i in np.argsort(start_round, kind="stable").tolist():
        end, c = heapq.heappop(free)
        assert end <= start_round[i]
        chains[c].append(i)
        heapq.heappush(free, (int(start_round[i] + b.length[i]), c))
    horizon = int((start_round + b.length).max())
    opened = np.zeros(horizon + 2 * int(b.length.max()), dtype=np.bool_)
    opened[start_round] = True
    return Chains.of(b, chains, opened, horizon)
