"""Several workers, any objective, arrivals too: a placement by prices, exchanges between workers, each one's order."""

from __future__ import annotations

import math

import numpy as np

from llmsched_mip.algorithms.orders.fleet import FleetSearch, Part
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.methods.orders import cool
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.split import split_requests
from llmsched_mip.relaxations.worker_time.ascent import ascend, costs
from llmsched_mip.relaxations.worker_time.prices import Prices
from llmsched_mip.relaxations.worker_time.relaxation import WorkerTime
from llmsched_mip.timing import IntArray

NAME = "fleet-orders"
DEFAULT_SECONDS = 60.0
PASSES, PRICES_SHARE = 300, 0.1
EXCHANGE_SHARE, FIRST_TURN_SHARE, LONGER = 0.6, 0.1, 1.6
TRIALS = 30
TRIALS_OF_REQUEST = 200
"""Of the local search on one worker in a turn, where no clock ends it."""
EXCHANGES_OF_TURN = 500
OFFER_EVERY_S, OFFER_SHARE = 0.5, 0.1
HEAT = 0.5


def applies(instance: Instance) -> bool:
    """Whether there are several workers."""
    return len(instance.workers) > 1


def fleet_orders(search: Search, turns: float = math.inf) -> None:
    """Offer plans until the budget is spent, or after so many turns.

    Where to begin: the search's plan, or list schedules of the placement by work alone (`split_requests`) or of the
    cheapest worker of each request by `relaxations.worker_time`, where these are better.  A turn is exchanges between
    pairs of workers and then an annealing of each worker's sequence of batches; each is longer than the one before.
    Requests are exchanged `EXCHANGES_OF_TURN` times in a turn at most, and annealed `TRIALS_OF_REQUEST` times each, so
    with no clock that ends it, `turns` and the seed repeat a run exactly.
    """
    if not applies(search.instance):
        search.note(f"{NAME} left out: for several workers")
        return
    fleet = FleetSearch(search.instance, search.seed)
    _begin(search, fleet)
    whole = search.budget.or_default(DEFAULT_SECONDS) if math.isinf(turns) else search.budget
    share, done = FIRST_TURN_SHARE, 0
    while done < turns and not whole.spent():
        turn = whole.slice(share=share)
        _exchange(search, fleet, turn.slice(share=EXCHANGE_SHARE))
        _anneal(search, fleet, turn)
        share, done = min(1.0, share * LONGER), done + 1


def fleet_orders_from_plan(search: Search) -> None:
    """One turn of `fleet_orders` with the whole budget, from the sequences of the search's plan."""
    if search.plan is None:
        raise ValueError("no plan to go on from")
    fleet = FleetSearch(search.instance, search.seed)
    fleet.follow(search.plan)
    whole = search.budget.or_default(DEFAULT_SECONDS)
    _exchange(search, fleet, whole.slice(share=EXCHANGE_SHARE))
    _anneal(search, fleet, whole)


def _begin(search: Search, fleet: FleetSearch) -> None:
    """Take the search's plan, or the list schedules of another placement where they are better."""
    best: tuple[float, list[Part]] | None = None
    if search.plan is not None:
        fleet.follow(search.plan)
        best = fleet.value, fleet.parts
        _offer(search, fleet)
    for placement in (_by_work, _by_prices):
        if best is not None and search.budget.spent():
            break
        requests = placement(search)
        if requests is None:
            continue
        fleet.begin(requests)
        if best is None or fleet.value < best[0]:
            best = fleet.value, fleet.parts
            _offer(search, fleet)
    if best is not None:
        fleet.parts = best[1]


def _by_work(search: Search) -> list[IntArray] | None:
    return split_requests(search.instance)


def _by_prices(search: Search) -> list[IntArray] | None:
    """Every request to the kind that costs it least, and of this kind dealt in the order of its work."""
    instance, problem = search.instance, WorkerTime(search.instance)
    found: list[Prices] = []
    ascend(problem, search.budget.slice(share=PRICES_SHARE), found.append, PASSES)
    if not found:
        return None
    cheapest = costs(problem, found[-1]).argmin(axis=0)
    parts = [np.empty(0, dtype=np.int64)] * len(instance.workers)
    for k, workers in enumerate(problem.kinds):
        here = np.flatnonzero(cheapest == k)
        here = here[np.argsort(instance.work_seconds[here, workers[0]], kind="stable")]
        for at, w in enumerate(workers.tolist()):
            parts[w] = here[at :: len(workers)]
    return parts


def _exchange(search: Search, fleet: FleetSearch, budget: Budget) -> None:
    wait_until, done = 0.0, 0
    while not budget.spent() and (math.isfinite(budget.seconds) or done < EXCHANGES_OF_TURN):
        stands, done = fleet.exchange(TRIALS), done + 1
        if stands and budget.elapsed >= wait_until:
            began = budget.elapsed
            _offer(search, fleet)
            wait_until = budget.elapsed + max(OFFER_EVERY_S, (budget.elapsed - began) / OFFER_SHARE)
    _offer(search, fleet)


def _anneal(search: Search, fleet: FleetSearch, budget: Budget) -> None:
    left = search.instance.n
    for w, part in enumerate(fleet.parts):
        if len(part.requests) > 1 and not budget.spent():
            local, share = fleet.local(w), len(part.requests) / left
            most = math.inf if math.isfinite(budget.seconds) else TRIALS_OF_REQUEST * len(part.requests)
            cool(local, budget.slice(share=share), most, HEAT)
            fleet.keep(w, local)
        left -= len(part.requests)
    _offer(search, fleet)


def _offer(search: Search, fleet: FleetSearch) -> None:
    if search.value is None or fleet.value < search.value:
        search.offer(fleet.plan(NAME))
