"""Order of the mean start times of the round-indexed relaxation, and its swap improvement."""

from __future__ import annotations

import numpy as np

from llmsched_mip.policies.ranked import Ranked
from llmsched_mip.relaxations.interval_indexed import mean_start_rounds
from llmsched_mip.timing import FloatArray, IntArray

REACH = 32
WORK = 200_000_000
MOST_EVALUATIONS = 20_000
MOST_ROUNDS = 10_000_000


class SortedLP(Ranked):
    """List scheduling by ascending mean start time in the linear relaxation with unit rounds (`start_times`), then
    by length; stop at the first that fails the forward check.

    A policy for hundreds of requests: the relaxation is solved before the first prefill, on a grid that is as fine as
    its size allows, and a backlog that is too large for it is refused.  Named in arXiv 2508.06133.  Choices: prefill
    times are not in the relaxation; of several workers the largest counts; where lengths are not known, d is the
    expected length; with arrivals the waiting requests are ordered anew when half of them are new (see `Ranked`).
    """

    new_share = 2

    def order(self, waiting: IntArray) -> IntArray:
        """Ascending mean start, then length, then arrival."""
        return waiting[self.places(waiting)]

    def places(self, waiting: IntArray) -> IntArray:
        """The order as places in `waiting`."""
        lengths = self.fitting(waiting)
        starts = mean_start_rounds(
            self.problem.prefill_tokens[waiting], lengths, self.problem.weight[waiting], *self.room()
        )
        return np.lexsort((lengths, np.round(starts, 6)))

    def fitting(self, waiting: IntArray) -> IntArray:
        """Expected lengths, not beyond the KV cache."""
        capacity, _ = self.room()
        lengths = self.expected(waiting)
        if capacity is None:
            return lengths
        return np.maximum(1, np.minimum(lengths, capacity - self.problem.prefill_tokens[waiting]))


class LPSwap(SortedLP):
    """`SortedLP`, its order improved by exchanges of two requests in the unit-round model.

    Exchanges up to 32 places apart are kept when they lower the weighted total completion of the list (ours: public
    text says no more than that swaps improve the order), within a fixed number of evaluations; where one list has more
    than 10 million rounds the order of the relaxation stays.
    """

    def places(self, waiting: IntArray) -> IntArray:
        """The order of the relaxation after the exchanges."""
        from llmsched_mip.policies.unit_list import swapped

        places, lengths = super().places(waiting), self.fitting(waiting)
        if lengths.sum() > MOST_ROUNDS:
            return places
        prompts = self.problem.prefill_tokens[waiting]
        weight: FloatArray = self.problem.weight[waiting]
        capacity, slots = self.room()
        if capacity is None:
            capacity = int((prompts + lengths).sum())
        evaluations = min(MOST_EVALUATIONS, WORK // int(lengths.sum()))
        improved: IntArray = swapped(places, prompts, lengths, weight, capacity, slots, REACH, evaluations)
        return improved
