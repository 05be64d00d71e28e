"""Table of dominated states: those that a search has met, so that it need not go on from a worse one (compiled)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llmsched_mip.compiled import kernel
from llmsched_mip.timing import FloatArray, IntArray

MOST_ENTRIES = 4_000_000


class States(NamedTuple):
    """States by key, in chains; when it is full, nothing more is added.

    Parameters
    ----------
    head : int array
        First entry of every chain, -1 for none.
    following, key, moment : int arrays, shape (size,)
        Next entry of the chain, key, and round in which the state was met.
    cost : float array, shape (size,)
    state : int array, shape (size, width)
        What is the better the smaller each number is.
    used : int array, shape (1,)
        Entries in use.
    longest : int
        Entries of a chain that are looked at.
    """

    head: IntArray
    following: IntArray
    key: IntArray
    moment: IntArray
    cost: FloatArray
    state: np.ndarray
    used: IntArray
    longest: int

    @classmethod
    def of(cls, width: int, largest: int, most_bytes: int, longest: int, most: int = MOST_ENTRIES) -> States:
        """An empty table for states of `width` numbers up to `largest`."""
        small = largest < 2**15
        size = int(min(MOST_ENTRIES, most, most_bytes // ((2 if small else 8) * width + 40)))
        following, key, moment = (np.empty(size, dtype=np.int64) for _ in range(3))
        state = np.empty((size, width), dtype=np.int16 if small else np.int64)
        head = np.full(2 * size + 1, -1, dtype=np.int64)
        return cls(head, following, key, moment, np.empty(size), state, np.zeros(1, dtype=np.int64), longest)

    def clear(self) -> None:
        """Forget all states."""
        self.head[:] = -1
        self.used[0] = 0


@kernel
def _slot(states, key):  # type: ignore[no-untyped-def]
    return (key * 1099511628211) % len(states.head)


@kernel
def dominated(states, key, moment, cost, state, passed_over, exact):  # type: ignore[no-untyped-def]
    """Whether a stored state of this key, met no later, costs no more and is nowhere larger.

    A state that was met k rounds sooner has its first k numbers behind it.  `exact` asks for equal numbers;
    `passed_over` is an entry that does not count, -1 for none.
    """
    width = states.state.shape[1]
    entry, seen = states.head[_slot(states, key)], 0
    while entry >= 0 and seen < states.longest:
        if (
            entry != passed_over
            and states.key[entry] == key
            and states.moment[entry] <= moment
            and states.cost[entry] <= cost
        ):
            no_worse = True
            shift = moment - states.moment[entry]
            for r in range(width - shift):
                stored = states.state[entry, r + shift]
                if stored > state[r] or (exact and stored != state[r]):
                    no_worse = False
                    break
            if no_worse:
                return True
        entry = states.following[entry]
        seen += 1
    return False


@kernel
def store(states, key, moment, cost, state):  # type: ignore[no-untyped-def]
    """Add a state; its entry, or -1 where the table is full."""
    new = states.used[0]
    if new >= len(states.cost):
        return np.int64(-1)
    slot = _slot(states, key)
    states.key[new], states.moment[new], states.cost[new] = key, moment, cost
    for r in range(states.state.shape[1]):
        states.state[new, r] = state[r]
    states.following[new], states.head[slot] = states.head[slot], new
    states.used[0] += 1
    return new
