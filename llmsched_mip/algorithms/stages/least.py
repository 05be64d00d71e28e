"""Lower bounds on the value of everything that can follow a node of `branch` (compiled).

Both relax what is left to four independent costs: the open iteration; the iterations still to come, each of at
most J requests; the share of every request's rounds and prompt; and the rounds themselves.
"""

from __future__ import annotations

from llmsched_mip.algorithms.stages.problem import UNLIMITED
from llmsched_mip.compiled import kernel

WAITING = -1


@kernel
def _later_iterations(left, slots, tokens):  # type: ignore[no-untyped-def]
    """Requests active (open iteration included) and waiting, and the fewest iterations after the open one."""
    active, waiting = 0, 0
    for rounds in left:
        active += rounds > 0
        waiting += rounds == WAITING
    join = slots - active if tokens > 0 else 0
    later = max(0, waiting - join)
    return active, waiting, -(-later // slots)


@kernel
def _prefill(b, left, tokens, later):  # type: ignore[no-untyped-def]
    """Least seconds of the open iteration and all later ones.

    Either the open one and `later` further ones with their prompts, or all their tokens at the best rate.
    """
    share, cover = 0.0, b.cover_s[tokens]
    for i in range(len(left)):
        if left[i] == WAITING:
            share += b.prompt_s[i]
            cover += b.cover_s[b.p[i]]
    return max((b.iteration_s[tokens] if tokens > 0 else 0.0) + later * b.fixed_s + share, cover)


@kernel
def least_makespan(b, left, seconds, tokens):  # type: ignore[no-untyped-def]
    """Seconds so far, prefill, shares, and rounds: at least work / J, the longest, and KV volume / M."""
    p, d = b.p, b.d
    work, longest, share, volume = 0, 0, 0.0, 0
    for i in range(len(left)):
        rest = d[i] if left[i] == WAITING else left[i]
        if rest <= 0:
            continue
        done = d[i] - rest
        work += rest
        longest = max(longest, rest)
        share += b.tail_s[i, done]
        volume += rest * (p[i] + done) + rest * (rest + 1) // 2
    rounds = max(longest, -(-work // b.slots), -(-volume // b.capacity))
    later = _later_iterations(left, b.slots, tokens)[2]
    return seconds + _prefill(b, left, tokens, later) + share + b.round_s * rounds


@kernel
def least_sum(b, left, seconds, total, tokens, ends, values):  # type: ignore[no-untyped-def]
    """Completion times so far, and of the others at least the following.

    All wait for the open iteration.  Rounds: `_by_slots` or `_by_volume`.  Shares: when the k-th completes, at least
    the k least shares have passed, and the iterations that bring k requests in.  Requests stand by ascending d;
    `ends` and `values` are room for J and n numbers.
    """
    active, waiting, _ = _later_iterations(left, b.slots, tokens)
    count = active + waiting
    rounds = _by_slots(b, left, ends)
    size = 0
    for i in range(len(left)):
        if left[i] > 0:
            size = _insert(values, size, b.tail_s[i, b.d[i] - left[i]])
        elif left[i] == WAITING:
            size = _insert(values, size, b.tail_s[i, 0] + b.prompt_s[i])
    share = 0.0
    for k in range(size):
        share += (size - k) * values[k]
    if b.capacity < UNLIMITED:
        rounds = max(rounds, _by_volume(b, left, values))
    brought = b.slots if tokens > 0 else active
    iterations = 0
    for k in range(1, count + 1):
        iterations += -(-max(0, k - brought) // b.slots)
    now = seconds + (b.iteration_s[tokens] if tokens > 0 else 0.0)
    return total + count * now + b.round_s * rounds + share + b.fixed_s * iterations


@kernel
def _by_slots(b, left, ends):  # type: ignore[no-untyped-def]
    """Least sum of the rounds of all completions by slots.

    The active run on, the waiting take the slot that is free first, shortest first, which minimises Σ over machines
    that are free at given times (Kaspi and Montreuil, 1988).
    """
    at, rounds = 0, 0
    for i in range(len(left)):
        if left[i] > 0:
            ends[at] = left[i]
            rounds += left[i]
            at += 1
    for j in range(at, b.slots):
        ends[j] = 0
    for i in range(len(left)):
        if left[i] == WAITING:
            first = 0
            for j in range(1, b.slots):
                if ends[j] < ends[first]:
                    first = j
            ends[first] += b.d[i]
            rounds += ends[first]
    return rounds


@kernel
def _by_volume(b, left, values):  # type: ignore[no-untyped-def]
    """Least sum of the rounds of all completions by KV: the k-th needs the k least KV volumes."""
    size = 0
    for i in range(len(left)):
        if left[i] > 0 or left[i] == WAITING:
            rest = b.d[i] if left[i] == WAITING else left[i]
            size = _insert(values, size, float(rest * (b.p[i] + b.d[i] - rest) + rest * (rest + 1) // 2))
    held, rounds = 0, 0
    for k in range(size):
        held += int(values[k])
        rounds += -(-held // b.capacity)
    return rounds


@kernel
def _insert(values, size, new):  # type: ignore[no-untyped-def]
    """Insert into the first `size` ascending values; the new size."""
    at = size
    while at > 0 and values[at - 1] > new:
        values[at] = values[at - 1]
        at -= 1
    values[at] = new
    return size + 1
