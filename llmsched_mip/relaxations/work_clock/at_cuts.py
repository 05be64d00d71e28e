"""The relaxation at the cuts of a clock: prices there, and the columns and rows of a linear program."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from llmsched_mip.relaxations.work_clock.prices import ClockPrices, Columns, class_of_group, feasible, sample_rounds
from llmsched_mip.relaxations.work_clock.relaxation import Kind
from llmsched_mip.timing import FloatArray, IntArray

STEPS = np.array([0.4, 0.6, 0.75, 0.85, 0.92, 1.0, 1.08, 1.18, 1.35, 1.7, 2.5])
"""Tangents, in parts of the price that there was."""
LEAST_STEP = 0.05
DEARER, DEAR = 1.5, 0.02
"""What seconds cost that a clock does not have: in parts of ψ, and of its most."""


class AtCuts(NamedTuple):
    """Prices at all cuts but the last, in the letters of `prices`: shape (..., L)."""

    second: FloatArray
    kv: FloatArray
    slot: FloatArray
    load: FloatArray
    beside: FloatArray
    alone: FloatArray

    @classmethod
    def of(cls, prices: ClockPrices, cuts: FloatArray) -> AtCuts:
        """Means of both sides of each cut of the prices, taken to other cuts."""
        moments = prices.cuts[:-1]

        def at(values: FloatArray) -> FloatArray:
            if values.ndim > 1:
                return np.array([at(row) for row in values]).reshape(len(values), len(cuts) - 1)
            return np.interp(cuts[:-1], moments, (values[::2] + np.append(values[:1], values[1:-1:2])) / 2)

        second = np.interp(cuts[:-1], prices.cuts, prices.second)
        return cls(second, *(at(values) for values in prices[2:7]))

    def prices(self, cuts: FloatArray, group: IntArray) -> ClockPrices:
        """The same at both ends of every level, 0 at the last cut."""

        def at_ends(at_cuts: FloatArray) -> FloatArray:
            last = np.zeros((*at_cuts.shape[:-1], 1))
            return np.repeat(np.concatenate((at_cuts, last), axis=-1), 2, axis=-1)[..., 1:-1]

        kv, slot, load, beside, alone = (at_ends(values) for values in self[1:])
        return ClockPrices(cuts, np.append(self.second, 0.0), kv, slot, load, beside, alone, group)


class Clock:
    """One kind of worker at some of its cuts: what a round of each request needs, and which columns there are.

    Parameters
    ----------
    kind : Kind
    prices : ClockPrices
        Where the tangents are.
    levels : int
    looks : int
        In so many rounds of each request there are columns: in the one in the middle, or from the first to the last.
    """

    def __init__(self, kind: Kind, prices: ClockPrices, levels: int, looks: int) -> None:
        self.kind, self.group = kind, prices.group
        self.cuts = np.interp(np.linspace(0, 1, levels + 1), np.linspace(0, 1, len(prices.cuts)), prices.cuts)
        self.at = AtCuts.of(feasible(kind, prices), self.cuts)
        self.columns = Columns.of(kind, self.group)
        self.class_of = class_of_group(kind, self.group)
        self.held, self.times = _looks(self.columns, looks)
        self.chosen = np.zeros((len(kind.d), levels), dtype=bool)
        self.loads = STEPS[:, None] * np.maximum(self.at.load, LEAST_STEP * self.at.load.max())

    @property
    def length(self) -> FloatArray:
        """Seconds around each cut but the last, shape (L,)."""
        each = np.diff(self.cuts) / 2
        return np.asarray(each + np.append(0.0, each[:-1]))

    @property
    def size(self) -> int:
        """How many columns are chosen."""
        return len(self.held) * int(self.chosen.sum())

    def cost(self, at: AtCuts) -> tuple[FloatArray, FloatArray]:
        """Price of a round of each request without KV, shape (m, L), and of a KV token, shape (L,)."""
        columns, kind = self.columns, self.kind
        by_group = at.alone + (kind.neighbours.kernel @ at.beside)[self.class_of]
        cost = by_group[self.group] + at.slot + np.outer(columns.worth, self.cuts[:-1])
        cost += np.outer(columns.round_s, at.second) + np.outer(columns.load, at.load)
        return cost, at.kv + at.second * columns.kv_s

    def needs(self) -> FloatArray:
        """Price of all rounds of each request if they are at one cut: shape (m, L)."""
        cost, per_kv = self.cost(self.at)
        held = np.sum(self.held * self.times, axis=0)
        return np.asarray(self.kind.constant_s[:, None] + cost * self.columns.d[:, None] + np.outer(held, per_kv))


def _looks(columns: Columns, looks: int) -> tuple[FloatArray, FloatArray]:
    """KV tokens in the rounds that are looked at, and how many rounds each stands for: shape (looks, m)."""
    held, times = np.zeros((2, looks, len(columns.d)))
    if looks == 1:
        return columns.p[None, :] + (columns.d + 1) / 2, columns.d[None, :].copy()
    for i, d in enumerate(columns.d.tolist()):
        rounds, weights = np.zeros((2, looks))
        sample_rounds(d, rounds, weights)
        held[:, i], times[:, i] = columns.p[i] + rounds, weights
    return held, times


class Rows:
    """Rows of a program as they are added: entries, and limits."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, Any, Any]] = []
        self.low: list[FloatArray] = []
        self.high: list[FloatArray] = []
        self.count = 0

    def add(self, low: float, high: Any, many: int, *entries: tuple[Any, Any, Any]) -> slice:
        """So many rows: entries (row among them, column, value)."""
        for row, column, value in entries:
            row, column, value = np.broadcast_arrays(row, column, value)
            self.entries.append((row.ravel() + self.count, column.ravel(), value.ravel()))
        self.low.append(np.full(many, low))
        self.high.append(np.broadcast_to(np.asarray(high, dtype=np.float64), (many,)))
        self.count += many
        return slice(self.count - many, self.count)

    def matrix(self, columns: int) -> Any:
        """The entries, of so many columns."""
        row, column, value = (np.concatenate([entry[k] for entry in self.entries]) for k in range(3))
        return sparse.csc_array((value, (row, column)), shape=(self.count, columns))


class Block:
    """One clock in a program: its columns from `start` on, its requests placed by the columns `placed`.

    Columns: ρ of what is chosen, then at each cut n, Q, W, Σ g ρ, Σ z V y, and seconds that the clock does not have.
    """

    def __init__(self, clock: Clock, rows: Rows, start: int, placed: IntArray) -> None:
        self.clock, self.rows, self.placed = clock, rows, placed
        self.request, self.cut = np.nonzero(clock.chosen)
        looks, levels = len(clock.held), len(clock.cuts) - 1
        self.every = np.arange(levels)
        self.rho = start + np.arange(looks * len(self.request)).reshape(looks, -1)
        at_cuts = start + self.rho.size + np.arange(6 * levels).reshape(6, -1)
        self.rounds, self.square, self.form, self.load, self.near, self.over = at_cuts
        self.end = start + self.rho.size + at_cuts.size
        self.cover = self._cover()
        self.seconds, self.kv, self.slots = self._limits()
        self.groups, self.alone = self._alone()
        self.loads = self._loads()
        self.beside = self._beside()

    @property
    def costs(self) -> FloatArray:
        """Of its columns."""
        clock, none = self.clock, np.zeros(len(self.every))
        moments = clock.columns.worth[self.request] * clock.cuts[self.cut]
        over = DEARER * clock.at.second + DEAR * clock.at.second.max()
        return np.concatenate((np.tile(moments, len(clock.held)), none, none + 0.5, none + 0.5, none, none, over))

    def _cover(self) -> slice:
        looks = len(self.clock.columns.d) * np.arange(len(self.clock.held))[:, None]
        requests = looks + np.arange(len(self.clock.columns.d))
        placed = (requests, self.placed[None, :], -self.clock.times)
        return self.rows.add(0.0, 0.0, requests.size, (looks + self.request, self.rho, 1.0), placed)

    def _limits(self) -> tuple[slice, slice, slice]:
        clock, kind, many = self.clock, self.clock.kind, len(self.every)
        held = clock.held[:, self.request]
        took_s = clock.columns.round_s[self.request] + clock.columns.kv_s * held

        def limit(need: Any, high: Any, per_round: float, *more: tuple[Any, Any, Any]) -> slice:
            rounds = (self.every, self.rounds, per_round)
            return self.rows.add(-np.inf, high, many, (self.cut, self.rho, need), rounds, *more)

        seconds = limit(took_s, kind.workers * clock.length, kind.decode.base_s, (self.every, self.over, -1.0))
        return seconds, limit(held, 0.0, -kind.limits.kv), limit(1.0, 0.0, -float(kind.limits.slots))

    def _alone(self) -> tuple[IntArray, slice]:
        levels, count = len(self.every), np.bincount(self.clock.group).astype(np.float64)
        groups, which = np.unique(self.clock.group[self.request] * levels + self.cut, return_inverse=True)
        rounds = (np.arange(len(groups)), self.rounds[groups % levels], -count[groups // levels])
        return groups, self.rows.add(-np.inf, 0.0, len(groups), (which.reshape(-1), self.rho, 1.0), rounds)

    def _loads(self) -> list[slice]:
        entry = (self.cut, self.rho, self.clock.columns.load[self.request])
        self.rows.add(0.0, 0.0, len(self.every), entry, (self.every, self.load, -1.0))
        return [self._tangent(self.square, self.load, h, h * h) for h in self.clock.loads]

    def _beside(self) -> list[slice]:
        near, z = self.clock.kind.neighbours, self.clock.at.beside
        far = near.kernel @ z
        entry = (self.cut, self.rho, far[near.of[self.request], self.cut])
        self.rows.add(0.0, 0.0, len(self.every), entry, (self.every, self.near, -1.0))
        form = np.sum(z * far, axis=0)
        return [self._tangent(self.form, self.near, step, step * step * form) for step in STEPS.tolist()]

    def _tangent(self, square: IntArray, load: IntArray, slope: Any, less: FloatArray) -> slice:
        entries = (self.every, square, 1.0), (self.every, load, -2.0 * slope), (self.every, self.rounds, less)
        return self.rows.add(0.0, np.inf, len(self.every), *entries)

    def prices(self, duals: FloatArray) -> AtCuts:
        """The prices that duals of the rows stand for."""
        clock, most = self.clock, np.maximum(0.0, duals)
        least = np.maximum(0.0, -duals)
        alone = np.zeros_like(clock.at.alone)
        alone.ravel()[self.groups] = least[self.alone]
        load = np.sum([2 * h * most[rows] for h, rows in zip(clock.loads, self.loads, strict=True)], axis=0)
        steps = np.sum([2 * step * most[rows] for step, rows in zip(STEPS, self.beside, strict=True)], axis=0)
        return AtCuts(least[self.seconds], least[self.kv], least[self.slots], load, clock.at.beside * steps, alone)
