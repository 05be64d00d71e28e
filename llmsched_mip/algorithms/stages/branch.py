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
  member, each of at most its largest share o.  So Σ C falls by at least |B| δ (a - (n - |B|) o), which is not
  negative when a ≥ (n - 1) o; that is asked for.
- Two nodes after a decode with the same state of every request: the dearer is left.  The cost of a node for the sum
  is that of the completed plus the seconds so far of all others.  For the makespan it is the seconds so far and the
  shares of all that has started, done or not: with the same requests waiting it differs only by rounds and
  iterations.  So with `ordered` (makespan, no KV) what counts of the active is only the rounds that they
  have left, sorted; componentwise fewer are no worse, as the same continuation remains possible.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.algorithms.stages.least import WAITING, least_makespan, least_sum
from llmsched_mip.algorithms.states import dominated, store
from llmsched_mip.compiled import copy_to, kernel
from llmsched_mip.timing import FloatArray, IntArray

FRESH, OPEN, CLOSED = 0, 1, 2
DEPTH, NODES, FOUND = 0, 1, 2
SECONDS, TOTAL, LOW = 0, 1, 2
CHILD, MODE, TOKENS, LAST, LEAD = 0, 1, 2, 3, 4
COMPLETE = -2


class Tree(NamedTuple):
    """The path to the node where the search stands, and the best moves found.

    Row k of `numbers`, `marks`, `lefts` and `moves` is a node: (seconds, completion times, least value), (next child,
    mode, tokens and last index of the open iteration, first index of the iteration), what is left, and the (request,
    rounds) that led to it.
    """

    numbers: FloatArray
    marks: IntArray
    lefts: IntArray
    moves: IntArray
    counters: IntArray
    best: FloatArray
    best_moves: IntArray

    @classmethod
    def of(cls, depth: int, n: int, value: float) -> Tree:
        """The root, and the value of a known plan."""
        marks, moves = np.zeros((depth, 5), dtype=np.int64), np.zeros((depth, 2), dtype=np.int64)
        marks[0, LAST] = marks[0, LEAD] = -1
        lefts, counters = np.full((depth, n), WAITING, dtype=np.int64), np.zeros(3, dtype=np.int64)
        return cls(np.zeros((depth, 3)), marks, lefts, moves, counters, np.array([value]), moves.copy())


@kernel
def fits(b, left, new):  # type: ignore[no-untyped-def]
    """Whether request `new` can join: KV in every round until it completes, where it peaks as others complete."""
    p, d, n = b.p, b.d, len(b.p)
    for j in range(n + 1):
        ahead = d[new] if j == n else left[j]
        if ahead <= 0 or ahead > d[new]:
            continue
        held = p[new] + ahead
        for i in range(n):
            if left[i] >= ahead:
                held += p[i] + d[i] - left[i] + ahead
        if held > b.capacity:
            return False
    return True


@kernel
def decode(b, left, rounds, seconds, total):  # type: ignore[no-untyped-def]
    """Run rounds in which at most the last completes a request; the new seconds and completion times."""
    n = len(left)
    seconds += b.round_s * rounds
    for i in range(n):
        if left[i] > 0:
            done = b.d[i] - left[i]
            seconds += b.tail_s[i, done] - b.tail_s[i, done + rounds]
            left[i] -= rounds
    for i in range(n):
        if left[i] == 0:
            total += seconds
            left[i] = COMPLETE
    return seconds, total


@kernel
def next_completion(left):  # type: ignore[no-untyped-def]
    """Rounds until the next request completes, 0 with nothing active."""
    next_one = 0
    for rounds in left:
        if rounds > 0 and (next_one == 0 or rounds < next_one):
            next_one = rounds
    return next_one


@kernel
def state_of(left, ordered, state):  # type: ignore[no-untyped-def]
    """Fill `state` with what counts of `left`; the set of waiting requests as bits."""
    key, active = np.int64(0), 0
    for i in range(len(state)):
        state[i] = 0
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


@kernel
def _can_join(b, left, marks, new):  # type: ignore[no-untyped-def]
    """Whether request `new` can join the next or the open iteration of a node."""
    if left[new] != WAITING or (b.twin[new] >= 0 and left[b.twin[new]] == WAITING):
        return False
    if marks[MODE] == OPEN and new < marks[LAST]:
        return False
    if marks[MODE] == CLOSED and (b.one_iteration or new < marks[LEAD]):
        return False
    active = 0
    for rounds in left:
        active += rounds > 0
    return active < b.slots and marks[TOKENS] + b.p[new] <= b.cap and fits(b, left, new)


@kernel
def _child(b, tree, depth, c):  # type: ignore[no-untyped-def]
    """Write child c of a node into the row below it; whether there is one."""
    old, left, marks = tree.lefts[depth], tree.lefts[depth + 1], tree.marks[depth]
    seconds, total = tree.numbers[depth, SECONDS], tree.numbers[depth, TOTAL]
    tokens, last, lead, mode, request, rounds = 0, -1, marks[LEAD], CLOSED, -1, 0
    if c < len(old):
        if not _can_join(b, old, marks, c):
            return False
        copy_to(left, old)
        left[c] = b.d[c]
        lead = lead if marks[MODE] == OPEN else c
        tokens, last, mode, request = marks[TOKENS] + b.p[c], c, OPEN, c
    elif marks[MODE] == OPEN:
        copy_to(left, old)
        seconds += b.iteration_s[marks[TOKENS]]
    else:
        rounds = next_completion(old)
        if rounds == 0:
            return False
        if not b.at_completions:
            rounds = 1
        copy_to(left, old)
        seconds, total = decode(b, left, rounds, seconds, total)
        lead, mode = -1, FRESH
    below = tree.marks[depth + 1]
    below[CHILD], below[MODE], below[TOKENS], below[LAST], below[LEAD] = 0, mode, tokens, last, lead
    tree.numbers[depth + 1, SECONDS], tree.numbers[depth + 1, TOTAL] = seconds, total
    tree.moves[depth + 1, 0], tree.moves[depth + 1, 1] = request, rounds
    return True


@kernel
def _run_out(b, tree, node, slack):  # type: ignore[no-untyped-def]
    """Decode all of a node in which no request waits, and keep its value if it is better."""
    left, seconds, total = tree.lefts[node], tree.numbers[node, SECONDS], tree.numbers[node, TOTAL]
    if tree.marks[node, MODE] == OPEN:
        seconds += b.iteration_s[tree.marks[node, TOKENS]]
    while True:
        rounds = next_completion(left)
        if rounds == 0:
            break
        seconds, total = decode(b, left, rounds, seconds, total)
    value = seconds if b.makespan else total
    if value < tree.best[0] - slack:
        tree.best[0] = value
        tree.counters[FOUND] = node + 1
        for k in range(node + 1):
            copy_to(tree.best_moves[k], tree.moves[k])


@kernel
def _met(b, tree, states, node, state):  # type: ignore[no-untyped-def]
    """Whether the node after a decode is dominated; else it is stored."""
    left, seconds = tree.lefts[node], tree.numbers[node, SECONDS]
    key = state_of(left, b.ordered, state)
    cost = seconds if b.makespan else tree.numbers[node, TOTAL]
    for i in range(len(left)):
        if not b.makespan:
            cost += seconds * (left[i] == WAITING or left[i] > 0)
        elif left[i] > 0:
            cost += b.tail_s[i, b.d[i] - left[i]]
    if dominated(states, key, 0, cost, state, -1, not b.ordered):
        return True
    store(states, key, 0, cost, state)
    return False


@njit(cache=True)
def run(b, tree, states, most, slack, budget):  # type: ignore[no-untyped-def]
    """Search until done (True) or until `budget` more nodes were opened (False).

    Only values below `most` and below the best are looked for.
    """
    n, numbers, marks, counters = len(b.p), tree.numbers, tree.marks, tree.counters
    state = np.zeros(states.state.shape[1], dtype=states.state.dtype)
    ends, values = np.zeros(b.slots, dtype=np.int64), np.zeros(n)
    end = counters[NODES] + budget
    while counters[DEPTH] >= 0:
        depth = counters[DEPTH]
        c, node = marks[depth, CHILD], depth + 1
        limit = min(tree.best[0], most) - slack
        if c > n or numbers[depth, LOW] >= limit:
            counters[DEPTH] -= 1
            continue
        marks[depth, CHILD] = c + 1
        if not _child(b, tree, depth, c):
            continue
        counters[NODES] += 1
        left, waiting = tree.lefts[node], 0
        for i in range(n):
            waiting += left[i] == WAITING
        if waiting == 0:
            _run_out(b, tree, node, slack)
            continue
        seconds, tokens = numbers[node, SECONDS], marks[node, TOKENS]
        if b.makespan:
            low = least_makespan(b, left, seconds, tokens)
        else:
            low = least_sum(b, left, seconds, numbers[node, TOTAL], tokens, ends, values)
        if low >= limit or (marks[node, MODE] == FRESH and _met(b, tree, states, node, state)):
            continue
        numbers[node, LOW] = low
        counters[DEPTH] = node
        if counters[NODES] >= end:
            return False
    return True
