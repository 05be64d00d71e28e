"""Better prices on the time of workers: multiplicative steps over a sample of the requests (see `prices`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.fluid.best_pricing import sample
from llmsched_mip.relaxations.worker_time.prices import (
    ROUNDING,
    Prices,
    cut_moments,
    request_costs,
    spread,
    time_total,
)
from llmsched_mip.relaxations.worker_time.relaxation import WorkerTime, sum_of_groups
from llmsched_mip.timing import FloatArray, IntArray

LEVELS, MOST_PASSES = 128, 1500
FIRST_TEMPERATURE, LAST_TEMPERATURE, TEMPERATURE_PACE = 0.2, 2e-3, 10
FIRST_STEP, LAST_STEP, STEP_PACE = 0.2, 0.05, 100
MOST_CHANGE, LEAST_BEND = 10.0, 1e-14
REPORT_EVERY = 100
BLOCK = 20_000


def ascend(
    problem: WorkerTime, budget: Budget, report: Callable[[Prices], None], most_passes: int = MOST_PASSES
) -> None:
    """Tell `report` of better and better prices; the first pass is always made.

    Parameters
    ----------
    problem : WorkerTime
    budget : Budget
        Looked at after every pass.
    report : callable
        Takes the best prices so far, every `REPORT_EVERY` passes in which they have improved, and at the end.
    most_passes : int
    """
    chosen, members = sample(problem.instance)
    columns, count = problem.columns(chosen), members.astype(np.float64)
    horizon = problem.horizon_s
    prices, best, most, told = _first(problem, columns.weight, sum_of_groups(columns), horizon), None, -np.inf, -np.inf
    for done in range(most_passes):
        temperature = horizon * max(FIRST_TEMPERATURE / (1 + done / TEMPERATURE_PACE), LAST_TEMPERATURE)
        least, loads, _ = spread(columns, prices, count, temperature)
        value = least - time_total(prices, problem.count)
        if value > most:
            best, most = prices, value
        if best is not None and done % REPORT_EVERY == REPORT_EVERY - 1 and most > told:
            report(best)
            told = most
        if budget.spent():
            break
        prices = _changed(problem, prices, loads, max(FIRST_STEP / (1 + done / STEP_PACE), LAST_STEP))
    if best is not None and most > told:
        report(best)


def _first(problem: WorkerTime, weight: FloatArray, work: FloatArray, horizon_s: float) -> Prices:
    cuts = cut_moments(horizon_s, LEVELS)
    bends = np.zeros((len(work), LEVELS + 1))
    for k, of_kind in enumerate(work):
        total = float(of_kind[np.isfinite(of_kind)].sum())
        bends[k, 1:] = np.diff(cuts) / horizon_s * (float(weight.sum()) / max(total, 1e-300) / 2)
    return Prices(cuts, bends)


def _changed(problem: WorkerTime, prices: Prices, loads: FloatArray, step: float) -> Prices:
    offered = problem.count[:, None] * prices.cuts[1:] ** 2 / 2
    bends = prices.bends.copy()
    bends[:, 1:] *= np.clip(loads[:, 1:] / offered, 1 / MOST_CHANGE, MOST_CHANGE) ** step
    bends[:, 1:] = np.maximum(bends[:, 1:], LEAST_BEND)
    return Prices(prices.cuts, bends)


def value_of_prices(problem: WorkerTime, prices: Prices) -> float:
    """The bound by prices, weighted seconds, rounded down."""
    paid, size = 0.0, time_total(prices, problem.count)
    for block in _blocks(problem.instance.n):
        paid += float(request_costs(problem.columns(block), prices).min(axis=0).sum())
    return paid - size - ROUNDING * (abs(paid) + size)


def costs(problem: WorkerTime, prices: Prices) -> FloatArray:
    """What every request costs on each kind of worker by prices: shape (kinds, n); infinite where it does not fit."""
    return np.concatenate(
        [request_costs(problem.columns(block), prices) for block in _blocks(problem.instance.n)], axis=1
    )


def _blocks(n: int) -> list[IntArray]:
    return np.array_split(np.arange(n), -(-n // BLOCK))
