"""Large neighbourhood search with HiGHS: most starts of the best plan stay, the rest is a small round-indexed model.

Three neighbourhoods take turns, each with a size of its own:

- *window* (rolling horizon): requests that start one after the other, the window moving along the plan;
- *related*: requests that start at about the same time or are of about the same length as one drawn at random;
- *near* (local branching, Fischetti and Lodi 2003): every request may join one of the batches next to its own,
  at most a given number of them does.

The part of the model that is left is `models.round_indexed.neighbourhood`; the plan is its start solution, so HiGHS
looks only for better ones.  What it finds is also tried with all batches shifted to the left.  A size grows while the
sub-problems are solved to optimality without an improvement, and shrinks when they are not solved in their share of
the time.
Only `evaluate` decides what is better: the sub-problem counts elapsed times to first order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmsched_mip.budget import Budget
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.methods.construct import construct
from llmsched_mip.methods.left_shift import left_shift
from llmsched_mip.methods.search import Search
from llmsched_mip.models.round_indexed import Options, plan_from
from llmsched_mip.models.round_indexed.columns import Formulation
from llmsched_mip.models.round_indexed.neighbourhood import Clock, Part, clock_of, formulate
from llmsched_mip.models.round_indexed.sets import Starts
from llmsched_mip.models.round_indexed.start_values import values_of
from llmsched_mip.models.start_rounds import Start, plan_of, starts_of, within_caps
from llmsched_mip.plan import Plan
from llmsched_mip.solvers import ArrayModel, SolveResult, Status, solve_arrays
from llmsched_mip.timing import IntArray

MOST_TOKENS = 3_000_000
# Rounds of all starts of a sub-problem together: its rows have a number for each.
MOST_CELLS = 3_000_000
MOST_ROUNDS = 30
MANY_ROUNDS = 100_000
FIRST_SIZE = 8
NEAR_BATCHES = 2
LEAST_SECONDS, MOST_SECONDS, SHARE = 0.4, 3.0, 0.02
REL_GAP = 1e-5
HIGHS_OPTIONS = {"mip_heuristic_effort": 0.2}
GROW, SHRINK = 1.3, 0.75
OPTIONS = Options(types=False, symmetry=False, windows=True, covers=True, prefill=True, precedence=False)


def large_neighbourhood(search: Search) -> str | None:
    """Improve the best plan until the gap is closed, the time has passed, or no neighbourhood has anything left.

    Why it does not apply, or None.
    """
    construct(search)
    if search.plan is None:
        return "there is no plan to improve"
    tokens = int(search.instance.requests.decode_tokens.sum())
    if tokens > MOST_TOKENS:
        return f"{tokens:,} output tokens, it takes at most {MOST_TOKENS:,}"
    _Run(search, search.plan).run()
    return None


@dataclass
class _Neighbourhood:
    """A way to choose what is free: `choose(size)`, and the size so far, between 2 and the number of requests."""

    choose: Callable[[int], _Choice]
    size: float
    exhausted: bool = False

    def shrink(self) -> None:
        """A smaller size, at least 2."""
        self.size = max(2.0, self.size * SHRINK)


@dataclass(frozen=True, eq=False)
class _Choice:
    """Free requests, the rounds that each may start in by worker, and the most that may move."""

    free: IntArray
    rounds: list[IntArray] | None
    moves: int
    whole: bool


class _Run:
    def __init__(self, search: Search, plan: Plan):
        self.search, self.instance = search, search.instance
        self.random = np.random.default_rng(search.seed)
        self.position = 0
        self.take(plan, search.value or 0.0)
        first = min(self.instance.n, FIRST_SIZE)
        self.neighbourhoods = [_Neighbourhood(choose, first) for choose in (self.window, self.related, self.near)]

    def take(self, plan: Plan, value: float) -> None:
        """Go on from this plan."""
        instance = self.instance
        self.value = value
        self.starts = _merged(instance, starts_of(plan))
        self.clocks: list[Clock] = [clock_of(instance, self.starts, w) for w in range(len(instance.workers))]
        n = instance.n
        self.worker, self.round, self.iteration = (np.zeros(n, dtype=np.int64) for _ in range(3))
        for start in self.starts:
            self.worker[start.request], self.round[start.request] = start.worker, start.round
            self.iteration[start.request] = start.iteration
        rows = self.round - 1
        self.began_s = np.array([self.clocks[self.worker[i]].begin_s[rows[i]] for i in range(n)])
        self.rank = np.lexsort((self.round, self.began_s))

    def run(self) -> None:
        turn = 0
        while not self.search.budget.spent() and not all(each.exhausted for each in self.neighbourhoods):
            neighbourhood = self.neighbourhoods[turn % len(self.neighbourhoods)]
            turn += 1
            if not neighbourhood.exhausted:
                self.improve(neighbourhood)

    # -- neighbourhoods -----------------------------------------------------------------------------------------

    def window(self, size: int) -> _Choice:
        """The next `size` requests by start."""
        n = self.instance.n
        at = self.position % n
        first = max(0, min(at, n - size))
        self.position = 0 if first + size >= n else first + max(1, (2 * size) // 3)
        return self.between(self.rank[first : first + size])

    def related(self, size: int) -> _Choice:
        """Requests that are close to one in start or in length, with some noise."""
        d = self.instance.requests.decode_tokens
        seed = int(self.random.integers(self.instance.n))
        apart = np.abs(self.began_s - self.began_s[seed]) / max(float(np.ptp(self.began_s)), 1e-12)
        unlike = np.abs(d - d[seed]) / max(int(np.ptp(d)), 1)
        distance = (apart + self.random.random() * unlike) * self.random.uniform(0.5, 1.5, self.instance.n)
        distance[seed] = -1.0
        return self.between(np.argsort(distance, kind="stable")[:size])

    def between(self, free: IntArray) -> _Choice:
        """Any round of the time in which these requests start and run, as many as the size of a part allows."""
        d = self.instance.requests.decode_tokens
        low = float(self.began_s[free].min())
        high = float(max(self.clocks[self.worker[i]].end_s[self.round[i] + d[i] - 2] for i in free.tolist()))
        most = max(4, MOST_ROUNDS // len(self.clocks))
        chosen, whole = [], len(free) == self.instance.n
        for w, clock in enumerate(self.clocks):
            first, last = np.searchsorted(clock.begin_s, [low, high + 1e-12])
            behind = high >= clock.end_s[-1:].sum()
            rounds = np.arange(first + 1, last + 1 + behind)
            if len(rounds) > most:
                rounds, whole = self.thinned(w, rounds, most), False
            chosen.append(rounds)
        return _Choice(np.sort(free), chosen, self.instance.n, whole)

    def thinned(self, w: int, rounds: IntArray, most: int) -> IntArray:
        """About `most` of these neighbouring rounds: those where a batch starts or a request has ended, then any."""
        here = self.worker == w
        ended = self.round[here] + self.instance.requests.decode_tokens[here]
        events = np.unique(np.concatenate((self.round[here], ended)))
        events = events[(events >= rounds[0]) & (events <= rounds[-1])]
        if len(events) > most:
            return np.sort(self.random.choice(events, most, replace=False))
        if len(rounds) > MANY_ROUNDS:
            rounds = np.unique(self.random.integers(rounds[0], rounds[-1], most, endpoint=True))
        others = np.setdiff1d(rounds, events)
        more = self.random.choice(others, min(len(others), most - len(events)), replace=False)
        return np.sort(np.concatenate((events, more)))

    def near(self, size: int) -> _Choice:
        """Every request in one of the batches around its own, at most `size` of them moved."""
        return _Choice(np.arange(self.instance.n), None, size, False)

    def near_rounds(self, w: int, i: int) -> IntArray:
        """Rounds of batches on worker w around the start of request i, and where its batch could begin earlier."""
        batches = np.unique(self.round[self.worker == w])
        if not len(batches):
            return np.ones(1, dtype=np.int64)
        clock = self.clocks[w]
        at = int(np.searchsorted(clock.begin_s[batches - 1], self.began_s[i]))
        return batches[max(0, at - NEAR_BATCHES) : at + NEAR_BATCHES + 1]

    # -- one step -----------------------------------------------------------------------------------------------

    def part(self, choice: _Choice) -> tuple[Part, IntArray]:
        """The starts that are left, and the horizon of each worker."""
        instance, workers = self.instance, len(self.clocks)
        r, d = instance.requests, instance.requests.decode_tokens
        last = np.array([len(clock.end_s) for clock in self.clocks], dtype=np.int64)
        if instance.objective == "total_completion":
            last += int(d[choice.free].max()) // 2
        last = np.maximum(last, 1 if workers == 1 else int(d.max()))
        i, w, t = [np.arange(instance.n)], [self.worker], [self.round]
        for v in range(workers):
            for request in choice.free[instance.fits_worker[choice.free, v]].tolist():
                rounds = self.near_rounds(v, request) if choice.rounds is None else choice.rounds[v]
                begin = np.append(self.clocks[v].begin_s, np.inf)
                arrived = begin[np.minimum(rounds, len(begin)) - 1] >= r.arrival_s[request]
                rounds = rounds[arrived & (rounds + d[request] - 1 <= last[v])]
                i.append(np.full(len(rounds), request))
                w.append(np.full(len(rounds), v))
                t.append(rounds)
        span = int(last.max()) + 2
        keys = np.unique((np.concatenate(i) * workers + np.concatenate(w)) * span + np.concatenate(t))
        kept = np.searchsorted(keys, (np.arange(instance.n) * workers + self.worker) * span + self.round)
        columns = Starts(keys // (span * workers), keys // span % workers, keys % span)
        iterations = [int(self.iteration[self.worker == v].max(initial=0)) + 1 for v in range(workers)]
        return Part(columns, iterations, self.clocks, kept, choice.moves), last

    def improve(self, neighbourhood: _Neighbourhood) -> None:
        """Solve one part and keep what is better."""
        search = self.search
        choice = neighbourhood.choose(max(2, min(int(neighbourhood.size), self.instance.n)))
        part, horizon = self.part(choice)
        if int(self.instance.requests.decode_tokens[part.starts[0]].sum()) > MOST_CELLS:
            neighbourhood.exhausted = neighbourhood.size <= 2.0
            neighbourhood.shrink()
            return
        model = formulate(self.instance, horizon, OPTIONS, part)
        budget = search.budget.slice(min(max(LEAST_SECONDS, SHARE * search.budget.seconds), MOST_SECONDS))
        result = self.solve(model, budget)
        better = False
        if result is not None and result.x is not None:
            better = self.offer(plan_from(model, result.x[model.columns.z]))
        self.resize(neighbourhood, choice, result, better)

    def solve(self, model: Formulation, budget: Budget) -> SolveResult | None:
        """HiGHS on the part, started from the plan."""
        if budget.spent():
            return None
        form = model.form.matrix_form()
        values = values_of(model, self.starts)
        start = None if values is None else {int(j): float(values[j]) for j in np.flatnonzero(form["integer"])}
        return solve_arrays(
            ArrayModel(**form),
            start=start,
            budget=budget,
            threads=self.search.threads or 1,
            mip_rel_gap=REL_GAP,
            options=HIGHS_OPTIONS,
        )

    def offer(self, found: Plan) -> bool:
        """The better of the plan and the same with its batches shifted; whether it is better than the current one."""
        search, instance = self.search, self.instance
        if not evaluate(instance, found).feasible:
            # Beside limits of billions the solver's tolerance is worth a token.
            return False
        shifted = within_caps(instance, left_shift(instance, _merged(instance, starts_of(found))))
        best, value = None, self.value
        for starts in (starts_of(found), shifted):
            plan = plan_of(instance, starts, "large-neighbourhood")
            executed = evaluate(instance, plan).measures.objective(instance.objective)
            if best is None or executed < value:
                best, value = plan, executed
        assert best is not None
        better = value < self.value * (1 - 1e-9)
        if value <= self.value:
            search.offer(best)
            self.take(best, value)
        return better

    def resize(self, neighbourhood: _Neighbourhood, choice: _Choice, result: SolveResult | None, better: bool) -> None:
        """Grow after a solved part without an improvement, shrink after one that was not solved."""
        if result is None or better:
            for other in self.neighbourhoods:
                other.exhausted = other.exhausted and not better
            return
        if result.status in (Status.OPTIMAL, Status.GAP_LIMIT, Status.INFEASIBLE):
            all_moves = choice.rounds is None and neighbourhood.size >= self.instance.n
            neighbourhood.exhausted = choice.whole or all_moves
            neighbourhood.size = min(self.instance.n, neighbourhood.size * GROW)
        else:
            neighbourhood.shrink()


def _merged(instance: Instance, starts: list[Start]) -> list[Start]:
    """Iterations before one round as one, on workers where that is never worse."""
    free = [worker.max_prefill_tokens is None for worker in instance.workers]
    return [start._replace(iteration=0) if free[start.worker] else start for start in starts]
