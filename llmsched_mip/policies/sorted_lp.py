"""Order of the mean start times of the round-indexed relaxation, and its swap improvement."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.list_scheduling import ListScheduling
from llmsched_mip.policies.parts.ranking import Ranking, expected_tokens, largest_worker
from llmsched_mip.policies.parts.swaps import swapped
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.relaxations.interval_indexed import mean_start_rounds
from llmsched_mip.timing import FloatArray, IntArray

NEW_SHARE = 2
REACH = 32
WORK = 200_000_000
MOST_EVALUATIONS = 20_000
MOST_ROUNDS = 10_000_000

Places = Callable[[IntArray, IntArray, FloatArray, int | None, int], IntArray]
"""Positions in the order of service, from p, d, ω, the KV capacity and the slots."""


def sorted_lp(problem: Problem) -> ListScheduling:
    """List scheduling by ascending mean start time in the linear relaxation with unit rounds (`start_times`), then
    by length; stop at the first that fails the forward check.

    A policy for hundreds of requests: the relaxation is solved before the first prefill, on a grid that is as fine as
    its size allows, and a backlog that is too large for it is refused.  Named in arXiv 2508.06133.  Choices: prefill
    times are not in the relaxation; of several workers the largest counts; where lengths are not known, d is the
    expected length; with arrivals the waiting requests are ordered anew when half of them are new (see `Ranking`).
    """
    return _ranked(problem, mean_start_order)


def lp_swap(problem: Problem) -> ListScheduling:
    """`sorted_lp`, its order improved by exchanges of two requests in the unit-round model.

    Exchanges up to 32 places apart are kept when they lower the weighted total completion of the list (ours: public
    text says no more than that swaps improve the order), within a fixed number of evaluations; where one list has more
    than 10 million rounds the order of the relaxation stays.
    """
    return _ranked(problem, swapped_order)


def _ranked(problem: Problem, places: Places) -> ListScheduling:
    """List scheduling by `places`, for the expected lengths, of which none is beyond the KV cache."""
    capacity, slots = largest_worker(problem)
    ranking = Ranking(lambda waiting: order(waiting), NEW_SHARE)
    backlog = Backlog(problem, ranking.key)

    def order(waiting: IntArray) -> IntArray:
        prompts, lengths = problem.prefill_tokens[waiting], expected_tokens(backlog.estimator, waiting)
        if capacity is not None:
            lengths = np.maximum(1, np.minimum(lengths, capacity - prompts))
        return waiting[places(prompts, lengths, problem.weight[waiting], capacity, slots)]

    return ListScheduling(backlog, ranking)


def mean_start_order(
    prompts: IntArray, lengths: IntArray, weight: FloatArray, capacity: int | None, slots: int
) -> IntArray:
    """Ascending mean start, then length, then as given."""
    starts = mean_start_rounds(prompts, lengths, weight, capacity, slots)
    return np.lexsort((lengths, np.round(starts, 6)))


def swapped_order(
    prompts: IntArray, lengths: IntArray, weight: FloatArray, capacity: int | None, slots: int
) -> IntArray:
    """The order of the relaxation after the exchanges."""
    places = mean_start_order(prompts, lengths, weight, capacity, slots)
    if lengths.sum() > MOST_ROUNDS:
        return places
    if capacity is None:
        capacity = int((prompts + lengths).sum())
    evaluations = min(MOST_EVALUATIONS, WORK // int(lengths.sum()))
    improved: IntArray = swapped(places, prompts, lengths, weight, capacity, slots, REACH, evaluations)
    return improved
