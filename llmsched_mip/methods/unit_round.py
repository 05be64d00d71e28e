"""Unit-round instances: MC-SF, beams, annealing over orders, priced starts, and a proof where it can."""

from __future__ import annotations

import math

from llmsched_mip import clock
from llmsched_mip.algorithms.unit_round.exact import MOST_REQUESTS, prove
from llmsched_mip.algorithms.unit_round.local_search import anneal
from llmsched_mip.algorithms.unit_round.makespan import prove_makespan
from llmsched_mip.algorithms.unit_round.shortest_first import shortest_first
from llmsched_mip.bounds import Bound, compute
from llmsched_mip.bounds.round_patterns import improve as improve_patterns
from llmsched_mip.budget import Budget
from llmsched_mip.methods.beam import beam
from llmsched_mip.methods.branch_and_bound import INCUMBENT_SHARE, MOST, explore
from llmsched_mip.methods.orders import list_orders
from llmsched_mip.methods.search import Search
from llmsched_mip.models.start_rounds import starts_of
from llmsched_mip.relaxations.time_indexed.unit_prices import MOST_STARTS, StartPrices, ascend
from llmsched_mip.timing import IntArray
from llmsched_mip.unit_rounds import UnitRounds

SMALL = 18
MOST_ANNEALED = 5_000
MOST_ROWS = 20_000
# Where a search for a proof is worth its time.
LIKELY_REQUESTS, LIKELY_GAP = 30, 0.03
FIRST_SECONDS, FIRST_BEAMS = 0.2, 8
PRICES_SHARE, ANNEAL_SHARE, BEAM_SHARE, PATTERNS_SHARE, PROOF_SHARE = 0.2, 0.3, 0.25, 0.7, 0.7


def applies(search: Search) -> bool:
    """Whether the instance is unit-round."""
    return UnitRounds.of(search.instance) is not None


def unit_round(search: Search) -> str | None:
    """Offer plans and raise bounds until the gap is closed or the time has passed; why it does not apply, or None."""
    problem = UnitRounds.of(search.instance)
    if problem is None:
        return "it takes one worker with a KV capacity, a backlog, and equal rounds as all that takes time"
    if search.budget.spent() and search.plan is not None:
        return None
    run = _Run(search, problem)
    run.offer("mc-sf", run.starts)
    if search.instance.objective == "makespan":
        run.makespan()
    elif problem.n <= SMALL:
        run.improve(FIRST_SECONDS)
        run.price(PRICES_SHARE * search.budget.remaining)
        run.prove(search.budget.remaining)
    else:
        run.completion()
    return None


class _Run:
    """One run: the best starts and the best prices so far."""

    def __init__(self, search: Search, problem: UnitRounds):
        self.search, self.problem = search, problem
        self.starts: IntArray = shortest_first(problem)
        self.prices: StartPrices | None = None

    def makespan(self) -> None:
        """Lists and beams, deadlines where the instance is small, and beams again."""
        search = self.search
        list_orders(search)
        if search.budget.spent():
            return
        if self.problem.n <= MOST:
            explore(search, INCUMBENT_SHARE * search.budget.remaining, dive=True)
        if self.problem.n <= MOST_REQUESTS:
            beam(search, search.budget.slice(share=0.1), FIRST_BEAMS)
            self.take_plan()
            self.prove_makespan(search.budget.slice(share=PROOF_SHARE))
        beam(search)

    def completion(self) -> None:
        """Beams, annealing and prices in turn; a search for a proof where the instance is small, else beams again."""
        search, small = self.search, self.problem.n <= MOST_REQUESTS
        beam(search, search.budget.slice(share=BEAM_SHARE))
        self.take_plan()
        self.improve(0.1 * search.budget.remaining)
        if small:
            self.price(PRICES_SHARE * search.budget.remaining)
        elif not search.budget.spent():
            search.raise_bounds(compute(search.instance, search.budget.slice(share=PRICES_SHARE), names=["kv_dual"]))
        part = search.budget.slice(share=PATTERNS_SHARE)
        if not part.spent():
            improve_patterns(search.instance, part, lambda bound: search.raise_bounds([bound]))
        self.improve(ANNEAL_SHARE * search.budget.remaining)
        if small and (self.problem.n <= LIKELY_REQUESTS or (search.gap or 0.0) <= LIKELY_GAP):
            self.prove(PROOF_SHARE * search.budget.remaining)
        beam(search)

    def offer(self, method: str, starts: IntArray) -> None:
        self.starts = starts
        self.search.offer(self.problem.plan(self.search.instance, method, starts))

    def take_plan(self) -> None:
        """Go on from the plan of the search."""
        if self.search.plan is not None:
            for start in starts_of(self.search.plan):
                self.starts[start.request] = start.round - 1

    def raise_bound(self, name: str, rounds: float, began: float) -> None:
        value = rounds * self.problem.round_s
        self.search.raise_bounds([Bound(name, value, clock.now() - began, {"rounds": rounds})])

    def improve(self, seconds: float) -> None:
        """Anneal from the best starts."""
        if self.search.budget.spent() or seconds <= 0 or self.problem.n > MOST_ANNEALED:
            return
        found = anneal(self.problem, self.starts, self.search.budget.slice(seconds), self.search.seed)
        if self.problem.value(found) < self.problem.value(self.starts):
            self.offer("unit-round", found)

    def price(self, seconds: float) -> None:
        """Find prices."""
        problem = self.problem
        horizon = int((self.starts + problem.d).max()) + 1
        if self.search.budget.spent() or problem.n * horizon > MOST_STARTS:
            return
        began = clock.now()
        self.prices = ascend(problem, horizon, problem.value(self.starts), self.search.budget.slice(seconds))
        self.raise_bound("start_prices", self.prices.proven, began)

    def prove(self, seconds: float) -> None:
        """Search for a proof."""
        if self.search.budget.spent() or self.prices is None or self.problem.n > MOST_REQUESTS:
            return
        began = clock.now()
        for proof in prove(self.prices, self.starts, self.search.budget.slice(seconds)):
            if proof.best is not None and proof.value < self.problem.value(self.starts):
                self.offer("unit-round", proof.best.copy())
            self.raise_bound("unit_round_search", proof.value if proof.closed else proof.bound, began)

    def prove_makespan(self, budget: Budget) -> None:
        """Refute deadlines until one is met."""
        problem, search = self.problem, self.search
        rows = int((self.starts + problem.d).max()) * problem.n
        if search.budget.spent() or problem.n > MOST_REQUESTS or rows > MOST_ROWS:
            return
        began = clock.now()
        least = math.ceil((search.bound or 0.0) / problem.round_s - 1e-9)
        for proof in prove_makespan(problem, self.starts, least, budget):
            better = search.value is None or proof.value * problem.round_s < search.value
            if proof.best is not None and better:
                self.offer("unit-round", proof.best.copy())
            self.raise_bound("deadlines", proof.bound, began)
