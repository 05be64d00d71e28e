"""Whether all requests can be done within so many rounds: prices by segments of rounds that refute it.

As `deadline`, for instances of any size: rows are segments of rounds, not rounds, and starts are priced as they are
needed.  With KV prices λ_g and slot prices μ_g ≥ 0 by segment, request i started after round s pays

    paid_i(s) = Σ_(k = 1..d_i) λ(s + k) · (p_i + k) + μ(s + k).

Proof of a refutation.  In a schedule of K rounds each round holds at most M tokens of at most J requests, so what all
pay is at most Σ_t (M λ(t) + J μ(t)), and request i pays at least min_(0 ≤ s ≤ K - d_i) paid_i(s).  Prices with
Σ_i min_s paid_i(s) > Σ_t (M λ(t) + J μ(t)) leave no such schedule.  The prices come from a linear program over
classes of like requests, with p and d of each class the least of its members: the sum is then over no more than what
they pay, since a shorter request with a smaller prompt may start whenever the longer may, and pays no more there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from llmsched_mip.budget import Budget
from llmsched_mip.solvers import ArrayModel, solve_arrays
from llmsched_mip.timing import FloatArray, IntArray

ROUNDING = 1e-9
MOST_PASSES = 30


class RoundLimits(NamedTuple):
    """Requests by class, and what a round holds.

    Parameters
    ----------
    p, d : int arrays, shape (m,)
        Least prompt and output tokens of each class.
    members : int array, shape (m,)
        Requests of each class.
    kv : int
        KV tokens of a round.
    slots : int
        Requests of a round.
    """

    p: IntArray
    d: IntArray
    members: IntArray
    kv: int
    slots: int

    @classmethod
    def of(cls, p: IntArray, d: IntArray, kv: int, slots: int, classes: int) -> RoundLimits:
        """So many classes of neighbours by length, then by prompt; each its own class where they are no more."""
        order = np.lexsort((p, d))
        pairs, number = np.unique(np.stack((d[order], p[order])), axis=1, return_counts=True)
        if pairs.shape[1] > classes:
            parts = np.array_split(order, classes)
            least = np.array([(p[part].min(), d[part].min(), len(part)) for part in parts], dtype=np.int64)
            return cls(least[:, 0], least[:, 1], least[:, 2], kv, slots)
        return cls(pairs[1], pairs[0], number.astype(np.int64), kv, slots)


class Segments:
    """Rounds 1 .. `deadline` in segments, and what prices on them make of each start.

    Parameters
    ----------
    limits : RoundLimits
    deadline : int
        Rounds, K; at least the longest request.
    segments : int
        How many, as far as there are rounds.
    """

    def __init__(self, limits: RoundLimits, deadline: int, segments: int):
        self.limits, self.deadline = limits, deadline
        self.border = np.unique(np.round(np.linspace(0, deadline, segments + 1)).astype(np.int64))
        self.length = np.diff(self.border)

    @property
    def number(self) -> int:
        """Number of segments."""
        return len(self.length)

    def cheapest(self, prices: FloatArray) -> tuple[FloatArray, IntArray]:
        """What one request of each class pays at least at `prices`, shape (2, g), and the start: shapes (m,)."""
        limits = self.limits
        kv, slot = (np.repeat(row, self.length) for row in prices)
        rounds = np.arange(1, self.deadline + 1)
        by_token, by_round, by_slot = (np.concatenate(([0.0], np.cumsum(x))) for x in (kv, kv * rounds, slot))
        least, start = np.empty(len(limits.p)), np.empty(len(limits.p), dtype=np.int64)
        for c, (p, d) in enumerate(zip(limits.p.tolist(), limits.d.tolist(), strict=True)):
            s = np.arange(self.deadline - d + 1)
            paid = (p - s) * (by_token[d:] - by_token[: len(s)]) + by_round[d:] - by_round[: len(s)]
            paid += by_slot[d:] - by_slot[: len(s)]
            start[c] = int(np.argmin(paid))
            least[c] = paid[start[c]]
        return least, start

    def use(self, start: IntArray) -> FloatArray:
        """KV tokens and requests that one of each class holds over each segment: shape (m, 2 g)."""
        limits = self.limits
        first = np.clip(self.border[:-1], start[:, None], (start + limits.d)[:, None])
        last = np.clip(self.border[1:], start[:, None], (start + limits.d)[:, None])
        rounds = (last - first).astype(np.float64)
        # Rounds first + 1 .. last, of which round t holds p + t - start.
        mean = limits.p[:, None] - start[:, None] + (first + last + 1) / 2
        return np.concatenate((rounds * mean, rounds), axis=1)

    def capacity(self) -> FloatArray:
        """What the segments hold: shape (2 g,)."""
        return np.concatenate((self.limits.kv * self.length, self.limits.slots * self.length)).astype(np.float64)


def refuted(limits: RoundLimits, deadline: int, segments: int, budget: Budget) -> bool:
    """Whether prices on so many segments leave no schedule of `deadline` rounds; False says nothing."""
    room = Segments(limits, deadline, segments)
    capacity, classes = room.capacity(), len(limits.p)
    prices = np.concatenate((np.ones(room.number), np.zeros(room.number))) / capacity[: room.number].sum()
    rows: list[FloatArray] = []
    of_class: list[IntArray] = []
    for _ in range(MOST_PASSES):
        least, start = room.cheapest(prices.reshape(2, -1))
        total = float(capacity @ prices)
        if total > 0 and float(limits.members @ least) > total * (1 + ROUNDING):
            return True
        rows.append(room.use(start))
        of_class.append(np.arange(classes))
        if budget.spent():
            return False
        found = _prices(limits, np.concatenate(rows), np.concatenate(of_class), capacity)
        if found is None:
            return False
        prices = found
    return False


def _prices(limits: RoundLimits, use: FloatArray, of_class: IntArray, capacity: FloatArray) -> FloatArray | None:
    """Prices, of which all that is held costs 1, that make the requests pay most; None where that is not above 1.

    max Σ_c members_c θ_c   s.t.   θ_c ≤ use · prices for every start of class c,   capacity · prices = 1,   prices ≥ 0.
    Starts that were not priced yet are left out, so that the value is at least that of all.
    """
    rows, columns, classes = len(use), len(capacity), len(limits.p)
    scaled = use / capacity
    theta = sparse.coo_array((np.ones(rows), (np.arange(rows), of_class)), shape=(rows, classes))
    whole = np.concatenate((np.ones(columns), np.zeros(classes)))[None, :]
    matrix = sparse.vstack((sparse.hstack((sparse.csr_array(-scaled), theta)), sparse.csr_array(whole)))
    result = solve_arrays(
        ArrayModel(
            np.concatenate((np.zeros(columns), -limits.members.astype(np.float64))),
            sparse.csc_array(matrix),
            np.concatenate((np.full(rows, -np.inf), [1.0])),
            np.concatenate((np.zeros(rows), [1.0])),
            np.zeros(columns + classes),
            np.full(columns + classes, np.inf),
            np.zeros(columns + classes, dtype=bool),
        ),
        threads=1,
    )
    if result.x is None or float(limits.members @ result.x[columns:]) <= 1 + ROUNDING:
        return None
    return np.maximum(0.0, result.x[:columns]) / capacity
