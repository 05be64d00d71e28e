"""Local search on an order by its sample average, with common random numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np

from llmsched_mip.budget import Budget
from llmsched_mip.methods.stochastic.kernel import Rule
from llmsched_mip.methods.stochastic.overflow import Limited, OverflowLimit
from llmsched_mip.methods.stochastic.sample import Scenarios, Trials
from llmsched_mip.timing import IntArray

RACE_SHARE = 0.25
"""Of the scenarios, by which a move is given up."""
MOST_ENUMERATED = 6
"""Requests of which all orders are tried."""
MOST_REACH, MOST_BLOCK = 0.5, 0.1
"""How far a request moves, and how many move together, as shares of the order; both are drawn geometrically."""


def improve(
    found: Limited,
    trials: Trials,
    scenarios: Scenarios,
    limit: OverflowLimit,
    budget: Budget,
    rng: np.random.Generator,
    told: Callable[[Limited], None],
) -> Limited:
    """Insertions, swaps and moves of blocks, and other thresholds, as long as the budget lasts.

    A move is taken when the mean over all scenarios is lower and no more of them overflow than the limit allows, or
    than do already.  Each costs an execution of a part of the scenarios, and of the rest where that part is no worse.

    Parameters
    ----------
    found : Limited
        What to begin with; its values are those of `scenarios`.
    trials, scenarios, limit, budget, rng
    told : callable
        Called with every improvement.
    """
    part = max(1, int(RACE_SHARE * len(scenarios)))
    while not budget.spent() and len(found.rule.order) > 1:
        rule = _moved(found.rule, trials, rng)
        first = trials.run(rule, scenarios, 0, part)
        if first.mean > float(found.values.value[:part].mean()) and part < len(scenarios):
            continue
        values = trials.run(rule, scenarios)
        overflows = (values.evictions > 0).sum()
        allowed = limit.allows(values) or overflows <= (found.values.evictions > 0).sum()
        if allowed and values.mean < found.values.mean:
            found = Limited(rule, values, limit.allows(values))
            told(found)
    return found


def best_of_all(
    found: Limited, trials: Trials, scenarios: Scenarios, limit: OverflowLimit, least: list[int], budget: Budget
) -> Limited:
    """The best of all orders and thresholds `least` of at most `MOST_ENUMERATED` requests, on any worker."""
    for order in permutations(range(len(found.rule.order))):
        if budget.spent():
            break
        for threshold in least:
            rule = found.rule._replace(order=np.array(order, dtype=np.int64), least=threshold)
            values = trials.run(rule, scenarios)
            if values.mean < found.values.mean and (limit.allows(values) or not found.met):
                found = Limited(rule, values, limit.allows(values))
    return found


def _moved(rule: Rule, trials: Trials, rng: np.random.Generator) -> Rule:
    """A rule with one change."""
    kind, n = rng.random(), len(rule.order)
    if kind < 0.02:
        return rule._replace(least=max(1, rule.least + int(rng.choice((-4, -2, -1, 1, 2, 4)))))
    if kind < 0.12 and rule.placed.max() >= 0:
        placed = rule.placed.copy()
        placed[rng.integers(n)] = rng.integers(len(trials.fleet.slots))
        return rule._replace(placed=placed)
    at = int(rng.integers(n))
    reach = _geometric(rng, max(1, int(MOST_REACH * n)))
    to = int(np.clip(at + rng.choice((-1, 1)) * reach, 0, n - 1))
    if kind < 0.4:
        order = rule.order.copy()
        order[at], order[to] = order[to], order[at]
    elif kind < 0.75:
        order = _inserted(rule.order, at, 1, to)
    else:
        size = min(_geometric(rng, max(1, int(MOST_BLOCK * n))), n - at)
        order = _inserted(rule.order, at, size, min(to, n - size))
    return rule._replace(order=order)


def _geometric(rng: np.random.Generator, most: int) -> int:
    """From 1 to `most`, uniform on a logarithmic scale."""
    return int(np.clip(round(most ** float(rng.random())), 1, most))


def _inserted(order: IntArray, at: int, size: int, to: int) -> IntArray:
    """The order with `size` requests from a place moved so that they begin at place `to`."""
    rest = np.delete(order, slice(at, at + size))
    return np.concatenate((rest[:to], order[at : at + size], rest[to:]))
