"""What an order does where lengths show only when a request ends (compiled): one scenario, all workers.

The rule is the one that `policy.OrderPolicy` follows in the executor: a worker prefills the next requests of the order
that fit, as soon as `least` of them do, and decodes until the next completion or arrival.  KV is set aside for a
request by its reserve, a number that is no length; one that outlives it is reserved a quarter more than it has made.
Where the cache overflows all the same, the request that started last is evicted and waits at its place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.compiled import kernel, routine
from llmsched_mip.instance import Instance
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.timing import FloatArray, IntArray

HIDDEN, WAITS, RUNS, DONE = 0, 1, 2, 3
VALUE, EVICTIONS = 0, 1
COUNT, ROUNDS, HELD, PEAKS = 0, 1, 2, 3


class Fleet(NamedTuple):
    """An instance without its lengths, as flat numbers.

    Parameters
    ----------
    makespan : bool
        Else the weighted sum of completion times.
    p, rank : int arrays, shape (n,)
        Prompt tokens; how many requests arrive before each.
    weight, arrival_s : float arrays, shape (n,)
    by_arrival : int array, shape (n,)
        Requests in order of arrival.
    slots, capacity, cap : int arrays, shape (W,)
        Very large where nothing limits.
    level_tokens, level_s : float arrays, shape (W, L)
        Prefill iterations: seconds of the first level that holds the prompt tokens.
    times : float array, shape (W, 4)
        Seconds of a prompt token, a decode round, a request in it, a KV token in it.
    """

    makespan: bool
    p: IntArray
    rank: IntArray
    weight: FloatArray
    arrival_s: FloatArray
    by_arrival: IntArray
    slots: IntArray
    capacity: IntArray
    cap: IntArray
    level_tokens: FloatArray
    level_s: FloatArray
    times: FloatArray

    @classmethod
    def of(cls, instance: Instance) -> Fleet:
        """Those of an instance."""
        r, workers = instance.requests, instance.workers
        by_arrival = np.argsort(r.arrival_s, kind="stable").astype(np.int64)
        rank = np.empty(instance.n, dtype=np.int64)
        rank[by_arrival] = np.arange(instance.n)
        levels = [worker.prefill_time.levels() for worker in workers]
        most = max(len(level.tokens) for level in levels)
        tokens, seconds = np.full((len(workers), most), np.inf), np.full((len(workers), most), np.inf)
        for w, level in enumerate(levels):
            tokens[w, : len(level.tokens)], seconds[w, : len(level.seconds)] = level.tokens, level.seconds
        times = [
            (worker.prefill_time.prompt_seconds(1), d.base_s, d.per_sequence_s, d.per_kv_token_s)
            for worker, d in ((worker, worker.decode_time) for worker in workers)
        ]
        return cls(
            instance.objective == "makespan",
            np.array(r.prefill_tokens),
            rank,
            np.array(r.weight),
            np.array(r.arrival_s),
            by_arrival,
            np.array([worker.most_slots(instance.n) for worker in workers], dtype=np.int64),
            np.array([worker.most_kv(MOST_LIMIT) for worker in workers], dtype=np.int64),
            np.array([worker.most_prefill(MOST_LIMIT) for worker in workers], dtype=np.int64),
            tokens,
            seconds,
            np.array(times, dtype=np.float64),
        )


class Rule(NamedTuple):
    """What is decided before any length shows.

    Parameters
    ----------
    order : int array, shape (n,)
        Requests, the first to start in front.
    placed : int array, shape (n,)
        The worker of each request; -1: whichever is free first.
    least : int
        Requests that have to fit before there is a prefill, unless nothing is active or no more wait.
    reserve : int array, shape (n,)
        Tokens that KV is set aside for.
    margin : float
        Share of the KV cache that no admission counts on, except on an empty worker.
    """

    order: IntArray
    placed: IntArray
    least: int
    reserve: IntArray
    margin: float


class _State(NamedTuple):
    """Active requests of each worker, by descending reserved finish, and where each worker stands."""

    request: IntArray
    start: IntArray
    finish: IntArray
    counts: IntArray
    now: FloatArray
    status: IntArray
    too_small: IntArray
    batch: IntArray


@kernel
def _renewed(made):  # type: ignore[no-untyped-def]
    """The reserve of a request that has outlived its own."""
    return made + max(1, made // 4)


@kernel
def _run_seconds(fleet, w, rounds, active, held):  # type: ignore[no-untyped-def]
    volume = rounds * held + active * rounds * (rounds + 1) // 2
    return rounds * (fleet.times[w, 1] + fleet.times[w, 2] * active) + fleet.times[w, 3] * volume


@kernel
def _prefill_seconds(fleet, w, tokens):  # type: ignore[no-untyped-def]
    level = 0
    while fleet.level_tokens[w, level] < tokens:
        level += 1
    return fleet.level_s[w, level] + fleet.times[w, 0] * tokens


@routine
def _insert(state, w, i, start, finish):  # type: ignore[no-untyped-def]
    at = state.counts[w, COUNT]
    while at > 0 and state.finish[w, at - 1] < finish:
        state.request[w, at], state.start[w, at] = state.request[w, at - 1], state.start[w, at - 1]
        state.finish[w, at] = state.finish[w, at - 1]
        at -= 1
    state.request[w, at], state.start[w, at], state.finish[w, at] = i, start, finish
    state.counts[w, COUNT] += 1


@routine
def _take_out(fleet, state, w, at):  # type: ignore[no-untyped-def]
    """Forget the active request at a position; KV held stays to be counted by the caller."""
    i, start = state.request[w, at], state.start[w, at]
    state.counts[w, PEAKS] -= fleet.p[i] + state.finish[w, at] - start
    for k in range(at, state.counts[w, COUNT] - 1):
        state.request[w, k], state.start[w, k] = state.request[w, k + 1], state.start[w, k + 1]
        state.finish[w, k] = state.finish[w, k + 1]
    state.counts[w, COUNT] -= 1


@routine
def _refine(fleet, state, w):  # type: ignore[no-untyped-def]
    """Reserve more for those that have outlived their reserve."""
    rounds = state.counts[w, ROUNDS]
    while state.counts[w, COUNT] > 0:
        last = state.counts[w, COUNT] - 1
        if state.finish[w, last] > rounds:
            break
        i, start = state.request[w, last], state.start[w, last]
        _take_out(fleet, state, w, last)
        finish = start + _renewed(rounds - start)
        state.counts[w, PEAKS] += fleet.p[i] + finish - start
        _insert(state, w, i, start, finish)


@routine
def _admits(fleet, state, w, i, reserve, margin):  # type: ignore[no-untyped-def]
    """Whether the KV cache holds at every reserved finish up to that of request i, started now."""
    capacity, rounds, count = fleet.capacity[w], state.counts[w, ROUNDS], state.counts[w, COUNT]
    if state.counts[w, PEAKS] + fleet.p[i] + reserve + margin <= capacity:
        return True
    finish, offset = rounds + reserve, fleet.p[i] + margin - rounds
    total, later, beyond, equal = 0, 0, 0, False
    for k in range(count):
        f = state.finish[w, k]
        total += fleet.p[state.request[w, k]] - state.start[w, k]
        if f > finish:
            later = k + 1
            beyond = total
            continue
        if f == finish:
            equal = True
        if k + 1 < count and state.finish[w, k + 1] == f:
            continue
        if capacity - total - (k + 1) * f - f < offset:
            return False
    if equal:
        return True
    if later == 0:
        return finish + offset <= capacity
    return beyond + finish * (later + 1) + offset <= capacity


@routine
def _choose(fleet, rule, state, w, first, waiting):  # type: ignore[no-untyped-def]
    """Start what fits now: number and tokens, the requests in `batch`; nothing where fewer than `least` fit."""
    count = state.counts[w, COUNT]
    room, margin = fleet.slots[w] - count, int(rule.margin * fleet.capacity[w])
    if room <= 0 or waiting == 0:
        return 0, 0
    _refine(fleet, state, w)
    if count > 0 and room < min(rule.least, waiting):
        return 0, 0
    taken, tokens, seen, held = 0, 0, 0, state.counts[w, HELD] + count
    at, n = first, len(rule.order)
    while at < n and room > 0 and seen < waiting:
        i = rule.order[at]
        at += 1
        if state.status[i] != WAITS:
            continue
        seen += 1
        prompt = fleet.p[i]
        if rule.placed[i] >= 0 and rule.placed[i] != w:
            continue
        if prompt > fleet.cap[w] or prompt >= fleet.capacity[w] or state.too_small[i] >= fleet.capacity[w]:
            continue
        reserve = min(rule.reserve[i], fleet.capacity[w] - prompt)
        spare = margin if state.counts[w, COUNT] > 0 else 0
        if tokens + prompt > fleet.cap[w] or held + prompt + 1 > fleet.capacity[w]:
            break
        if not _admits(fleet, state, w, i, reserve, spare):
            break
        _insert(state, w, i, state.counts[w, ROUNDS], state.counts[w, ROUNDS] + reserve)
        state.counts[w, PEAKS] += prompt + reserve
        state.batch[taken] = i
        taken, tokens, held, room = taken + 1, tokens + prompt, held + prompt + 1, room - 1
    if count > 0 and taken < min(rule.least, waiting):
        _undo(fleet, state, w, taken)
        return 0, 0
    for k in range(taken):
        state.status[state.batch[k]] = RUNS
    state.counts[w, HELD] += tokens
    return taken, tokens


@routine
def _undo(fleet, state, w, taken):  # type: ignore[no-untyped-def]
    for k in range(taken):
        for at in range(state.counts[w, COUNT]):
            if state.request[w, at] == state.batch[k]:
                _take_out(fleet, state, w, at)
                break


@routine
def _evict(fleet, state, w):  # type: ignore[no-untyped-def]
    """Take off the request that started last, of several the last to arrive; its number."""
    worst = 0
    for k in range(1, state.counts[w, COUNT]):
        later = state.start[w, k] - state.start[w, worst]
        if later > 0 or (later == 0 and fleet.rank[state.request[w, k]] > fleet.rank[state.request[w, worst]]):
            worst = k
    i = state.request[w, worst]
    if state.counts[w, COUNT] == 1:
        state.too_small[i] = max(state.too_small[i], fleet.capacity[w])
    state.counts[w, HELD] -= fleet.p[i] + state.counts[w, ROUNDS] - state.start[w, worst]
    _take_out(fleet, state, w, worst)
    state.status[i] = WAITS
    return i


@routine
def _decode(fleet, d, state, w, arrival_s, totals):  # type: ignore[no-untyped-def]
    """Rounds until the next completion, the first boundary after the next arrival, or a full cache; completions."""
    count, held, t = state.counts[w, COUNT], state.counts[w, HELD], state.counts[w, ROUNDS]
    rounds = MOST_LIMIT
    for k in range(count):
        rounds = min(rounds, state.start[w, k] + d[state.request[w, k]] - t)
    rounds = min(rounds, (fleet.capacity[w] - held) // count)
    now = state.now[w] + _run_seconds(fleet, w, rounds, count, held)
    if count < fleet.slots[w] and arrival_s < now:
        low, high, wait_s = 1, rounds, arrival_s - state.now[w]
        while low < high:
            middle = (low + high) // 2
            if _run_seconds(fleet, w, middle, count, held) >= wait_s:
                high = middle
            else:
                low = middle + 1
        if low < rounds:
            rounds = low
            now = max(arrival_s, state.now[w] + _run_seconds(fleet, w, rounds, count, held))
    state.now[w] = now
    t += rounds
    state.counts[w, ROUNDS], state.counts[w, HELD] = t, held + rounds * count
    done = 0
    for k in range(count - 1, -1, -1):
        i = state.request[w, k]
        if state.start[w, k] + d[i] == t:
            _take_out(fleet, state, w, k)
            state.counts[w, HELD] -= fleet.p[i] + d[i]
            state.status[i] = DONE
            totals[VALUE] = max(totals[VALUE], now) if fleet.makespan else totals[VALUE] + fleet.weight[i] * now
            done += 1
    return done


@njit(cache=True, nogil=True)
def execute(fleet, rule, d, place):  # type: ignore[no-untyped-def]
    """Value and evictions of a rule where the lengths are `d`, shape (n,); `place` is the inverse of the order.

    The value is infinite where a request is placed on a worker that it does not fit.
    """
    n, workers = len(d), len(fleet.slots)
    most = 1
    for w in range(workers):
        most = max(most, min(fleet.slots[w], fleet.capacity[w] // (fleet.p.min() + 1)) + 1)
    most = min(most, n + 1)
    state = _State(
        np.zeros((workers, most), dtype=np.int64),
        np.zeros((workers, most), dtype=np.int64),
        np.zeros((workers, most), dtype=np.int64),
        np.zeros((workers, 4), dtype=np.int64),
        np.zeros(workers),
        np.zeros(n, dtype=np.int64),
        np.full(n, -1),
        np.zeros(most, dtype=np.int64),
    )
    totals = np.zeros(2)
    left, arrived, waiting, first = n, 0, 0, n
    while left > 0:
        w = int(np.argmin(state.now))
        now = state.now[w]
        if now == np.inf:
            totals[VALUE] = np.inf
            break
        while arrived < n and fleet.arrival_s[fleet.by_arrival[arrived]] <= now:
            i = fleet.by_arrival[arrived]
            state.status[i] = WAITS
            first, arrived, waiting = min(first, place[i]), arrived + 1, waiting + 1
        while first < n and state.status[rule.order[first]] != WAITS:
            first += 1
        arrival_s = fleet.arrival_s[fleet.by_arrival[arrived]] if arrived < n else np.inf
        taken, tokens = _choose(fleet, rule, state, w, first, waiting)
        if taken > 0:
            waiting -= taken
            state.now[w] += _prefill_seconds(fleet, w, tokens)
            continue
        evicted = False
        while state.counts[w, COUNT] > 0 and state.counts[w, HELD] + state.counts[w, COUNT] > fleet.capacity[w]:
            evicted = True
            i = _evict(fleet, state, w)
            first, waiting = min(first, place[i]), waiting + 1
            totals[EVICTIONS] += 1
            for v in range(workers):
                if state.now[v] == np.inf:
                    state.now[v] = now
        if state.counts[w, COUNT] > 0:
            left -= _decode(fleet, d, state, w, arrival_s, totals)
        elif not evicted:
            state.now[w] = arrival_s
    return totals
