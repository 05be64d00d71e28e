"""Changes of a sequence of batches that a local search tries (compiled).

Each makes its change by the calls of `batches`, which note it, and gives the first and the last place of the sequence
that has changed; a first place of -1 where there is nothing to change.  From the batch at the last place on, the same
requests have been prefilled after each batch as before the change.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llmsched_mip.algorithms.orders.batches import (
    BATCHES,
    carry_batch,
    close_batch,
    limit_batch,
    move_request,
    open_batch,
)
from llmsched_mip.algorithms.orders.single_worker import SingleWorker
from llmsched_mip.compiled import kernel, routine
from llmsched_mip.timing import IntArray

NEAR_PLACES, NEAR_RANKS, NEAR_LIMITS = 3, 8, 4
FAR_RANKS = 10
USUAL_APART = 10


class Alike(NamedTuple):
    """Orders in which like requests stand together: by d, p and KV volume.

    Parameters
    ----------
    order, rank : int arrays, shape (3, n)
        Request at each place of an order, and the place of each request.
    """

    order: IntArray
    rank: IntArray

    @classmethod
    def of(cls, problem: SingleWorker, work: IntArray | np.ndarray) -> Alike:
        """By decode rounds, prompt and `work`, shape (n,)."""
        order = np.array([np.argsort(key, kind="stable") for key in (problem.d, problem.p, work)])
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(order.shape[1])[None, :], axis=1)
        return cls(order, rank)


@kernel
def drawn(random, low, high):  # type: ignore[no-untyped-def]
    """A random integer from `low` to `high` - 1; that of a generator itself would make an array."""
    return low + int(random.random() * (high - low))


@kernel
def _like(batches, alike, i, most, random):  # type: ignore[no-untyped-def]
    """A request at most so many places from i in one of the orders; -1 for none.

    The farther apart their batches are, the more has to be executed anew, and the less often it is taken.
    """
    row = drawn(random, 0, len(alike.order))
    at = alike.rank[row, i] + drawn(random, -most, most + 1)
    if at < 0 or at >= alike.order.shape[1]:
        return -1
    j = alike.order[row, at]
    apart = abs(batches.place[batches.batch[i]] - batches.place[batches.batch[j]])
    return j if apart * random.random() < USUAL_APART else -1


@routine
def relocate(problem, batches, alike, random):  # type: ignore[no-untyped-def]
    """Move a request into a batch near its own, or into that of a request like it."""
    i = drawn(random, 0, len(problem.p))
    b, to = batches.batch[i], -1
    place = batches.place[b]
    if random.random() < 0.5:
        at = place + drawn(random, -NEAR_PLACES, NEAR_PLACES + 1)
        to = batches.sequence[at] if 0 <= at < batches.counts[BATCHES] else -1
    else:
        j = _like(batches, alike, i, NEAR_RANKS, random)
        to = batches.batch[j] if j >= 0 else -1
    if to < 0 or to == b or batches.size[to] == problem.slots or batches.tokens[to] + problem.p[i] > problem.cap:
        return -1, -1
    move_request(problem, batches, i, to)
    if batches.size[b] == 0:
        close_batch(batches, b)
    return min(place, batches.place[to]), max(place, batches.place[to])


@routine
def swap(problem, batches, alike, random):  # type: ignore[no-untyped-def]
    """Exchange two requests that are alike, mostly very much so, between their batches."""
    i = drawn(random, 0, len(problem.p))
    share = random.random()
    j = _like(batches, alike, i, 1 + int(len(problem.p) / FAR_RANKS * share * share * share), random)
    if j < 0:
        return -1, -1
    a, b = batches.batch[i], batches.batch[j]
    more = problem.p[j] - problem.p[i]
    if a == b or batches.tokens[a] + more > problem.cap or batches.tokens[b] - more > problem.cap:
        return -1, -1
    move_request(problem, batches, i, b)
    move_request(problem, batches, j, a)
    return min(batches.place[a], batches.place[b]), max(batches.place[a], batches.place[b])


@routine
def relimit(problem, batches, random, counts):  # type: ignore[no-untyped-def]
    """Let a batch start with somewhat more or fewer active than it does, or as early as it fits."""
    place = drawn(random, 0, batches.counts[BATCHES])
    b = batches.sequence[place]
    limit = problem.slots
    if random.random() < 0.75:
        now = min(batches.limit[b], counts[b, 0] - batches.size[b])
        limit = max(0, now + drawn(random, -NEAR_LIMITS, NEAR_LIMITS + 1))
    if place == 0 or limit == batches.limit[b]:
        return -1, -1
    limit_batch(batches, b, limit)
    return place, place


@routine
def unite(problem, batches, random):  # type: ignore[no-untyped-def]
    """Make one batch of two neighbours, with the limit of either."""
    if batches.counts[BATCHES] < 2:
        return -1, -1
    place = drawn(random, 0, batches.counts[BATCHES] - 1)
    a, b = batches.sequence[place], batches.sequence[place + 1]
    if random.random() < 0.5:
        a, b = b, a
    if batches.size[a] + batches.size[b] > problem.slots or batches.tokens[a] + batches.tokens[b] > problem.cap:
        return -1, -1
    while batches.size[a] > 0:
        move_request(problem, batches, batches.first[a], b)
    close_batch(batches, a)
    return place, place + 1


@routine
def split(problem, batches, random, counts):  # type: ignore[no-untyped-def]
    """Move the longest, the shortest or any requests of a batch to one of their own behind it."""
    place = drawn(random, 0, batches.counts[BATCHES])
    b = batches.sequence[place]
    if batches.size[b] < 2:
        return -1, -1
    limit = problem.slots
    if random.random() < 0.5:
        limit = counts[b, 0] - drawn(random, 0, max(2, counts[b, 0] // 2))
    new = open_batch(batches, place + 1, limit)
    way, cut = drawn(random, 0, 3), drawn(random, 1, batches.size[b])
    i, k = batches.first[b], 0
    while i >= 0:
        behind = batches.after[i]
        if (way == 0 and k < cut) or (way == 1 and k >= cut) or (way == 2 and random.random() < 0.5):
            move_request(problem, batches, i, new)
        i, k = behind, k + 1
    return (place if batches.size[new] > 0 and batches.size[b] > 0 else -1), place + 1


@routine
def carry(batches, random):  # type: ignore[no-untyped-def]
    """Move a batch by a few places."""
    place = drawn(random, 0, batches.counts[BATCHES])
    to = place + drawn(random, -NEAR_PLACES, NEAR_PLACES + 1)
    if to == place or to < 0 or to >= batches.counts[BATCHES]:
        return -1, -1
    carry_batch(batches, batches.sequence[place], to)
    return min(place, to), max(place, to) + 1


@routine
def part(problem, batches, random):  # type: ignore[no-untyped-def]
    """Give one request a batch of its own near the one that it is in."""
    i = drawn(random, 0, len(problem.p))
    b = batches.batch[i]
    if batches.size[b] < 2:
        return -1, -1
    at = min(max(batches.place[b] + drawn(random, -2, 4), 0), batches.counts[BATCHES])
    new = open_batch(batches, at, problem.slots)
    move_request(problem, batches, i, new)
    return min(at, batches.place[b]), max(at, batches.place[b])
