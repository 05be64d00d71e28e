"""The unit-round model (compiled): KV loads by round, the earliest start of a request in them, lists of requests."""

from __future__ import annotations

from numba import njit

from llmsched_mip.compiled import kernel


@kernel
def earliest(load, capacity, p, d, s):  # type: ignore[no-untyped-def]
    """First start ≥ s at which a request fits; load[τ] is the KV of round τ, and 0 beyond the array.

    The last round that overflows decides how far to jump: the request may hold only what is left in it.
    """
    size = len(load)
    while True:
        moved = False
        for r in range(min(s + d, size - 1), s, -1):
            room = capacity - load[r] - p
            if r - s > room:
                s = r - room if room >= 1 else r
                moved = True
                break
        if not moved:
            return s


@kernel
def add(load, p, d, s, sign):  # type: ignore[no-untyped-def]
    """Add (sign 1) or take out (sign -1) a request that starts after round s."""
    for k in range(1, d + 1):
        load[s + k] += sign * (p + k)


@njit(cache=True)
def list_starts(order, p, d, capacity, slots, load, active, starts):  # type: ignore[no-untyped-def]
    """Start every request of `order` in the first round, not before the one ahead of it, in which it fits.

    ``load[t]`` and ``active[t]``, arrays longer than the plan and set to 0 here, are KV and requests of round t;
    `starts` is filled.  Returns the last round.
    """
    load[:] = 0
    active[:] = 0
    s = last = 0
    for i in order:
        moved = True
        while moved:
            moved = False
            for r in range(min(s + d[i], last), s, -1):
                # As in `earliest`, and no slot is free in a round that is full.
                room = capacity - load[r] - p[i]
                if r - s > room or active[r] >= slots:
                    s = r if room < 1 or active[r] >= slots else r - room
                    moved = True
                    break
        starts[i] = s
        last = max(last, s + d[i])
        for k in range(1, d[i] + 1):
            load[s + k] += p[i] + k
            active[s + k] += 1
    return last
