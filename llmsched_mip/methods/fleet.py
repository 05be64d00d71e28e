"""Makespan of a backlog, on one worker or many: requests that run together end together.

Several workers: requests are placed by the fluid relaxation, and exchanged while each worker is planned.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmsched_mip.algorithms.common_ends.exchange import Exchange
from llmsched_mip.algorithms.common_ends.planner import Rule
from llmsched_mip.algorithms.common_ends.stages import worker_plan
from llmsched_mip.alone import alone_seconds
from llmsched_mip.evaluation import evaluate
from llmsched_mip.instance import Instance
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.split import split_requests
from llmsched_mip.plan import Plan, WorkerPlan
from llmsched_mip.relaxations.fluid.best_pricing import best_pricing
from llmsched_mip.relaxations.fluid.placement import Fleet
from llmsched_mip.relaxations.fluid.whole_rounds import PLACING, WholeRounds
from llmsched_mip.timing import IntArray

PLACEMENTS = 4
FIRST_TRIALS = 10
WHOLE_SHARE = 0.3
"""Of what is left, for one placement with whole rounds."""
LONG, DEADLINES = 1.02, 4
"""Where plans are longer than the longest request alone: requests go only where they alone end by these times."""
MOST_STEPS = 10_000_000
SEARCHES, TRADES = 0.4, 0.4
"""Shares of the steps that look for better rules of a worker, and that trade."""
MOST_PRICED = 300
"""Requests in the LP whose prices tell whether a trade is one."""
OFFER_EVERY_S, OFFER_SHARE = 1.0, 0.1
NAME = "common-ends"


def applies(instance: Instance) -> bool:
    """Whether it is for such an instance: a backlog, and the makespan counts."""
    return instance.objective == "makespan" and not instance.requests.arrival_s.any()


def fleet(search: Search, steps: int = MOST_STEPS) -> None:
    """Offer plans until the budget is spent, or so many exchanges have been tried.

    First the placement by work alone (`split_requests`), then the LP's, a few times, each time with the time that the
    plans of each kind of worker took beyond its fluid load; the best goes on by other rules for one worker and by
    exchanges between two.  With several workers its next turn goes on from there, or from a better plan, unless this
    one brought nothing.
    """
    instance = search.instance
    if not applies(instance):
        search.note(f"{NAME} left out: for the makespan of a backlog")
        return
    exchange = _kept(search) or _placed(search)
    if steps > 0:
        before = float(exchange.seconds.max())
        _improve(search, exchange, steps)
        better = len(instance.workers) > 1 and float(exchange.seconds.max()) < before
        search.kept[NAME] = exchange if better else None


def _placed(search: Search) -> Exchange:
    """The best of all placements, each offered."""
    instance = search.instance
    first = Exchange(instance, split_requests(instance), search.seed)
    search.offer(plan_of(instance, first))
    return _whole_rounds(search, _best_placement(search, first)) if len(instance.workers) > 1 else first


def _kept(search: Search) -> Exchange | None:
    """Where the last turn ended, or the search's plan where that is better by now; None before the first turn."""
    exchange: Exchange | None = search.kept.get(NAME)
    if exchange is None or search.plan is None or search.value is None or exchange.seconds.max() <= search.value:
        return exchange
    return _following(search, search.plan, exchange.rules)


def fleet_from_plan(search: Search, rules: Sequence[Rule | None]) -> tuple[Plan, list[Rule]]:
    """Go on from the search's plan until the budget is spent: where it ends, which is not later, and its rules.

    Parameters
    ----------
    search : Search
        It has a plan, and `applies` to its instance.
    rules : sequence of Rule or None
        Of each worker, from an earlier turn, where there was one.
    """
    if search.plan is None:
        raise ValueError("no plan to go on from")
    instance = search.instance
    exchange = _following(search, search.plan, [rule or Rule() for rule in rules])
    _improve(search, exchange, MOST_STEPS)
    found = plan_of(instance, exchange)
    value = evaluate(instance, found).measures.objective(instance.objective)
    keep = search.value is None or value <= search.value
    return found if keep else search.plan, exchange.rules


def _following(search: Search, plan: Plan, rules: list[Rule]) -> Exchange:
    """An exchange that begins at a plan."""
    requests = [np.asarray(stages.requests) for stages in plan.workers]
    exchange = Exchange(search.instance, requests, search.seed, rules)
    exchange.follow(plan)
    return exchange


def first_fleet(search: Search) -> None:
    """Offer the plan of the placement by work alone, by the quickest rule."""
    parts = split_requests(search.instance)
    search.offer(plan_of(search.instance, Exchange(search.instance, parts, search.seed, [Rule()] * len(parts))))


def _best_placement(search: Search, first: Exchange) -> Exchange:
    """The exchange whose last worker ends soonest, of `first` and those that the LP gives."""
    instance, fleet_of_all = search.instance, Fleet(search.instance)
    best, stretch = first, [1.0] * len(fleet_of_all.kinds)
    for _ in range(PLACEMENTS):
        found = _placement(search, fleet_of_all, stretch)
        if found is None:
            break
        best = _sooner(search, best, found)
        stretch = _longer(stretch, fleet_of_all.kinds, found)
    least, ends = float(alone_seconds(instance).max()), float(best.seconds.max())
    if len(fleet_of_all.kinds) > 1 and ends > LONG * least:
        # The relaxation does not see how long one request takes on a slow worker.
        for latest_s in np.geomspace(least, ends, DEADLINES + 2)[:-1].tolist():
            found = _placement(search, Fleet(instance, max(latest_s, least)), [1.0] * len(fleet_of_all.kinds))
            if found is not None:
                best = _sooner(search, best, found)
    return best


def _whole_rounds(search: Search, best: Exchange) -> Exchange:
    """The best of `best` and of placements in which workers run as many rounds as their longest request."""
    instance = search.instance
    kinds = instance.worker_kinds
    relaxation = WholeRounds.of(instance, PLACING, placing=True) if len(kinds) > 1 else None
    stretch = [1.0] * len(kinds)
    for _ in range(PLACEMENTS):
        if relaxation is None or search.budget.spent():
            break
        parts = relaxation.parts(relaxation.solve(stretch, search.budget.slice(share=WHOLE_SHARE)))
        if parts is None:
            break
        found = _searched(search, parts)
        best = _sooner(search, best, found)
        stretch = _longer(stretch, kinds, found)
    return best


def _longer(stretch: list[float], kinds: list[IntArray], found: Exchange) -> list[float]:
    """What kinds take beyond the relaxation, after plans of which some end later than others."""
    of_kind = [float(found.seconds[kind].mean()) for kind in kinds]
    return [max(s * seconds / float(np.mean(of_kind)), 1e-3) for s, seconds in zip(stretch, of_kind, strict=True)]


def _sooner(search: Search, best: Exchange, found: Exchange) -> Exchange:
    """The one whose last worker ends sooner; where it is the one found, its plan is offered."""
    if found.seconds.max() >= best.seconds.max():
        return best
    search.offer(plan_of(search.instance, found))
    return found


def _placement(search: Search, workers: Fleet, stretch: list[float]) -> Exchange | None:
    """Schedules of the workers with the requests that the LP gives them; None without an LP solution or time."""
    parts = None if search.budget.spent() else workers.placed(stretch, search.budget)
    return None if parts is None else _searched(search, parts)


def _searched(search: Search, parts: list[IntArray]) -> Exchange:
    """Schedules of the workers with these requests, after a short search on each."""
    found = Exchange(search.instance, parts, search.seed)
    for w in range(len(found.parts)):
        if not search.budget.spent():
            found.search(w, FIRST_TRIALS)
    return found


def _improve(search: Search, exchange: Exchange, steps: int) -> None:
    instance, random = search.instance, exchange.random
    alone = len(instance.workers) == 1
    prices = np.ones(1)
    if not alone and not search.budget.spent():
        priced = best_pricing(instance, budget=search.budget, most=MOST_PRICED)
        prices = np.array([prices.mu for prices in priced])
    value, wait_until, step_s = search.value, 0.0, 0.0
    for _ in range(steps):
        began = search.budget.elapsed
        if search.budget.spent() or search.budget.remaining < step_s:
            break
        kind = random.random()
        if alone or kind < SEARCHES:
            exchange.search(int(random.integers(len(exchange.parts))), 1)
        elif kind < SEARCHES + TRADES:
            exchange.trade(prices)
        else:
            exchange.step()
        now = float(exchange.seconds.max())
        stepped = search.budget.elapsed
        step_s = stepped - began
        if (value is None or now < value) and stepped >= wait_until:
            search.offer(plan_of(instance, exchange))
            value, took = now, search.budget.elapsed - stepped
            wait_until = search.budget.elapsed + max(OFFER_EVERY_S, took / OFFER_SHARE)
    if value is None or float(exchange.seconds.max()) < value:
        search.offer(plan_of(instance, exchange))


def plan_of(instance: Instance, exchange: Exchange) -> Plan:
    """The schedules of all workers as a plan."""
    stages = [
        WorkerPlan.from_stages(worker.name, [])
        if part.schedule is None
        else worker_plan(worker, part.requests, part.schedule.starts, instance.requests.decode_tokens[part.requests])
        for worker, part in zip(instance.workers, exchange.parts, strict=True)
    ]
    return Plan(instance.name, instance.digest, instance.objective, NAME, tuple(stages))
