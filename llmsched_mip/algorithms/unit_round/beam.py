"""Beam search over starts of unit rounds in the order of time (compiled): the W best partial schedules of each size.

A partial schedule of k requests is grown by one that waits, at the first round, not before the last start, in which
it fits.  Partial schedules are compared by what they have lost for certain (`guide`) less the idle KV that is to be
expected by then; of two with the same requests and last start one is kept.  No proof of anything: plans only.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.algorithms.unit_round.guide import Guide, excess, lateness
from llmsched_mip.budget import Budget
from llmsched_mip.compiled import kernel
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.unit_loads import add

# Numbers that a search holds, 0.5 GB.
MOST_NUMBERS = 60_000_000
CHILDREN = 10
SLICE_WORK = 200_000
SIDE, LIVE, LEVEL = 0, 1, 2


class Layer(NamedTuple):
    """Partial schedules of two sizes in turn: the first index is 0 or 1, the second the place in the beam.

    `load` is the KV of the rounds after `now`, the last start; `ends` the rounds at the end of which some request
    completes, ascending, `distinct` of them; requests before `low` have all started; `lost` what `guide` says, `key` a
    hash of the requests that have started.
    """

    load: IntArray
    ends: IntArray
    distinct: IntArray
    now: IntArray
    low: IntArray
    key: IntArray
    done: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    lost: FloatArray


class Children(NamedTuple):
    """What a layer may grow to: estimate, loss, parent, request, start; and room for the idle KV of a parent."""

    score: FloatArray
    lost: FloatArray
    parent: IntArray
    request: IntArray
    start: IntArray
    idle: FloatArray


class Path(NamedTuple):
    """How each member of each size came to be; `state` holds the side in use, how many are on it, and the size.

    `hashes` are those of the requests, `table` finds members of a side by theirs.
    """

    parent: IntArray
    request: IntArray
    start: IntArray
    hashes: IntArray
    table: IntArray
    state: IntArray


@kernel
def _fits_from(load, ends, count, capacity, p, d, now, s):  # type: ignore[no-untyped-def]
    """First start ≥ s; as `unit_loads.earliest`, and only completions and the last round need a look.

    Between two completions the KV in use only grows.
    """
    while True:
        r = s + d
        room = capacity - load[r - now] - p
        if d > room:
            s = r - room if room >= 1 else r
            continue
        moved = False
        for at in range(count - 1, -1, -1):
            r = ends[at]
            if r <= s:
                break
            if r < s + d:
                room = capacity - load[r - now] - p
                if r - s > room:
                    s = r - room if room >= 1 else r
                    moved = True
                    break
        if not moved:
            return s


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _keep(children, first, count, most, new):  # type: ignore[no-untyped-def]
    """Insert a child where it belongs among the best `most` of its parent; how many there are then."""
    score = new[0]
    if count == most and score >= children.score[first + count - 1]:
        return count
    at = first + (count if count < most else count - 1)
    while at > first and children.score[at - 1] > score:
        children.score[at], children.lost[at] = children.score[at - 1], children.lost[at - 1]
        children.request[at], children.start[at] = children.request[at - 1], children.start[at - 1]
        at -= 1
    children.score[at], children.lost[at], children.request[at], children.start[at] = new
    return count if count == most else count + 1


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _expand(guide, layer, children, side, q, first, near):  # type: ignore[no-untyped-def]
    """Append the best children of one member from place `first` on; how many.

    The first `near` that wait are looked at, and as many spread over the rest where there is a deadline.
    """
    load, ends, done = layer.load[side, q], layer.ends[side, q], layer.done[side, q]
    count, now, low = layer.distinct[side, q], layer.now[side, q], layer.low[side, q]
    n, kept, looked, priced, idle = len(guide.p), 0, 0, 0, children.idle
    last, last_end = len(guide.total) - 1, ends[count - 1] if count else 0
    idle[0], late_at, late_all, i, stride = 0.0, np.int64(-1), 0.0, low, 1
    while i < n:
        if done[i]:
            i += 1
            continue
        looked += 1
        s = _fits_from(load, ends, count, guide.capacity, guide.p[i], guide.d[i], now, now)
        while priced < s - now:
            t = now + priced
            price = guide.total[t + 1] - guide.total[t] if t < last else 0.0
            idle[priced + 1] = idle[priced] + price * (guide.capacity - load[priced + 1])
            priced += 1
        loss = excess(guide, i, s)
        if guide.deadline >= 0:
            late = lateness(guide, done, low, s, i, last_end)
        else:
            if s != late_at:
                late_at, late_all = s, lateness(guide, done, low, s, -1, 0)
            late = late_all - loss if guide.cheapest[i] < s else late_all
        lost = layer.lost[side, q] + loss + idle[s - now]
        expected = guide.idle_share * guide.capacity * guide.total[min(s, last)]
        kept = _keep(children, first, kept, CHILDREN, (lost + late - expected, lost, i, s))
        if looked == near:
            if guide.deadline < 0:
                break
            stride = max(1, (n - i) // near)
        i += stride
    children.parent[first : first + kept] = q
    return kept


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _grow(guide, layer, side, q, k, child):  # type: ignore[no-untyped-def]
    """Write the child (request, start) of member q on `side` to place k of the other side."""
    i, s = child
    to, now, d = 1 - side, layer.now[side, q], guide.d[i]
    count = layer.distinct[side, q]
    last_end = layer.ends[side, q, count - 1] if count else now
    old, new = layer.load[side, q], layer.load[to, k]
    used = max(0, last_end - s)
    new[: used + 1] = old[s - now : s - now + used + 1]
    new[used + 1 :] = 0
    add(new, guide.p[i], d, 0, 1)
    kept, end, ends = 0, s + d, layer.ends[to, k]
    for at in range(count):
        completion = layer.ends[side, q, at]
        if completion > s:
            if end >= 0 and end <= completion:
                if end < completion:
                    ends[kept] = end
                    kept += 1
                end = -1
            ends[kept] = completion
            kept += 1
    if end >= 0:
        ends[kept] = end
        kept += 1
    layer.distinct[to, k], layer.now[to, k] = kept, s
    layer.done[to, k] = layer.done[side, q]
    layer.done[to, k, i] = True
    low = layer.low[side, q]
    while low < len(guide.p) and layer.done[to, k, low]:
        low += 1
    layer.low[to, k] = low


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _is_twin(layer, table, to, place, member):  # type: ignore[no-untyped-def]
    """Whether a member with this (key, last start) is on side `to`; else it is noted as that of `place`."""
    key, s = member
    at = (key ^ (key >> 31) ^ (s * 0x9E3779B1)) & (len(table) - 1)
    while table[at] >= 0:
        k = table[at]
        if layer.key[to, k] == key and layer.now[to, k] == s:
            return True
        at = (at + 1) & (len(table) - 1)
    table[at] = place
    return False


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _advance(guide, layer, children, path, near, levels):  # type: ignore[no-untyped-def]
    """Grow the beam by `levels` requests."""
    width = layer.now.shape[1]
    for _ in range(levels):
        side, live, level = path.state
        if level == len(guide.p):
            return
        found = 0
        for q in range(live):
            found += _expand(guide, layer, children, side, q, found, near)
        kept, to = 0, 1 - side
        path.table[:] = -1
        for c in np.argsort(children.score[:found]):
            q, i, s = children.parent[c], children.request[c], children.start[c]
            key = layer.key[side, q] ^ path.hashes[i]
            if _is_twin(layer, path.table, to, kept, (key, s)):
                continue
            _grow(guide, layer, side, q, kept, (i, s))
            layer.key[to, kept], layer.lost[to, kept] = key, children.lost[c]
            path.parent[level, kept], path.request[level, kept], path.start[level, kept] = q, i, s
            kept += 1
            if kept == width:
                break
        path.state[SIDE], path.state[LIVE], path.state[LEVEL] = to, kept, level + 1


def most_width(guide: Guide) -> int:
    """The widest beam that memory allows, at least 1."""
    n, longest = len(guide.p), int(guide.d.max())
    return max(1, MOST_NUMBERS // (2 * (2 * longest + 2) + 2 * _most_ends(guide) + 4 * n + 5 * CHILDREN))


def _integers(*shape: int) -> IntArray:
    return np.zeros(shape, dtype=np.int64)


def _most_ends(guide: Guide) -> int:
    """Requests that can be active at once, and one."""
    return int(min(len(guide.p), guide.capacity // (int(guide.p.min()) + 1))) + 2


def search(guide: Guide, width: int, near: int, seed: int, budget: Budget) -> tuple[IntArray, FloatArray] | None:
    """Starts of complete schedules in the guide's order, or None where the budget is spent before.

    Parameters
    ----------
    guide : Guide
    width : int
        W.
    near : int
        Requests that are looked at for the next start.
    seed : int
        Of the hashes.
    budget : Budget

    Returns
    -------
    starts : int array, shape (members, n)
    lost : float array, shape (members,)
    """
    n, size = len(guide.p), 2 * int(guide.d.max()) + 2
    layer = Layer(
        _integers(2, width, size),
        _integers(2, width, _most_ends(guide)),
        _integers(2, width),
        _integers(2, width),
        _integers(2, width),
        _integers(2, width),
        np.zeros((2, width, n), dtype=np.bool_),
        np.zeros((2, width)),
    )
    room, hashes = width * CHILDREN, np.random.default_rng(seed).integers(1, 2**62, n)
    children = Children(
        np.zeros(room), np.zeros(room), _integers(room), _integers(room), _integers(room), np.zeros(size)
    )
    table = _integers(1 << (2 * width).bit_length())
    path = Path(_integers(n, width), _integers(n, width), _integers(n, width), hashes, table, np.array([0, 1, 0]))
    levels = max(1, SLICE_WORK // (width * near))
    while path.state[LEVEL] < n:
        if budget.spent() or path.state[LIVE] == 0:
            return None
        _advance(guide, layer, children, path, near, levels)
    side, live, _ = path.state.tolist()
    starts, at = _integers(live, n), np.arange(live)
    for level in range(n - 1, -1, -1):
        starts[np.arange(live), path.request[level, at]] = path.start[level, at]
        at = path.parent[level, at]
    return starts, layer.lost[side, :live]
