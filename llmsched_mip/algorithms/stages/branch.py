"""Depth-first search over prefill iterations and rounds (compiled); `prove` says what follows from it.

A node is a boundary between two iterations: what each request has left (or that it waits or is complete), the seconds
that have passed and, for the sum, the completion times so far.  Its children let one more request join the next
prefill iteration, by ascending index; end that iteration; or decode.

Proof that nothing better is lost.
- Iterations at the same boundary may stand in any order, as no request completes between them: by their first
  index.  Where an iteration's time is affine and nothing caps it, one iteration costs no more than two.
- Equal requests may start by ascending index.
- Without `at_completions` the children decode one round, so every plan is met.  With it (no KV capacity that binds)
  they decode until the next request completes: the iteration of a set B that stands δ rounds after the last
  completion can be moved there.  Its slots are free there, the cost of the iterations stays, its requests start no
  later, so no request needs later rounds.  For the makespan, by the conserved-work identity, nothing else counts.
  For the sum each of B completes δ rounds earlier, which saves at least δ a: what B had done of its rounds at its
  completion stays, what others had done is no more.  Any other request waits for at most δ rounds more of every
  member, each of at most its largest own share o.  So Σ C falls by at least |B| δ (a - (n - |B|) o), which is not
  negative when a ≥ (n - 1) o; that is asked for.
- Two nodes after a decode with the same state of every request: the dearer is left.  The cost of a node for the sum
  is that of the completed plus the seconds so far of all others.  For the makespan it is the seconds so far and the
  own shares of all that has started, done or not: with the same requests waiting it differs only by rounds and
  iterations.  So with `ordered` (makespan, no KV) what counts of the active is only the rounds that they
  have left, sorted; componentwise fewer are no worse, as the same continuation remains possible.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from llmsched_mip.algorithms.stages.least import WAITING, least_makespan, least_sum

FRESH, OPEN, CLOSED = 0, 1, 2
DEPTH, NODES, ENTRIES, FOUND = 0, 1, 2, 3
SECONDS, TOTAL, LOW = 0, 1, 2
CHILD, MODE, TOKENS, LAST, LEAD = 0, 1, 2, 3, 4
LONGEST_CHAIN = 512
COMPLETE = -2


@njit(cache=True)
def fits(p, d, left, capacity, own):  # type: ignore[no-untyped-def]
    """Whether request `own` can join: KV in every round until it completes, where it peaks as others complete."""
    n = len(p)
    for j in range(n + 1):
        ahead = d[own] if j == n else left[j]
        if ahead <= 0 or ahead > d[own]:
            continue
        held = p[own] + ahead
        for i in range(n):
            if left[i] >= ahead:
                held += p[i] + d[i] - left[i] + ahead
        if held > capacity:
            return False
    return True


@njit(cache=True)
def decode(d, left, tail_s, round_s, rounds, seconds, total):  # type: ignore[no-untyped-def]
    """Run rounds in which at most the last completes a request; the new seconds and completion times."""
    n = len(d)
    seconds += round_s * rounds
    for i in range(n):
        if left[i] > 0:
            done = d[i] - left[i]
            seconds += tail_s[i, done] - tail_s[i, done + rounds]
            left[i] -= rounds
    for i in range(n):
        if left[i] == 0:
            total += seconds
            left[i] = COMPLETE
    return seconds, total


@njit(cache=True)
def next_completion(left):  # type: ignore[no-untyped-def]
    """Rounds until the next request completes, 0 with nothing active."""
    rounds = 0
    for own in left:
        if own > 0 and (rounds == 0 or own < rounds):
            rounds = own
    return rounds


@njit(cache=True)
def dominated(head, following, memo_key, memo_cost, memo_left, counters, key, state, cost, ordered):  # type: ignore[no-untyped-def]
    """Whether a stored state is no worse; else it is stored."""
    slot = (key * 1099511628211) % len(head)
    entry, seen = head[slot], 0
    while entry >= 0 and seen < LONGEST_CHAIN:
        if memo_key[entry] == key and memo_cost[entry] <= cost:
            no_worse = True
            for i in range(len(state)):
                if memo_left[entry, i] != state[i] and not (ordered and memo_left[entry, i] < state[i]):
                    no_worse = False
                    break
            if no_worse:
                return True
        entry = following[entry]
        seen += 1
    new = counters[ENTRIES]
    if new < len(memo_cost):
        memo_key[new], memo_cost[new] = key, cost
        memo_left[new, :] = state
        following[new], head[slot] = head[slot], new
        counters[ENTRIES] += 1
    return False


@njit(cache=True)
def state_of(left, ordered, state):  # type: ignore[no-untyped-def]
    """Fill `state` with what counts of `left`; the set of waiting requests as bits."""
    key, active = np.int64(0), 0
    state[:] = 0
    for i in range(len(left)):
        if left[i] == WAITING:
            key |= np.int64(1) << i
        if not ordered:
            state[i] = left[i]
        elif left[i] > 0:
            at = active
            while at > 0 and state[at - 1] < left[i]:
                state[at] = state[at - 1]
                at -= 1
            state[at] = left[i]
            active += 1
    if not ordered:
        for i in range(len(left)):
            key = key * 1000003 ^ (left[i] + 7)
    return key & np.int64(0x7FFFFFFFFFFFFFFF)


@njit(cache=True)
def run(  # type: ignore[no-untyped-def]
    makespan, one_iteration, at_completions, ordered, p, d, twin, slots, capacity, cap,
    round_s, tail_s, iteration_s, cover_s, fixed_s, prompt_s,
    most, slack, numbers, marks, lefts, moves, counters, best, best_moves, budget,
    memo_head, memo_next, memo_key, memo_cost, memo_left,
):  # fmt: skip
    """Search until done (True) or until `budget` more nodes were opened (False).

    Only values below `most` and below the best are looked for.  Row `depth` of `numbers`, `marks`, `lefts` and
    `moves` is a node: (seconds, completion times, least value), (next child, mode, tokens and last index of the
    open iteration, first index of the iteration), what is left, and the (request, rounds) that led to it.
    """
    n = len(p)
    state = np.zeros(memo_left.shape[1], dtype=memo_left.dtype)
    ends = np.zeros(slots, dtype=np.int64)
    work = np.zeros(n)
    end = counters[NODES] + budget
    while counters[DEPTH] >= 0:
        depth = counters[DEPTH]
        c = marks[depth, CHILD]
        limit = min(best[0], most) - slack
        if c > n or numbers[depth, LOW] >= limit:
            counters[DEPTH] -= 1
            continue
        marks[depth, CHILD] = c + 1
        old, mode = lefts[depth], marks[depth, MODE]
        seconds, total = numbers[depth, SECONDS], numbers[depth, TOTAL]
        left = lefts[depth + 1]
        tokens, last, lead = marks[depth, TOKENS], marks[depth, LAST], marks[depth, LEAD]
        rounds = 0
        if c < n:
            if old[c] != WAITING or (twin[c] >= 0 and old[twin[c]] == WAITING):
                continue
            if mode == OPEN and c < last:
                continue
            if mode == CLOSED and (one_iteration or c < lead):
                continue
            active = 0
            for i in range(n):
                active += old[i] > 0
            if active >= slots or tokens + p[c] > cap or not fits(p, d, old, capacity, c):
                continue
            left[:] = old
            left[c] = d[c]
            lead = lead if mode == OPEN else c
            tokens, last, new_mode = tokens + p[c], c, OPEN
        elif mode == OPEN:
            left[:] = old
            seconds += iteration_s[tokens]
            tokens, last, new_mode = 0, -1, CLOSED
        else:
            rounds = next_completion(old)
            if rounds == 0:
                continue
            if not at_completions:
                rounds = 1
            left[:] = old
            seconds, total = decode(d, left, tail_s, round_s, rounds, seconds, total)
            tokens, last, lead, new_mode = 0, -1, -1, FRESH
        counters[NODES] += 1
        moves[depth + 1, 0] = c if c < n else -1
        moves[depth + 1, 1] = rounds
        waiting = 0
        for i in range(n):
            waiting += left[i] == WAITING
        if waiting == 0:
            if new_mode == OPEN:
                seconds += iteration_s[tokens]
            while True:
                rounds = next_completion(left)
                if rounds == 0:
                    break
                seconds, total = decode(d, left, tail_s, round_s, rounds, seconds, total)
            value = seconds if makespan else total
            if value < best[0] - slack:
                best[0] = value
                counters[FOUND] = depth + 2
                best_moves[: depth + 2] = moves[: depth + 2]
            continue
        if makespan:
            low = least_makespan(p, d, left, slots, capacity, seconds, tokens, round_s, tail_s, iteration_s, cover_s,
                                 fixed_s, prompt_s)  # fmt: skip
        else:
            low = least_sum(p, d, left, slots, capacity, seconds, total, tokens, round_s, tail_s, iteration_s, cover_s,
                            fixed_s, prompt_s, ends, work)  # fmt: skip
        if low >= limit:
            continue
        if new_mode == FRESH:
            key = state_of(left, ordered, state)
            cost = seconds if makespan else total
            for i in range(n):
                if not makespan:
                    cost += seconds * (left[i] == WAITING or left[i] > 0)
                elif left[i] > 0:
                    cost += tail_s[i, d[i] - left[i]]
            if dominated(memo_head, memo_next, memo_key, memo_cost, memo_left, counters, key, state, cost,
                         ordered):  # fmt: skip
                continue
        depth += 1
        counters[DEPTH] = depth
        numbers[depth, SECONDS], numbers[depth, TOTAL], numbers[depth, LOW] = seconds, total, low
        marks[depth, CHILD], marks[depth, MODE], marks[depth, TOKENS] = 0, new_mode, tokens
        marks[depth, LAST], marks[depth, LEAD] = last, lead
        if counters[NODES] >= end:
            return False
    return True
