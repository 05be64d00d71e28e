"""Lower bounds on the value of everything that can follow a node of `branch` (compiled).

Both relax what is left to four independent costs: the open iteration; the iterations still to come, each of at
most J requests; the own share of every request's rounds and prompt; and the rounds themselves.
"""

from __future__ import annotations

from numba import njit

from llmsched_mip.algorithms.stages.problem import UNLIMITED

WAITING = -1


@njit(cache=True)
def _later_iterations(left, slots, tokens):  # type: ignore[no-untyped-def]
    """Requests active (open iteration included) and waiting, and the fewest iterations after the open one."""
    active, waiting = 0, 0
    for own in left:
        active += own > 0
        waiting += own == WAITING
    join = slots - active if tokens > 0 else 0
    later = max(0, waiting - join)
    return active, waiting, -(-later // slots)


@njit(cache=True)
def _prefill(p, left, tokens, later, iteration_s, cover_s, fixed_s, prompt_s):  # type: ignore[no-untyped-def]
    """Least seconds of the open iteration and all later ones.

    Either the open one and `later` further ones with their prompts, or all their tokens at the best rate.
    """
    share, cover = 0.0, cover_s[tokens]
    for i in range(len(left)):
        if left[i] == WAITING:
            share += prompt_s[i]
            cover += cover_s[p[i]]
    return max((iteration_s[tokens] if tokens > 0 else 0.0) + later * fixed_s + share, cover)


@njit(cache=True)
def least_makespan(  # type: ignore[no-untyped-def]
    p, d, left, slots, capacity, seconds, tokens, round_s, tail_s, iteration_s, cover_s, fixed_s, prompt_s
):
    """Seconds so far, prefill, own shares, and rounds: at least work / J, the longest, and KV volume / M."""
    work, longest, share, volume = 0, 0, 0.0, 0
    for i in range(len(left)):
        rest = d[i] if left[i] == WAITING else left[i]
        if rest <= 0:
            continue
        done = d[i] - rest
        work += rest
        longest = max(longest, rest)
        share += tail_s[i, done]
        volume += rest * (p[i] + done) + rest * (rest + 1) // 2
    rounds = max(longest, -(-work // slots), -(-volume // capacity))
    later = _later_iterations(left, slots, tokens)[2]
    prefill = _prefill(p, left, tokens, later, iteration_s, cover_s, fixed_s, prompt_s)
    return seconds + prefill + share + round_s * rounds


@njit(cache=True)
def least_sum(  # type: ignore[no-untyped-def]
    p, d, left, slots, capacity, seconds, total, tokens, round_s, tail_s, iteration_s, cover_s, fixed_s, prompt_s,
    ends, work,
):  # fmt: skip
    """Completion times so far, and of the others at least the following.

    All wait for the open iteration.  Rounds: the active run on, the waiting take the slot that is free first,
    shortest first, which minimises Σ over machines that are free at given times (Kaspi and Montreuil, 1988); or
    the k-th completion needs the k least KV volumes.  Shares: when the k-th completes, at least the k least own
    shares have passed, and the iterations that bring k requests in.  Requests stand by ascending d.
    """
    n = len(left)
    active, waiting, _ = _later_iterations(left, slots, tokens)
    count = active + waiting
    at, rounds = 0, 0
    for i in range(n):
        if left[i] > 0:
            ends[at] = left[i]
            rounds += left[i]
            at += 1
    for j in range(at, slots):
        ends[j] = 0
    for i in range(n):
        if left[i] == WAITING:
            first = 0
            for j in range(1, slots):
                if ends[j] < ends[first]:
                    first = j
            ends[first] += d[i]
            rounds += ends[first]
    size = 0
    for i in range(n):
        if left[i] > 0:
            size = _insert(work, size, tail_s[i, d[i] - left[i]])
        elif left[i] == WAITING:
            size = _insert(work, size, tail_s[i, 0] + prompt_s[i])
    share = 0.0
    for k in range(size):
        share += (size - k) * work[k]
    if capacity < UNLIMITED:
        size = 0
        for i in range(n):
            if left[i] > 0 or left[i] == WAITING:
                rest = d[i] if left[i] == WAITING else left[i]
                size = _insert(work, size, float(rest * (p[i] + d[i] - rest) + rest * (rest + 1) // 2))
        held, by_volume = 0, 0
        for k in range(size):
            held += int(work[k])
            by_volume += -(-held // capacity)
        rounds = max(rounds, by_volume)
    brought = slots if tokens > 0 else active
    iterations = 0
    for k in range(1, count + 1):
        iterations += -(-max(0, k - brought) // slots)
    now = seconds + (iteration_s[tokens] if tokens > 0 else 0.0)
    return total + count * now + round_s * rounds + share + fixed_s * iterations


@njit(cache=True)
def _insert(values, size, new):  # type: ignore[no-untyped-def]
    """Insert into the first `size` ascending values; the new size."""
    at = size
    while at > 0 and values[at - 1] > new:
        values[at] = values[at - 1]
        at -= 1
    values[at] = new
    return size + 1
