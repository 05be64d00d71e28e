"""An order of all waiting requests together, not one by one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.queue import Key, WaitingQueue
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.timing import IntArray

Order = Callable[[IntArray], IntArray]
"""Waiting requests (indices in order of arrival, shape (n,)) to the same in the order of service."""


class Ranking:
    """Gives the waiting requests of a queue new places from time to time.

    A backlog is ordered once.  With arrivals the waiting requests are ordered anew when at least one in `new_share`
    of them has not been ordered yet; until then the new ones stand at the end.

    Parameters
    ----------
    order : Order
    new_share : int
    """

    def __init__(self, order: Order, new_share: int = 16):
        self.order, self.new_share = order, new_share
        self.unranked = 0

    def key(self, request: int, number: int) -> tuple[int, int]:
        """Behind all that are ordered, by arrival."""
        self.unranked += 1
        return 1, number

    def refresh(self, queue: WaitingQueue) -> None:
        """Order the waiting requests where that is due."""
        if not self.unranked or self.unranked * self.new_share < len(queue):
            return
        self.unranked = 0
        waiting = np.array(sorted(queue, key=queue.number.__getitem__), dtype=np.int64)
        if len(waiting):
            # One that was evicted keeps its place of an earlier order: of equal places the first to arrive goes first.
            ordered = self.order(waiting).tolist()
            queue.place({i: (0, place, queue.number[i]) for place, i in enumerate(ordered)})


class Renewal:
    """Orders the waiting requests of a queue by their keys anew when the estimates of their lengths have been.

    Parameters
    ----------
    estimator : Estimator
    key : Key, optional
        Made of its estimates; the queue's own if left out.
    """

    def __init__(self, estimator: Estimator, key: Key | None = None):
        self.estimator, self.key = estimator, key
        self.version = estimator.version

    def refresh(self, queue: WaitingQueue) -> bool:
        """Order the waiting requests where that is due; whether it was."""
        due = self.version != self.estimator.version
        if due:
            self.version, key = self.estimator.version, self.key or queue.key
            queue.place({i: key(i, queue.number[i]) for i in queue})
        return due


def expected_tokens(estimator: Estimator, requests: IntArray) -> IntArray:
    """Expected decode tokens of requests, shape (n,)."""
    return np.array([estimator.length(i) for i in requests.tolist()], dtype=np.int64)


def largest_worker(problem: Problem) -> tuple[int | None, int]:
    """KV capacity (None: no limit) and slots (the number of requests: no limit) of the largest worker."""
    workers, n = problem.workers, len(problem.prefill_tokens)
    capacities = [worker.kv_capacity for worker in workers]
    slots = max(n if worker.slots is None else worker.slots for worker in workers)
    return (None if None in capacities else max(c for c in capacities if c is not None)), slots
