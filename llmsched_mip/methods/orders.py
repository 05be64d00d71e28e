"""Plans of one worker from orders: list scheduling by many lists and rules, then local search on its batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import chain

from llmsched_mip.algorithms.orders.lists import Lists, Trial
from llmsched_mip.algorithms.orders.local_search import LocalSearch
from llmsched_mip.algorithms.orders.single_worker import SingleWorker, Starts
from llmsched_mip.budget import Budget
from llmsched_mip.methods.search import Search
from llmsched_mip.timing import FloatArray, work_seconds

LISTS = "lists"
MOST_DRAWN, MOST_LISTED = 400, 1_000_000
LISTS_SHARE = 0.05
DEFAULT_SECONDS = 60.0
# Temperatures in values per request, where a search makes `USUAL_TRIALS` for each request; with fewer they are lower.
HOT, COLD, MAKESPAN_HOT, MAKESPAN_COLD = 0.15, 0.005, 1e-2, 1e-4
USUAL_TRIALS, DENSITY_POWER = 2_500, 0.4
FIRST_SHARE, LATER_HEAT = 0.25, 0.5
STEPS_BETWEEN_OFFERS = 20
STEP_WORK, LEAST_STEP, MOST_STEP = 2_000_000, 20, 20_000


def applies(search: Search) -> bool:
    """Whether there is one worker."""
    return len(search.instance.workers) == 1


def list_orders(search: Search, most: int = MOST_DRAWN) -> None:
    """List scheduling with the usual lists and rules, then up to `most` random ones in a twentieth of the time left.

    One worker only; the first plan within a second for 10,000 requests.  A search's next turn goes on from there.
    """
    if applies(search):
        ListTrials.of(search).go_on(search, most)


class ListTrials:
    """Lists and rules tried on the one worker of a search.

    Attributes
    ----------
    lists : Lists
    best : Trial
        The best so far.
    """

    def __init__(self, search: Search):
        self.lists = Lists(SingleWorker.of(search.instance), work_s(search), search.seed)
        self._first = self.lists.first()
        self._more = chain(self.lists.waiting_for_slots(), self.lists.passing_over(), self.lists.paced())
        self._least, self._drawn = math.inf, 0
        self._try(search, next(self._first))

    @classmethod
    def of(cls, search: Search) -> ListTrials:
        """Those that the search has tried by now; in its first turn the first, however little time there is."""
        kept: ListTrials = search.kept.get(LISTS) or cls(search)
        search.kept[LISTS] = kept
        return kept

    def go_on(self, search: Search, most: int = MOST_DRAWN) -> None:
        """The first that are left; then, in a twentieth of the time, others, and `most` random ones in all turns."""
        while not search.budget.spent() and (trial := next(self._first, None)):
            self._try(search, trial)
        budget = search.budget.slice(share=LISTS_SHARE)
        while not budget.spent() and (trial := next(self._more, None)):
            self._try(search, trial)
        while not budget.spent() and self._drawn < min(most, MOST_LISTED // search.instance.n):
            self._drawn += 1
            self._try(search, self.lists.drawn(self.best))

    def _try(self, search: Search, trial: Trial) -> None:
        schedule = self.lists.run(trial)
        if schedule.value < self._least:
            self._least, self.best = schedule.value, trial
            if search.value is None or schedule.value < search.value:
                search.offer(schedule.starts.plan(search.instance, trial.name))


def work_s(search: Search) -> FloatArray:
    """Seconds of the full worker that each request takes, shape (n,)."""
    worker, r = search.instance.workers[0], search.instance.requests
    p, d = r.prefill_tokens, r.decode_tokens
    return work_seconds(worker.prefill_time, worker.decode_time, p, d, worker.slots, worker.kv_capacity)


def order_search(search: Search, most_trials: float = math.inf) -> str | None:
    """Local search from the best plan of one worker until the time or `most_trials` are spent; why not, or None.

    Two coolings, the first with a quarter of what there is; each begins at the best plan that the search has by then.
    """
    if not applies(search):
        return "it takes one worker"
    if search.plan is None:
        list_orders(search)
    if search.plan is None or search.instance.n < 2:
        return None
    whole = search.budget.or_default(DEFAULT_SECONDS)
    local = LocalSearch(SingleWorker.of(search.instance), Starts.of(search.plan), search.seed)
    _offer(search, local)
    _cool(search, local, whole.slice(share=FIRST_SHARE), FIRST_SHARE * most_trials, 1.0)
    _cool(search, local, whole.slice(), (1.0 - FIRST_SHARE) * most_trials, LATER_HEAT)
    return None


def _offer(search: Search, local: LocalSearch) -> None:
    if search.value is None or local.best_value < search.value:
        search.offer(local.best_starts().plan(search.instance, "order-search"))


def _cool(search: Search, local: LocalSearch, budget: Budget, most_trials: float, heat: float) -> None:
    """Anneal from the best, the temperature falling with the share of time or trials that has passed."""
    if search.plan is not None and search.value is not None and search.value < local.best_value:
        local.take(Starts.of(search.plan))
    local.back_to_best()
    cool(local, budget, most_trials, heat, partial(_offer, search, local))


def cool(
    local: LocalSearch, budget: Budget, most_trials: float, heat: float, better: Callable[[], None] | None = None
) -> None:
    """Anneal until the budget or the trials are spent, and call `better` now and then where there is a new best."""
    n = len(local.problem.p)
    size = max(LEAST_STEP, min(MOST_STEP, STEP_WORK // n))
    hot, cold = (MAKESPAN_HOT, MAKESPAN_COLD) if local.problem.makespan else (HOT, COLD)
    per_request, done, steps = local.best_value / n, 0, 0
    while not budget.spent() and done < most_trials:
        share = max(budget.elapsed / budget.seconds, done / most_trials)
        expected = min(most_trials, max(done, size) / max(budget.elapsed / budget.seconds, 1e-9)) if done else n
        start = heat * hot * min(1.0, (expected / n / USUAL_TRIALS) ** DENSITY_POWER)
        local.step(per_request * start * (cold / hot) ** share, size)
        done, steps = done + size, steps + 1
        if steps % STEPS_BETWEEN_OFFERS == 0 and local.keep_best() and better is not None:
            better()
    if local.keep_best() and better is not None:
        better()
