"""Requests that stand for many like them, where passes over all would take too long.

Prices give a bound whatever they were found from (`prices`): a sample changes how good it is, not whether it is one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llmsched_mip.relaxations.work_clock.relaxation import ClockRelaxation, Kind
from llmsched_mip.timing import FloatArray, IntArray

ALONE = 400
MOST_COLUMNS = 20_000
"""Requests times kinds of worker up to which all are taken."""


class Sample(NamedTuple):
    """Some requests of a relaxation.

    Parameters
    ----------
    places : int array, shape (n,)
        In ascending order.
    copies : float array, shape (n,)
        How many requests each stands for.
    """

    places: IntArray
    copies: FloatArray

    @classmethod
    def of(cls, problem: ClockRelaxation) -> Sample:
        """All; of more than `MOST_COLUMNS` those with a price of their own, and every so manieth of the rest."""
        columns = sum(len(kind.d) for kind in problem.kinds)
        if columns <= MOST_COLUMNS:
            return cls(np.arange(problem.n), np.ones(problem.n))
        alone = np.zeros(problem.n, dtype=bool)
        for kind in problem.kinds:
            alone[kind.requests[longest(kind)]] = True
        rest = np.flatnonzero(~alone)
        chosen = rest[:: -(-columns // MOST_COLUMNS)]
        copies = alone.astype(np.float64)
        copies[chosen] = len(rest) / max(1, len(chosen))
        places = np.flatnonzero(copies)
        return cls(places, copies[places])

    def rows(self, kind: Kind) -> tuple[IntArray, IntArray]:
        """Those that fit a kind: their places among its requests, and in the sample."""
        at = np.searchsorted(kind.requests, self.places)
        here = np.flatnonzero(np.append(kind.requests, -1)[at] == self.places)
        return at[here], here


def longest(kind: Kind) -> IntArray:
    """The `ALONE` with the most rounds, fewer where all would be."""
    return np.argsort(-kind.d, kind="stable")[: min(ALONE, len(kind.d) - 1)]


def longest_alone(kind: Kind) -> IntArray:
    """Groups: one for each class of `neighbours`, and one for each of the `longest`: shape (m,)."""
    group = kind.neighbours.of.copy()
    group[longest(kind)] = len(kind.d) + np.arange(len(longest(kind)))
    return np.unique(group, return_inverse=True)[1].reshape(-1).astype(np.int64)
