"""Shared by policies that order all waiting requests together, not one by one."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from sortedcontainers import SortedList

from llmsched_mip.policies.base import Problem, WorkerView
from llmsched_mip.policies.fcfs import FirstComeFirstServed
from llmsched_mip.timing import IntArray


class Ranked(FirstComeFirstServed):
    """List scheduling in an order of the waiting requests that a subclass computes; stop at the first that fails the
    forward check.

    A backlog is ordered once.  With arrivals the waiting requests are ordered anew, before a prefill, when at least
    one in `new_share` of them (16) has not been ordered yet; until then the new ones stand at the end.
    """

    new_share = 16

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self.unranked = 0

    @abstractmethod
    def order(self, waiting: IntArray) -> IntArray:
        """The requests `waiting` (indices, in order of arrival) in the order of service."""

    def key(self, request: int, sequence: int) -> Any:
        """Behind all that are ordered, by arrival."""
        self.unranked += 1
        return 1, sequence

    def arrival_may_start(self) -> bool:
        """A new request may be ordered in front of those that wait."""
        return True

    def choose(self, view: WorkerView) -> list[int]:
        """A batch that fits now, after a new order where one is due."""
        if view.free_slots and self.unranked and self.unranked * self.new_share >= len(self.queue):
            self.rank()
        return super().choose(view)

    def rank(self) -> None:
        """Order the waiting requests."""
        self.unranked = 0
        waiting = np.array(sorted((i for _, i in self.queue), key=self.sequence.__getitem__), dtype=np.int64)
        if not len(waiting):
            return
        for place, i in enumerate(self.order(waiting).tolist()):
            # One that was evicted keeps its place of an earlier order: of equal places the first to arrive goes first.
            self.keys[i] = 0, place, self.sequence[i]
        self.queue = SortedList((self.keys[i], i) for i in waiting.tolist())

    def expected(self, waiting: IntArray) -> IntArray:
        """Expected decode tokens of these requests, shape (n,)."""
        return np.array([self.estimator.length(i) for i in waiting.tolist()], dtype=np.int64)

    def room(self) -> tuple[int | None, int]:
        """KV capacity (None: no limit) and slots of the largest worker."""
        workers, n = self.problem.workers, len(self.prompts)
        capacities = [worker.kv_capacity for worker in workers]
        slots = max(n if worker.slots is None else worker.slots for worker in workers)
        return (None if None in capacities else max(c for c in capacities if c is not None)), slots
