"""Plans for unit rounds by beam search: ever wider beams, guided by prices that are improved on the way."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from llmsched_mip import clock
from llmsched_mip.algorithms.unit_round.beam import most_width
from llmsched_mip.algorithms.unit_round.beam import search as beam_search
from llmsched_mip.algorithms.unit_round.guide import Guide, completion_guide, idle_share, makespan_guide
from llmsched_mip.budget import Budget
from llmsched_mip.methods.search import Search
from llmsched_mip.relaxations.time_indexed.kv_prices import ascend_prices, fluid_prices
from llmsched_mip.relaxations.time_indexed.relaxation import StartRelaxation
from llmsched_mip.timing import FloatArray, IntArray, request_kv_volume
from llmsched_mip.unit_rounds import UnitRounds

FIRST_SHARE = 0.05
SHARES = (1.0, 0.75, 1.25)
NEAR = (60, 100, 40)
AWKWARDNESS = (0.2, 0.1, 0.3)
TIGHTNESS = (1.015, 1.005, 1.03)
DEADLINE_CANDIDATES = 200
PRICES_SHARE, PRICES_RUN = 0.1, 2
MOST_STARTS, PRICED_STARTS = 200_000_000, 20_000_000_000
LONGER = 1.1
WIDER = 3.0
MOST_RUNS = 1000


def beam(search: Search, budget: Budget | None = None, most_runs: int = MOST_RUNS) -> str | None:
    """Offer plans of beams 1, 3, 9, ... wide until the time has passed; why it does not apply, or None.

    Parameters
    ----------
    search : Search
    budget : Budget, optional
        Default: that of the search.
    most_runs : int
        Beams: a limit of work.
    """
    problem = UnitRounds.of(search.instance)
    if problem is None:
        return "it takes one worker with a KV capacity, a backlog, and equal rounds as all that takes time"
    budget = budget or search.budget
    if budget.spent():
        return None
    maker = _Makespan if search.instance.objective == "makespan" else _Completion
    runs = maker(search, problem, budget)
    for run, (width, left) in enumerate(_widths(budget)):
        if run >= most_runs or budget.spent():
            break
        guide, near = runs.guide(run)
        began = clock.now()
        found = beam_search(guide, min(width, most_width(guide)), near, search.seed + run, budget)
        left.append(clock.now() - began)
        if found is not None:
            runs.take(found[0])
    return None


def _widths(budget: Budget) -> Iterator[tuple[int, list[float]]]:
    """Widths, and a list that takes the seconds of each run: wider as long as the next one is over in time."""
    width, seconds = 1, [0.0]
    while True:
        yield width, seconds
        if len(seconds) > 2 and WIDER * seconds[-1] > budget.remaining:
            width = max(1, int(width * min(1.0, 0.8 * budget.remaining / max(seconds[-1], 1e-3))))
        elif len(seconds) > 1:
            width = math.ceil(width * WIDER)


class _Completion:
    """Total completion: fluid prices first, then those of the time-indexed relaxation."""

    def __init__(self, search: Search, problem: UnitRounds, budget: Budget):
        self.search, self.problem, self.budget = search, problem, budget
        self.best, self.share = math.inf, FIRST_SHARE
        busy = float(request_kv_volume(problem.p, problem.d).sum()) / problem.capacity
        self.horizon = int(LONGER * busy) + int(problem.d.max())
        relaxation = StartRelaxation.of(search.instance)
        assert relaxation is not None
        self.relaxation = relaxation
        self._price(fluid_prices(relaxation, self.horizon))

    def _price(self, prices: FloatArray) -> None:
        self.priced, self.order = completion_guide(self.problem, prices / self.problem.round_s)

    def guide(self, run: int) -> tuple[Guide, int]:
        """Guide and number of requests that are looked at, for a run."""
        if run == PRICES_RUN and self.problem.n * self.horizon <= MOST_STARTS:
            part, passes = self.budget.slice(share=PRICES_SHARE), PRICED_STARTS // (self.problem.n * self.horizon)
            self._price(ascend_prices(self.relaxation, part, self.horizon, max(20, passes)).prices)
        share = self.share * SHARES[run % len(SHARES)]
        return self.priced._replace(idle_share=share), NEAR[run // len(SHARES) % len(NEAR)]

    def take(self, members: IntArray) -> None:
        """Offer the best member and learn from it how much KV stays idle."""
        values = (members + self.priced.d) @ self.priced.weight
        best = int(np.argmin(values))
        if values[best] < self.best:
            self.best, self.share = float(values[best]), idle_share(self.priced, members[best])
            _offer(self.search, self.problem, members[best], self.order)


class _Makespan:
    """Makespan: deadlines a little above the least that KV volume allows."""

    def __init__(self, search: Search, problem: UnitRounds, budget: Budget):
        self.search, self.problem, self.budget = search, problem, budget
        volume = float(request_kv_volume(problem.p, problem.d).sum())
        self.least, self.best = max(volume / problem.capacity, float(problem.d.max())), math.inf

    def guide(self, run: int) -> tuple[Guide, int]:
        """Guide and number of requests that are looked at, for a run."""
        tightness = TIGHTNESS[run // len(AWKWARDNESS) % len(TIGHTNESS)]
        deadline = min(self.least * tightness, self.best - 1.0)
        guide, self.order = makespan_guide(self.problem, deadline, AWKWARDNESS[run % len(AWKWARDNESS)])
        return guide, DEADLINE_CANDIDATES

    def take(self, members: IntArray) -> None:
        """Offer the member that ends first."""
        ends = (members + self.problem.d[self.order]).max(axis=1)
        best = int(np.argmin(ends))
        if ends[best] < self.best:
            self.best = float(ends[best])
            _offer(self.search, self.problem, members[best], self.order)


def _offer(search: Search, problem: UnitRounds, member: IntArray, order: IntArray) -> None:
    starts = np.empty(problem.n, dtype=np.int64)
    starts[order] = member
    search.offer(problem.plan(search.instance, "beam", starts))
