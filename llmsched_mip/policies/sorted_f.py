"""Sorted-F (Wang, Ye and Zhou, arXiv 2508.06133)."""

from __future__ import annotations

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.base import Problem
from llmsched_mip.policies.batch_selection import SELECTIONS, Selection
from llmsched_mip.policies.ranked import Ranked
from llmsched_mip.timing import IntArray, request_kv_peak


def selection(option: str) -> Selection:
    """The way to select a batch that an option names; raises `InvalidInputError`."""
    if option not in SELECTIONS:
        raise InvalidInputError("policy", f"sorted-f: expected one of {', '.join(SELECTIONS)}, got {option!r}")
    return SELECTIONS[option]


class SortedF(Ranked):
    """Repeatedly pick the batch X with Σ (p + d) ≤ M that minimises F(X) = Σ d / |X|², by ascending d inside the
    batch; concatenate; schedule the list with the forward check.

    With the least F the ratio is at most 48 for a backlog in the unit-round model (arXiv 2508.06133).  Choices: a
    batch also has at most as many requests as there are slots; of several workers the largest counts; weights ω are
    not looked at; where lengths are not known, d is the expected length; see `Ranked` for arrivals.

    Parameters
    ----------
    problem : Problem
    option : str, optional
        The selection, one of `SELECTIONS`: exact, scaled, swap, quantile, or auto by size (the default).
    """

    def __init__(self, problem: Problem, option: str | None = None):
        super().__init__(problem)
        self.select = selection("auto" if option is None else option)

    def order(self, waiting: IntArray) -> IntArray:
        """Batch by batch, in each by ascending d, then by arrival."""
        lengths = self.expected(waiting)
        weights = request_kv_peak(self.problem.prefill_tokens[waiting], lengths)
        capacity, most = self.room()
        if capacity is None:
            weights, capacity = np.zeros(len(waiting), dtype=np.int64), 0
        weights = np.minimum(weights, capacity)
        parts: list[IntArray] = []
        left = np.arange(len(waiting))
        while len(left) > 1:
            chosen = np.sort(self.select(weights[left], lengths[left], capacity, most))
            batch = left[chosen]
            parts.append(batch[np.argsort(lengths[batch], kind="stable")])
            left = np.delete(left, chosen)
        return waiting[np.concatenate([*parts, left])]
