"""List scheduling of a backlog on one worker in which requests that run together end together (compiled).

Where KV binds, a prefill iteration pays when much KV is free at once, and KV is free at once where several requests
end in the same round.  So a batch first takes waiting requests whose last round is one in which something that
already runs ends too, the longest first; what room is left takes any that fit, in the order of a list.  After each
completion either the next batch is prefilled, or the worker decodes on to the next completion: that is what it does
as long as the seconds that idle capacity has cost since the last prefill are few beside those of an iteration.

The use of the KV cache is exact: at every end of a resident the tokens held are known, and between two ends they only
grow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.compiled import kernel
from llmsched_mip.timing import IntArray


class Backlog(NamedTuple):
    """The requests of one worker and the lists that batches are taken from; arrays of shape (n,).

    Parameters
    ----------
    p, d : int arrays
        Prompt and output tokens.
    listed : int array
        Requests in the order in which room is filled.
    first : int array
        Requests in the order in which the first batch is taken, on an empty worker.
    by_length : int array
        Requests by falling d.
    place : int array, shape (max d + 1,)
        First position in `by_length` of a request with at most so many output tokens.
    by_prompt : int array
        Requests by rising p.
    """

    p: IntArray
    d: IntArray
    listed: IntArray
    first: IntArray
    by_length: IntArray
    place: IntArray
    by_prompt: IntArray


class Limits(NamedTuple):
    """Most KV tokens, requests in decode, and prompt tokens of an iteration."""

    kv: int
    slots: int
    tokens: int


class Choice(NamedTuple):
    """When a batch is prefilled, and what it takes.

    Parameters
    ----------
    round_s : float
        Seconds of a round that its requests do not cause.
    patience_s : float
        Seconds of idle capacity after which a batch is prefilled.
    slack : float
        A request ends with a resident when it ends at most this share of its rounds before.
    window : int
        Waiting requests that are looked at to fill what room is left, and for each end.
    """

    round_s: float
    patience_s: float
    slack: float
    window: int


class Residents(NamedTuple):
    """The rounds in which residents end, ascending, of different numbers; what is active and held in each.

    Parameters
    ----------
    ends : int array, shape (1,)
        How many ends there are.
    end, active, held : int arrays
        Round (from the start of the plan), requests active in it, KV tokens held in it.
    """

    ends: IntArray
    end: IntArray
    active: IntArray
    held: IntArray


class Waiting(NamedTuple):
    """What is still to start.

    Parameters
    ----------
    starts : int array, shape (n,)
        Rounds that have been run when each request starts, -1 while it waits.
    by_length, listed : int arrays, shape (n + 1,)
        For every position of these lists one from which on to look for the next request that waits.
    smallest : int array, shape (1,)
        Position in `Backlog.by_prompt` of the smallest prompt that waits.
    ends : int array
        Room for a copy of `Residents.end`.
    """

    starts: IntArray
    by_length: IntArray
    listed: IntArray
    smallest: IntArray
    ends: IntArray


@kernel
def _next_waiting(following, position):  # type: ignore[no-untyped-def]
    """First position from `position` on whose request waits; shortens the way for the next time."""
    root = position
    while following[root] != root:
        root = following[root]
    while following[position] != root:
        after = following[position]
        following[position] = root
        position = after
    return root


@kernel
def _admit(residents, limits, now, p, d):  # type: ignore[no-untyped-def]
    """Make a request a resident from round `now` on if its KV fits until all that runs has ended; whether it did."""
    ends, end, active, held = residents
    m, last = ends[0], now + d
    k = 0
    while k < m and end[k] < last:
        if held[k] + p + end[k] - now > limits.kv:
            return False
        k += 1
    known = k < m and end[k] == last
    others, kv = 0, 0
    if k < m:
        others, kv = active[k], held[k] - active[k] * (end[k] - last)
    if kv + p + d > limits.kv:
        return False
    for q in range(k):
        held[q] += p + end[q] - now
        active[q] += 1
    if not known:
        for q in range(m, k, -1):
            end[q], active[q], held[q] = end[q - 1], active[q - 1], held[q - 1]
        end[k] = last
        ends[0] = m + 1
    active[k], held[k] = others + 1, kv + p + d
    return True


@kernel
def _complete(residents):  # type: ignore[no-untyped-def]
    """Take out the residents of the next end; its round."""
    ends, end, active, held = residents
    now = end[0]
    for q in range(1, ends[0]):
        end[q - 1], active[q - 1], held[q - 1] = end[q], active[q], held[q]
    ends[0] -= 1
    return now


@kernel
def _idle_seconds(residents, limits, now, round_s):  # type: ignore[no-untyped-def]
    """Seconds of the rounds to the next end times the share of the worker that is idle in them."""
    rounds = residents.end[0] - now
    kv = residents.held[0] - 0.5 * residents.active[0] * (rounds - 1)
    idle = min(1.0 - kv / limits.kv, 1.0 - residents.active[0] / limits.slots)
    return round_s * rounds * idle


@kernel
def _room(residents, limits, now):  # type: ignore[no-untyped-def]
    """KV tokens that the next round leaves free."""
    if residents.ends[0] == 0:
        return limits.kv
    return limits.kv - (residents.held[0] - residents.active[0] * (residents.end[0] - now - 1))


@kernel
def _joins(backlog, waiting, i, residents, limits, now, tokens):  # type: ignore[no-untyped-def]
    """Prefill a waiting request if it fits, beside so many prompt tokens; its prompt tokens, 0 where it does not."""
    p, d = backlog.p[i], backlog.d[i]
    if tokens + p > limits.tokens or not _admit(residents, limits, now, p, d):
        return 0
    waiting.starts[i] = now
    return p


@kernel
def _join_ends(backlog, waiting, residents, limits, choice, now):  # type: ignore[no-untyped-def]
    """Prefill requests that end with a resident, the latest end first; their prompt tokens."""
    tokens, n = 0, len(backlog.p)
    known = residents.ends[0]
    for k in range(known):
        waiting.ends[k] = residents.end[k]
    for k in range(known - 1, -1, -1):
        longest = waiting.ends[k] - now
        if longest >= len(backlog.place):
            continue
        least, position = longest - int(choice.slack * longest), backlog.place[longest]
        for _ in range(choice.window):
            position = _next_waiting(waiting.by_length, position)
            if position == n or residents.active[0] == limits.slots:
                break
            i = backlog.by_length[position]
            if backlog.d[i] < least:
                break
            if waiting.starts[i] < 0:
                tokens += _joins(backlog, waiting, i, residents, limits, now, tokens)
            if waiting.starts[i] >= 0:
                waiting.by_length[position] = position + 1
            position += 1
    return tokens


@kernel
def _fill(backlog, waiting, residents, limits, choice, now, tokens):  # type: ignore[no-untyped-def]
    """Prefill requests in the order of the list as long as there is room, beside so many tokens; tokens in all."""
    n, empty = len(backlog.p), now == 0
    listed = backlog.first if empty else backlog.listed
    position = 0
    for _ in range(choice.window):
        if not empty:
            position = _next_waiting(waiting.listed, position)
        while waiting.smallest[0] < n and waiting.starts[backlog.by_prompt[waiting.smallest[0]]] >= 0:
            waiting.smallest[0] += 1
        if position == n or waiting.smallest[0] == n:
            break
        if residents.ends[0] > 0 and residents.active[0] == limits.slots:
            break
        if _room(residents, limits, now) <= backlog.p[backlog.by_prompt[waiting.smallest[0]]]:
            break
        i = listed[position]
        if waiting.starts[i] < 0:
            tokens += _joins(backlog, waiting, i, residents, limits, now, tokens)
        if waiting.starts[i] >= 0 and not empty:
            waiting.listed[position] = position + 1
        position += 1
    return tokens


@njit(cache=True, nogil=True)
def schedule(backlog, limits, choice, starts):  # type: ignore[no-untyped-def]
    """Fill `starts` with the rounds that have been run when each request starts; the rounds and prefill iterations.

    Every request has to fit alone.
    """
    n = len(backlog.p)
    size = min(limits.slots, n) + 1
    residents = Residents(
        np.zeros(1, np.int64), np.empty(size, np.int64), np.zeros(size, np.int64), np.empty(size, np.int64)
    )
    waiting = Waiting(starts, np.arange(n + 1), np.arange(n + 1), np.zeros(1, np.int64), np.empty(size, np.int64))
    starts[:] = -1
    now, iterations = 0, 0
    while True:
        tokens = _join_ends(backlog, waiting, residents, limits, choice, now)
        tokens = _fill(backlog, waiting, residents, limits, choice, now, tokens)
        if tokens > 0:
            iterations += 1
        while waiting.smallest[0] < n and starts[backlog.by_prompt[waiting.smallest[0]]] >= 0:
            waiting.smallest[0] += 1
        if waiting.smallest[0] == n:
            return residents.end[residents.ends[0] - 1], iterations
        idle_s = 0.0
        while idle_s <= choice.patience_s:
            now = _complete(residents)
            if residents.ends[0] == 0:
                break
            idle_s += _idle_seconds(residents, limits, now, choice.round_s)
