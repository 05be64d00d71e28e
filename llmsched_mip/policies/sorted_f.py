"""Sorted-F (Wang, Ye and Zhou, arXiv 2508.06133)."""

from __future__ import annotations

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.batch_selection import SELECTIONS, Selection
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.list_scheduling import ListScheduling
from llmsched_mip.policies.parts.ranking import Ranking, expected_tokens, largest_worker
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.timing import IntArray, request_kv_peak


def selection(option: str) -> Selection:
    """The way to select a batch that an option names; raises `InvalidInputError`."""
    if option not in SELECTIONS:
        raise InvalidInputError("policy", f"sorted-f: expected one of {', '.join(SELECTIONS)}, got {option!r}")
    return SELECTIONS[option]


def sorted_f(problem: Problem, option: str | None = None) -> ListScheduling:
    """Repeatedly pick the batch X with Σ (p + d) ≤ M that minimises F(X) = Σ d / |X|², by ascending d inside the
    batch; concatenate; schedule the list with the forward check.

    With the least F the ratio is at most 48 for a backlog in the unit-round model (arXiv 2508.06133).  Choices: a
    batch also has at most as many requests as there are slots; of several workers the largest counts; weights ω are
    not looked at; where lengths are not known, d is the expected length; see `Ranking` for arrivals.

    Parameters
    ----------
    problem : Problem
    option : str, optional
        The selection, one of `SELECTIONS`: exact, scaled, swap, quantile, or auto by size (the default).
    """
    select = selection("auto" if option is None else option)
    capacity, slots = largest_worker(problem)
    ranking = Ranking(lambda waiting: waiting[places(waiting)])
    backlog = Backlog(problem, ranking.key, Estimator(problem.lengths))

    def places(waiting: IntArray) -> IntArray:
        lengths = expected_tokens(backlog.estimator, waiting)
        if capacity is None:
            return batch_by_batch(np.zeros(len(waiting), dtype=np.int64), lengths, 0, slots, select)
        peaks = np.minimum(request_kv_peak(problem.prefill_tokens[waiting], lengths), capacity)
        return batch_by_batch(peaks, lengths, capacity, slots, select)

    return ListScheduling(backlog, ranking)


def batch_by_batch(peaks: IntArray, lengths: IntArray, capacity: int, most: int, select: Selection) -> IntArray:
    """Positions in the order of service: batch by batch, in each by ascending d, then as given.

    Parameters
    ----------
    peaks, lengths : int arrays, shape (n,)
        p + d, at most `capacity`, and d; tokens.
    capacity, most : int
        Tokens and requests of a batch.
    select : Selection
    """
    batches: list[IntArray] = []
    left = np.arange(len(peaks))
    while len(left) > 1:
        chosen = np.sort(select(peaks[left], lengths[left], capacity, most))
        batch = left[chosen]
        batches.append(batch[np.argsort(lengths[batch], kind="stable")])
        left = np.delete(left, chosen)
    return np.concatenate([*batches, left])
