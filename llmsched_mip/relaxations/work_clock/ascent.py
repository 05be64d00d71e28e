"""Better prices on the clocks, by passes over all requests, or a sample of many, with softened minima.

A pass spreads every request over the kinds of worker and every round over the levels, in proportion to exp(-price /
temperature), adds up the seconds, KV tokens, places and loads of every level, and changes the prices by what it finds:

- the shares that resources have of a ψ in every level (D = 0: `prices`).  Each says how many rounds the level needs
  for its resource: KV tokens / M, places / J, load / h, rounds of a request, and y V z / (z V z) with y the rounds by
  class; z goes after y.  Where they differ the share of the largest grows, as in the multiplicative weights method
  (Arora, Hazan and Kale, Theory of Computing 8 (2012));
- ψ as Sinkhorn's algorithm does (Sinkhorn and Knopp, Pacific J. Math. 21 (1967)): seconds are dearer where there are
  more of them than the level is long, by the logarithm of their ratio.  The mean of the rounds that resources need, by
  their shares, is what a level has of rounds: with it the excess is the slope of the bound.  The step at a cut grows
  while the excess keeps its sign there and shrinks where it has turned.

The temperature falls from pass to pass.  Whatever the prices are, `prices` has the proof of the bound that they give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.work_clock.prices import (
    ClockPrices,
    Columns,
    at_ends,
    class_of_group,
    form,
    least_costs,
    lines,
    paid_for_seconds,
    sample_rounds,
)
from llmsched_mip.relaxations.work_clock.relaxation import ClockRelaxation, Kind
from llmsched_mip.relaxations.work_clock.sample import Sample, longest_alone
from llmsched_mip.relaxations.worker_time import ascent as worker_time
from llmsched_mip.relaxations.worker_time.prices import Prices, pieces
from llmsched_mip.relaxations.worker_time.relaxation import WorkerTime
from llmsched_mip.timing import FloatArray

MOST_LEVELS, LEAST_LEVELS, ENTRIES = 256, 64, 2_560_000
REFINED_AFTER = (60, 120)
"""Passes after which the levels are as many again."""
MOST_PASSES, FEWEST_PASSES, PASSES_OF_REQUEST = 20_000, 100, 10
PATIENCE, PATIENT_SHARE, PATIENT_S, LEAST_GAIN = 400, 0.1, 2.0, 5e-5
"""So many passes, or this share of the time and so many seconds, without so much better a value end it."""
ROUGH_POINTS = 3
BEND, LONGER = 1.5, 1.25
TEMPERATURES, SHARE_STEPS, CLOCK_STEP = (0.01, 0.0012, 40), (0.3, 0.03, 150), 0.4
GAINS, GAIN_LIMITS = (0.6, 1.1), (0.05, 4.0)
"""Of the step at a cut: where the excess has turned, and where it has not (Riedmiller and Braun, ICNN 1993)."""
LEAST_SHARE, DIRECTION_STEP = 1e-7, 0.1
FIRST_SHARES = (0.3, 0.1, 0.5, 0.05)
FAR = 12.0
KIND_HEAT = 0.6
TIME_PASSES, NOTHING = 300, 1e-3
QUIET = 4.0
"""So many times as long as a report takes there is none."""


class Loads(NamedTuple):
    """What a pass adds up at both ends of every level: seconds, KV tokens, places and Σ g; rounds by group."""

    seconds: FloatArray
    kv: FloatArray
    places: FloatArray
    load: FloatArray
    alone: FloatArray


class Start(NamedTuple):
    """Where ψ of a kind begins: moments of its clock, ψ there, and how fast it falls, weight a second; shape (m,)."""

    moments: FloatArray
    second: FloatArray
    slope: FloatArray


def by_machine_time(problem: ClockRelaxation) -> list[Start]:
    """What waits if each kind runs the same part of each request a worker, in the order of weight over machine time."""
    speed = np.array([kind.workers / float(kind.machine_s.mean()) for kind in problem.kinds])
    starts = []
    for kind, part in zip(problem.kinds, (speed / speed.sum()).tolist(), strict=True):
        density = kind.weight / kind.machine_s
        order, each = np.argsort(-density, kind="stable"), part / kind.workers
        done = np.append(0.0, np.cumsum(kind.weight[order]))
        moments = each * np.append(0.0, np.cumsum(kind.machine_s[order]))
        starts.append(Start(moments, each * (done[-1] - done), density[np.append(order[0], order)]))
    return starts


def by_worker_time(instance: Instance, budget: Budget) -> list[Start]:
    """The prices of time by `relaxations.worker_time`, which place requests on unlike workers; none found: empty."""
    found: list[Prices] = []
    worker_time.ascend(WorkerTime(instance), budget, found.append, TIME_PASSES)
    starts = []
    for value, slope in zip(*pieces(found[-1])[1:], strict=True) if found else []:
        last = 1 + int(np.count_nonzero(value > NOTHING * value[0]))
        floor = value[0] / found[-1].cuts[last - 1] * NOTHING
        starts.append(Start(found[-1].cuts[:last], value[:last], np.maximum(slope[:last], floor)))
    return starts


class _State:
    """Of one kind: ψ at cuts, z but for its size, and shares of a ψ: kv, slots, load, z, then one for each group."""

    def __init__(self, kind: Kind, sample: Sample, levels: int, start: Start) -> None:
        self.kind = kind
        self.rows, self.at = sample.rows(kind)
        alone_s = float((kind.decode.base_s * kind.d + kind.machine_s).max())
        self.horizon_s = LONGER * float(start.moments[-1]) + alone_s
        self._cut(levels)
        self.second = np.interp(self.cuts, start.moments, start.second, right=0.0)
        self.slope = np.interp(self.cuts, start.moments, start.slope)
        self.gain, self.direction = np.ones(levels + 1), np.zeros(levels + 1)
        self.group = longest_alone(kind)
        self.count = np.bincount(self.group).astype(np.float64)
        self.shares = np.full((len(FIRST_SHARES) + len(self.count), levels), 1e-3)
        self.shares[: len(FIRST_SHARES)] = np.array(FIRST_SHARES)[:, None]
        self.shares /= self.shares.sum(axis=0)
        self.class_of = class_of_group(kind, self.group)
        rounds = np.bincount(kind.neighbours.of, kind.d) / kind.d.sum()
        self.beside = np.repeat(rounds[:, None], levels, axis=1)
        self.columns = Columns.of(kind, self.group).take(self.rows)
        self.constant_s = kind.constant_s[self.rows]
        self.loads = self._no_loads()

    def _cut(self, levels: int) -> None:
        self.cuts = self.horizon_s * np.linspace(0.0, 1.0, levels + 1) ** BEND
        self.length = np.zeros(levels + 1)
        self.length[:-1] += np.diff(self.cuts) / 2
        self.length[1:] += np.diff(self.cuts) / 2

    def _no_loads(self) -> Loads:
        ends = 2 * (len(self.cuts) - 1)
        seconds, kv, places, load = np.zeros((4, ends))
        return Loads(seconds, kv, places, load, np.zeros((len(self.count), ends)))

    def refine(self) -> None:
        """Twice as many levels, with the same prices."""
        cuts, second, slope, gain = self.cuts, self.second, self.slope, self.gain
        self._cut(2 * (len(cuts) - 1))
        self.second, self.slope = np.interp(self.cuts, cuts, second), np.interp(self.cuts, cuts, slope)
        self.gain, self.direction = np.interp(self.cuts, cuts, gain), np.zeros(len(self.cuts))
        self.shares, self.beside = np.repeat(self.shares, 2, axis=1), np.repeat(self.beside, 2, axis=1)
        self.loads = self._no_loads()

    def prices(self) -> ClockPrices:
        """The prices that the shares stand for."""
        kind = self.kind
        part = np.repeat(self.shares, 2, axis=1) * (kind.decode.base_s * at_ends(self.second))
        beside = np.repeat(self.beside, 2, axis=1)
        beside = beside * np.sqrt(2 * _ratio(part[3], form(kind, beside)))
        kv, slot, load = part[0] / kind.limits.kv, part[1] / kind.limits.slots, np.sqrt(2 * part[2])
        alone = part[len(FIRST_SHARES) :] / self.count[:, None]
        return ClockPrices(self.cuts, self.second, kv, slot, load, beside, alone, self.group)

    def change(self, prices: ClockPrices, clock_step: float, step: float) -> None:
        """One step of ψ, of so many seconds for a logarithm of 1, and of the shares."""
        kind, loads = self.kind, self.loads
        places = np.zeros_like(prices.beside)
        np.add.at(places, self.class_of, loads.alone)
        near = np.sum(places * (kind.neighbours.kernel @ prices.beside), axis=0)
        ends = np.concatenate(
            (
                [loads.kv / kind.limits.kv, loads.places / kind.limits.slots],
                [_ratio(loads.load, prices.load), _ratio(near, form(kind, prices.beside))],
                loads.alone / self.count[:, None],
            )
        )
        busy = loads.seconds + kind.decode.base_s * np.sum(np.repeat(self.shares, 2, axis=1) * ends, axis=0)
        at_cuts = (np.pad(busy[1::2], (1, 0)) + np.pad(busy[::2], (0, 1))) / kind.workers
        excess = np.clip(np.log(np.maximum(at_cuts, 1e-9 * self.length) / self.length), -1.0, 1.0)
        turned = np.sign(excess) * self.direction < 0
        self.gain = np.clip(self.gain * np.where(turned, *GAINS), *GAIN_LIMITS)
        self.direction = np.sign(excess)
        self.second = np.maximum(0.0, self.second + clock_step * self.gain * self.slope * excess)
        self.second[-1] = 0.0
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


def ascend(
    problem: ClockRelaxation,
    budget: Budget,
    most_passes: int | None = None,
    report: Callable[[list[ClockPrices]], None] | None = None,
    starts: Sequence[Start] = (),
) -> list[ClockPrices]:
    """The best prices, of each kind, of at most `most_passes` passes, fewer where they no longer help.

    Parameters
    ----------
    problem : ClockRelaxation
    budget : Budget
        Looked at after every pass; the first is always made.
    most_passes : int, optional
        Default: `MOST_PASSES`, fewer for few requests.
    report : callable, optional
        Takes the best prices so far, now and then.
    starts : sequence of Start
        Of each kind; default: `by_machine_time`.
    """
    passes = most_passes or min(MOST_PASSES, FEWEST_PASSES + PASSES_OF_REQUEST * problem.n)
    sample = Sample.of(problem)
    columns = sum(len(sample.rows(kind)[0]) for kind in problem.kinds)
    levels = int(np.clip(ENTRIES // columns, LEAST_LEVELS, MOST_LEVELS))
    starts = starts or by_machine_time(problem)
    coarse = levels >> len(REFINED_AFTER)
    states = [_State(kind, sample, coarse, start) for kind, start in zip(problem.kinds, starts, strict=True)]
    horizon_s = max(state.horizon_s for state in states)
    best: list[ClockPrices] = []
    most, told, mark, since, since_s, quiet_s = -np.inf, -np.inf, -np.inf, 0, 0.0, 0.0
    for done in range(passes):
        if done in REFINED_AFTER:
            since, since_s = done, budget.elapsed
            for state in states:
                state.refine()
        temperature = horizon_s * fallen(TEMPERATURES, done)
        prices = [state.prices() for state in states]
        value = _pass(problem, sample, states, prices, temperature)
        if not best or value > mark + LEAST_GAIN * abs(mark):
            mark, since, since_s = value, done, budget.elapsed
        if value > most or not best:
            best, most = prices, value
        if report is not None and most > told and done % 50 == 49 and budget.elapsed >= quiet_s:
            began_s, told = budget.elapsed, most
            report(best)
            quiet_s = budget.elapsed + QUIET * (budget.elapsed - began_s)
        late = budget.elapsed - since_s > max(PATIENT_S, PATIENT_SHARE * budget.seconds)
        if budget.spent() or done - since > PATIENCE or late:
            break
        for state, of_kind in zip(states, prices, strict=True):
            state.change(of_kind, CLOCK_STEP * temperature, fallen(SHARE_STEPS, done))
    return best


def _pass(
    problem: ClockRelaxation, sample: Sample, states: list[_State], prices: list[ClockPrices], temperature: float
) -> float:
    """Fill the loads of every kind at its prices; the value of the prices, about."""
    made = [lines(state.kind, of_kind) for state, of_kind in zip(states, prices, strict=True)]
    paid = sum(paid_for_seconds(state.kind, of_kind) for state, of_kind in zip(states, prices, strict=True))
    if len(states) == 1:
        cost = _spread(states[0].columns, made[0], temperature, sample.copies, states[0].loads)
        return float(sample.copies @ (cost + states[0].constant_s)) - paid
    costs = np.full((len(states), len(sample.places)), np.inf)
    for of_kind, state, line in zip(costs, states, made, strict=True):
        of_kind[state.at] = state.constant_s + least_costs(state.columns, line, ROUGH_POINTS)[0]
    least = costs.min(axis=0)
    above = (costs - least) / (KIND_HEAT * temperature * problem.weight[sample.places])
    part = np.where(above < FAR, np.exp(-np.minimum(above, FAR)), 0.0)
    part *= sample.copies / part.sum(axis=0)
    for members, state, line in zip(part, states, made, strict=True):
        _spread(state.columns, line, temperature, members[state.at], state.loads)
    return float(sample.copies @ least) - paid


@njit(cache=True)  # type: ignore[untyped-decorator, unused-ignore]
def _spread(columns, lines, temperature, members, loads):  # type: ignore[no-untyped-def]
    """Fill `loads` with these parts of the requests and return the sum of the least prices of each that has any."""
    p, d, worth, round_s, load, group, kv_s = columns
    cuts, second, slot, of_kv, of_load, by_group = lines
    for total in loads[:4]:
        total[:] = 0.0
    loads.alone[:] = 0.0
    rounds, weights, least = np.empty(ROUGH_POINTS), np.empty(ROUGH_POINTS), np.empty(ROUGH_POINTS)
    cost, value = np.empty((ROUGH_POINTS, len(cuts))), np.zeros(len(p))
    for i in range(len(p)):
        if members[i] <= 0.0:
            continue
        count = sample_rounds(d[i], rounds, weights)
        least[:] = np.inf
        for e in range(len(cuts)):
            at = slot[e] + by_group[group[i], e] + of_load[e] * load[i] + worth[i] * cuts[e] + second[e] * round_s[i]
            per_kv = of_kv[e] + second[e] * kv_s
            for j in range(count):
                cost[j, e] = at + per_kv * (p[i] + rounds[j])
                least[j] = min(least[j], cost[j, e])
        for j in range(count):
            value[i] += weights[j] * least[j]
            held = p[i] + rounds[j]
            _share_out(cost[j], least[j], worth[i] * temperature)
            for e in range(len(cuts)):
                if cost[j, e] > 0.0:
                    part = cost[j, e] * weights[j] * members[i]
                    loads.seconds[e] += part * (round_s[i] + kv_s * held)
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
