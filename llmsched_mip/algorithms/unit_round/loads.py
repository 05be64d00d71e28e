"""KV loads by round, and the earliest start of a request in them (compiled)."""

from __future__ import annotations

from llmsched_mip.algorithms.compiled import kernel


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
