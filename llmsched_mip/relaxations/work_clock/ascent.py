"""Better prices on the clock of work, by passes over all requests with softened minima.

A pass spreads every round over the levels in proportion to exp(-price / temperature), adds up the work, KV tokens,
places and loads of every level, and changes the prices by what it finds:

- the clock as Sinkhorn's algorithm does (Sinkhorn and Knopp, Pacific J. Math. 21 (1967)): dearer where there is more
  work than the level is long, by the logarithm of their ratio;
- the other prices share a U_l in every level (D_l = 0: `prices`).  Each says how many rounds the level needs for its
  resource: KV tokens / M, places / J, load / h, rounds of a request, and y V z / (z V z) with y the rounds by class;
  z goes after y.  Where they differ the share of the largest grows, as in the multiplicative weights method (Arora,
  Hazan and Kale, Theory of Computing 8 (2012)).

The temperature falls from pass to pass.  Whatever the prices are, `prices` has the proof of the bound that they give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.budget import Budget
from llmsched_mip.relaxations.work_clock.prices import (
    ClockPrices,
    Columns,
    class_of_group,
    clock_total,
    form,
    lines,
    sample_rounds,
)
from llmsched_mip.relaxations.work_clock.relaxation import ClockRelaxation
from llmsched_mip.timing import FloatArray, IntArray

MOST_LEVELS, LEAST_LEVELS, ENTRIES = 256, 64, 2_560_000
ALONE = 400
MOST_PASSES, FEWEST_PASSES, PASSES_OF_REQUEST = 3000, 100, 10
PATIENCE, LEAST_GAIN = 400, 2e-5
ROUGH_POINTS = 3
BEND = 1.5
TEMPERATURES, SHARE_STEPS, CLOCK_STEP = (0.02, 0.002, 60), (0.1, 0.02, 200), 0.3
LEAST_SHARE, DIRECTION_STEP = 1e-7, 0.1
FIRST_SHARES = (0.3, 0.1, 0.5, 0.05)
FAR = 12.0


class Loads(NamedTuple):
    """What a pass adds up at both ends of every level: work, KV tokens, places and Σ g; rounds by group."""

    work: FloatArray
    kv: FloatArray
    places: FloatArray
    load: FloatArray
    alone: FloatArray


class _State:
    """Cuts, clock prices, z but for its size, and the shares of a U_l: kv, slots, load, z, then one for each group."""

    def __init__(self, problem: ClockRelaxation, levels: int) -> None:
        self.problem = problem
        self.cuts = problem.work * np.linspace(0.0, 1.0, levels + 1) ** BEND
        self.waiting = problem.waiting(self.cuts)
        self.room = np.asarray(problem.decode.base_seconds(self.waiting), dtype=np.float64)
        self.group = longest_alone(problem)
        self.count = np.bincount(self.group).astype(np.float64)
        self.shares = np.full((len(FIRST_SHARES) + len(self.count), levels), 1e-3)
        self.shares[: len(FIRST_SHARES)] = np.array(FIRST_SHARES)[:, None]
        self.shares /= self.shares.sum(axis=0)
        self.class_of = class_of_group(problem, self.group)
        parts = np.bincount(problem.neighbours.of, problem.d) / problem.d.sum()
        self.beside = np.repeat(parts[:, None], levels, axis=1)
        density = problem.weight / problem.works
        order = np.argsort(-density, kind="stable")
        ends = np.cumsum(problem.works[order])
        middle, half = (self.cuts[1:] + self.cuts[:-1]) / 2, problem.works[order] / 2
        self.slope = np.interp(self.cuts, ends - half, density[order])
        steps = np.interp(middle, ends - half, density[order]) * np.diff(self.cuts)
        self.clock = np.concatenate(([0.0], np.cumsum(steps)))
        self.length = np.zeros(levels + 1)
        self.length[:-1] += np.diff(self.cuts) / 2
        self.length[1:] += np.diff(self.cuts) / 2

    def prices(self) -> ClockPrices:
        """The prices that the shares stand for."""
        problem, part = self.problem, np.repeat(self.shares, 2, axis=1) * self.room
        beside = np.repeat(self.beside, 2, axis=1)
        beside = beside * np.sqrt(2 * _ratio(part[3], form(problem, beside)))
        kv, slot, load = part[0] / problem.kv, part[1] / problem.slots, np.sqrt(2 * part[2])
        return ClockPrices(self.cuts, self.clock, kv, slot, load, beside, part[4:] / self.count[:, None], self.group)

    def change(self, prices: ClockPrices, loads: Loads, temperature: float, step: float) -> None:
        """One step of the clock and of the shares."""
        floor = 1e-9 * self.length
        work = np.pad(loads.work[1::2], (1, 0)) + np.pad(loads.work[::2], (0, 1))
        excess = np.clip(np.log(self.length / np.maximum(work, floor)), -1.0, 1.0)
        self.clock = self.clock + CLOCK_STEP * temperature * self.slope * excess
        places = np.zeros_like(prices.beside)
        np.add.at(places, self.class_of, loads.alone)
        near = np.sum(places * (self.problem.neighbours.kernel @ prices.beside), axis=0)
        ends = np.concatenate(
            (
                [loads.kv / self.problem.kv, loads.places / self.problem.slots],
                [_ratio(loads.load, prices.load), _ratio(near, form(self.problem, prices.beside))],
                loads.alone / self.count[:, None],
            )
        )
        rounds, places = _by_level(ends), _by_level(places)
        mean = np.sum(self.shares * rounds, axis=0)
        grown = np.clip(np.divide(rounds, mean, out=np.ones_like(rounds), where=mean > 0), 0.2, 5.0)
        self.shares = np.maximum(self.shares * grown**step, LEAST_SHARE)
        self.shares /= self.shares.sum(axis=0)
        self.beside += DIRECTION_STEP * (
            _ratio(places, np.broadcast_to(places.sum(axis=0), places.shape)) - self.beside
        )


def _by_level(ends: FloatArray) -> FloatArray:
    return ends[:, ::2] + ends[:, 1::2]


def _ratio(total: FloatArray, price: FloatArray) -> FloatArray:
    return np.divide(total, price, out=np.zeros_like(total), where=price > 0)


def fallen(schedule: tuple[float, float, int], done: int) -> float:
    """first / (1 + done / pace), at least last, for `schedule` = first, last, pace."""
    first, last, pace = schedule
    return max(last, first / (1 + done / pace))


def longest_alone(problem: ClockRelaxation) -> IntArray:
    """Groups: one for each class of `neighbours`, and one for each of the `ALONE` with the most rounds: shape (n,)."""
    group = problem.neighbours.of.copy()
    longest = np.argsort(-problem.d, kind="stable")[: min(ALONE, problem.n - 1)]
    group[longest] = problem.n + np.arange(len(longest))
    return np.unique(group, return_inverse=True)[1].reshape(-1).astype(np.int64)


def ascend(
    problem: ClockRelaxation,
    budget: Budget,
    most_passes: int | None = None,
    report: Callable[[ClockPrices], None] | None = None,
) -> ClockPrices:
    """The best prices of at most `most_passes` passes, fewer where they no longer help.

    Parameters
    ----------
    problem : ClockRelaxation
    budget : Budget
        Looked at after every pass; the first is always made.
    most_passes : int, optional
        Default: `MOST_PASSES`, fewer for few requests.
    report : callable, optional
        Takes the best prices so far, now and then.
    """
    passes = most_passes or min(MOST_PASSES, FEWEST_PASSES + PASSES_OF_REQUEST * problem.n)
    levels = int(np.clip(ENTRIES // problem.n, LEAST_LEVELS, MOST_LEVELS))
    state = _State(problem, levels)
    columns, kv_s = Columns.of(problem, state.group), problem.rate.per_kv_token_s
    work, kv, slots, load = np.zeros((4, 2 * levels))
    loads = Loads(work, kv, slots, load, np.zeros((len(state.count), 2 * levels)))
    best, most, told, since = state.prices(), -np.inf, -np.inf, 0
    for done in range(passes):
        temperature = problem.work * fallen(TEMPERATURES, done)
        prices = state.prices()
        value = clock_total(prices) + _spread(columns, kv_s, lines(problem, prices, state.waiting), temperature, loads)
        if value > most + LEAST_GAIN * abs(most + problem.constant_s):
            since = done
        if value > most:
            best, most = prices, value
        if report is not None and most > told and done % 50 == 49:
            report(best)
            told = most
        if budget.spent() or done - since > PATIENCE:
            break
        state.change(prices, loads, temperature, fallen(SHARE_STEPS, done))
    return best


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _spread(columns, kv_s, lines, temperature, loads):  # type: ignore[no-untyped-def]
    """Fill `loads` and return the sum of the least prices."""
    p, d, worth, work, load, group = columns
    cuts, clock, fixed, of_kv, of_load, by_group = lines
    for total in loads[:4]:
        total[:] = 0.0
    loads.alone[:] = 0.0
    rounds, weights, least = np.empty(ROUGH_POINTS), np.empty(ROUGH_POINTS), np.empty(ROUGH_POINTS)
    cost, value = np.empty((ROUGH_POINTS, len(fixed))), 0.0
    for i in range(len(p)):
        count = sample_rounds(d[i], rounds, weights)
        least[:] = np.inf
        for e in range(len(fixed)):
            at = fixed[e] + by_group[group[i], e] + of_load[e] * load[i] + worth[i] * cuts[e] - clock[e] * work[i]
            per_kv = of_kv[e] - clock[e] * kv_s
            for j in range(count):
                cost[j, e] = at + per_kv * (p[i] + rounds[j])
                least[j] = min(least[j], cost[j, e])
        for j in range(count):
            value += weights[j] * least[j]
            held = p[i] + rounds[j]
            _share_out(cost[j], least[j], worth[i] * temperature)
            for e in range(len(fixed)):
                if cost[j, e] > 0.0:
                    part = cost[j, e] * weights[j]
                    loads.work[e] += part * (work[i] + kv_s * held)
                    loads.kv[e] += part * held
                    loads.places[e] += part
                    loads.load[e] += part * load[i]
                    loads.alone[group[i], e] += part
    return value


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _share_out(cost, least, temperature):  # type: ignore[no-untyped-def]
    """Put parts in place of costs: in proportion to exp(-cost / temperature), adding up to 1."""
    total = 0.0
    for x in range(len(cost)):
        above = (cost[x] - least) / temperature
        cost[x] = np.exp(-above) if above < FAR else 0.0
        total += cost[x]
    for x in range(len(cost)):
        cost[x] /= total
