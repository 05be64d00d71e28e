"""`pack`: bounds, constructions, search, and an arc-flow model for what is still open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from llmsched_mip import clock
from llmsched_mip.algorithms.packing.arcflow import ArcFlow
from llmsched_mip.algorithms.packing.construct import largest_differencing, longest_first, multifit, subset_fill
from llmsched_mip.algorithms.packing.lower_bounds import (
    area_bound,
    counting_bound,
    large_items_bound,
    longest_bound,
    reachable_bound,
)
from llmsched_mip.algorithms.packing.packing import Packing, Step
from llmsched_mip.algorithms.packing.search import PairSearch
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.solvers import Status
from llmsched_mip.timing import IntArray

DEFAULT_SECONDS = 60.0
CONSTRUCTION_WORK = 20_000_000
DIFFERENCING_WORK = 1_000_000
FILL_WORK = 5_000_000
MAX_BITS = 100_000
SUBSET_WORK = 200_000_000
SEARCH_STEPS = 2_000
FILL_STEPS = 600
SKELETONS = (0.5, 1.0, 0.4, 0.45, 0.35)
EXACT_SHARE = 0.4
SMALL_ARCS = 60_000
MAX_ARCS = 150_000


def pack(
    lengths: Any,
    bins: int,
    *,
    budget: Budget | None = None,
    log: Callable[[Step], None] | None = None,
) -> Packing:
    """Assign lengths to bins so that the largest load (the makespan) is small, and prove how small it can be.

    Bounds come first; a construction or the search that reaches them ends the run.  Makespan and bound do not
    depend on the order of `lengths` (unless the time limit cuts the run short).

    Parameters
    ----------
    lengths : int array, shape (n,)
        Rounds, each at least 1.
    bins : int
        Number of bins, at least 1.
    budget : Budget, optional
        Once it is spent, the best assignment is returned; default `DEFAULT_SECONDS`.
    log : callable, optional
        Called with a `Step` at every improvement.

    Returns
    -------
    Packing

    Raises
    ------
    InvalidInputError
        No lengths, a length that is not an integer of at least 1, or fewer than one bin.
    """
    return _Run(*_validated(lengths, bins), budget or Budget(DEFAULT_SECONDS), log).solve()


def _validated(lengths: Any, bins: int) -> tuple[IntArray, int]:
    array = np.asarray(lengths)
    if array.ndim != 1 or not len(array):
        raise InvalidInputError("lengths", "expected a list of at least one length")
    if array.dtype.kind not in "iu":
        raise InvalidInputError("lengths", f"expected integers, got {array.dtype}")
    array = array.astype(np.int64)
    if (array < 1).any():
        bad = int(np.argmax(array < 1))
        raise InvalidInputError(f"lengths[{bad}]", f"expected an integer ≥ 1, got {array[bad]}")
    if bins < 1:
        raise InvalidInputError("bins", f"expected at least one bin, got {bins}")
    return array, int(bins)


class _Run:
    def __init__(self, lengths: IntArray, bins: int, budget: Budget, log: Callable[[Step], None] | None):
        self.began, self.budget, self.log = clock.now(), Budget(budget.remaining, self._interrupt), log
        self._asked = budget.interrupted
        self.order = np.argsort(-lengths, kind="stable")
        self.lengths = lengths[self.order]
        self.bins = min(bins, len(lengths))
        self.bounds: dict[str, int] = {}
        self.trace: list[Step] = []
        self.best: IntArray | None = None
        self.makespan, self.fullest, self.bound = 2**62, self.bins, 0
        self.how = self.bound_by = ""
        self.interrupted = False

    @property
    def closed(self) -> bool:
        return self.makespan <= self.bound

    def _interrupt(self) -> bool:
        """Whether to end before the time has passed: proven, or asked to; remembers the latter."""
        self.interrupted = self.interrupted or self._asked()
        return self.closed or self.interrupted

    def done(self) -> bool:
        """Whether to end: proven, out of time, or asked to stop."""
        return self.budget.spent()

    def offer_bound(self, name: str, value: int) -> None:
        """Take note of a proven bound."""
        self.bounds[name] = max(value, self.bounds.get(name, 0))
        if value > self.bound:
            self.bound, self.bound_by = value, name
            self._record(name)

    def offer(self, assignment: IntArray | None, how: str) -> None:
        """Keep an assignment if its makespan is smaller, or reached by fewer bins."""
        if assignment is None:
            return
        loads = np.bincount(assignment, weights=self.lengths, minlength=self.bins).astype(np.int64)
        makespan = int(loads.max())
        fullest = int(np.count_nonzero(loads == makespan))
        if (makespan, fullest) < (self.makespan, self.fullest):
            better = makespan < self.makespan
            self.best, self.makespan, self.fullest = assignment, makespan, fullest
            if better:
                self.how = how
                self._record(how)

    def _record(self, how: str) -> None:
        if self.best is not None:
            step = Step(clock.now() - self.began, self.makespan, self.bound, how)
            self.trace.append(step)
            if self.log is not None:
                self.log(step)

    def solve(self) -> Packing:
        self.offer_bound("longest", longest_bound(self.lengths))
        self.offer_bound("area", area_bound(self.lengths, self.bins))
        self.offer(longest_first(self.lengths, self.bins), "longest first")
        try:
            self._improve()
        except KeyboardInterrupt:
            self.interrupted = True
        return self._packing()

    def _improve(self) -> None:
        for step in (
            self._counting,
            self._fill,
            self._search,
            self._multifit,
            self._differencing,
            self._small_arc_flow,
            self._long_search,
            self._lp_bound,
            self._exact,
        ):
            if self.done():
                return
            step()

    def _counting(self) -> None:
        self.offer_bound("counting", counting_bound(self.lengths, self.bins))
        self.offer_bound("large items", large_items_bound(self.lengths, self.bins, self.makespan))
        self._reachable()

    def _reachable(self) -> None:
        if not self.closed and len(self.lengths) * self.makespan <= SUBSET_WORK:
            self.offer_bound("reachable", reachable_bound(self.lengths, self.bound, self.makespan))

    def _search(self, steps: int = SEARCH_STEPS, how: str = "search", start: IntArray | None = None) -> None:
        start = self.best if start is None else start
        assert start is not None
        search = PairSearch(self.lengths, start, self.bins, self.bound)
        self.offer(search.run(steps, self.done), how)

    def _fill(self) -> None:
        if len(self.lengths) * self.bins > FILL_WORK or self.bound > MAX_BITS:
            return
        for part in SKELETONS:
            skeleton = int(np.count_nonzero(self.lengths >= part * self.lengths[0]))
            start = subset_fill(self.lengths, self.bins, self.bound, skeleton)
            self.offer(start, "subset fill")
            if self.done():
                return
            self._search(FILL_STEPS, "subset fill, search", start)

    def _multifit(self) -> None:
        if len(self.lengths) * self.bins <= CONSTRUCTION_WORK:
            found = multifit(self.lengths, self.bins, self.bound, self.makespan)
            self.offer(found, "multifit")
            if found is not None and not self.done():
                self._search(how="multifit, search")

    def _differencing(self) -> None:
        if len(self.lengths) * self.bins <= DIFFERENCING_WORK:
            start = largest_differencing(self.lengths, self.bins)
            self.offer(start, "largest differencing")
            if not self.done():
                self._search(how="largest differencing, search", start=start)

    def _long_search(self) -> None:
        self._search(10 * SEARCH_STEPS, "long search")

    def _lp_bound(self, max_arcs: int = MAX_ARCS) -> None:
        """Raise the bound to the smallest capacity that the arc-flow LP does not refute.

        The bound is most often nearly tight, so growing steps from it come before bisection.
        """
        low, high, step, found = self.bound, self.makespan, 1, False
        while low < high and not self.done():
            middle = (low + high) // 2 if found else min(low + step, high) - 1
            graph = ArcFlow.build(self.lengths, self.bins, middle, max_arcs)
            if graph is None:
                return
            if graph.refuted_by_lp(self.budget):
                low, step = middle + 1, 2 * step
                self.offer_bound("arc-flow LP", low)
            else:
                high, found = middle, True

    def _small_arc_flow(self) -> None:
        self._lp_bound(SMALL_ARCS)
        self._exact(EXACT_SHARE, SMALL_ARCS)

    def _exact(self, share: float = 1.0, max_arcs: int = MAX_ARCS) -> None:
        """Ask the arc-flow MIP for an assignment at the bound, and raise the bound when there is none."""
        budget = self.budget.slice(share=share)
        while not self.done():
            self._reachable()
            graph = ArcFlow.build(self.lengths, self.bins, self.bound, max_arcs)
            if self.done() or graph is None:
                return
            status, assignment = graph.solve(budget)
            self.offer(assignment, "arc-flow MIP")
            if status is Status.INFEASIBLE:
                self.offer_bound("arc-flow MIP", self.bound + 1)
            elif assignment is None:
                return

    def _packing(self) -> Packing:
        assert self.best is not None
        assignment = np.empty(len(self.lengths), dtype=np.int64)
        assignment[self.order] = self.best
        return Packing(
            assignment,
            self.makespan,
            self.bound,
            dict(self.bounds),
            "optimal" if self.closed else "feasible",
            f"{self.how}; bound: {self.bound_by}",
            clock.now() - self.began,
            self.trace,
            self.interrupted,
        )
