"""Scenarios, and what a rule does in each of them: sample averages with common random numbers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from llmsched_mip.length_distribution import LengthDistribution
from llmsched_mip.methods.stochastic.kernel import EVICTIONS, VALUE, Fleet, Rule, execute
from llmsched_mip.timing import FloatArray, IntArray

MOST_KEPT = 16_000_000
"""Lengths that are kept in memory; of more, each scenario is drawn again when it is needed."""
CHOICE, LIMIT, FRESH = 0, 1, 2
"""Streams of random numbers: scenarios that a plan is chosen by, that the KV margin is set by, and fresh ones."""


class Scenarios:
    """Draws of all lengths, the same whenever they are asked for.

    Parameters
    ----------
    distribution : LengthDistribution
    seed, stream : int
    count : int
    """

    def __init__(self, distribution: LengthDistribution, seed: int, stream: int, count: int):
        self.distribution, self.seed, self.stream, self.count = distribution, seed, stream, count
        self._kept: dict[int, IntArray] | None = {} if count * distribution.n <= MOST_KEPT else None

    def __len__(self) -> int:
        return self.count

    def row(self, scenario: int) -> IntArray:
        """Lengths of a scenario, shape (n,), tokens."""
        if self._kept is not None and scenario in self._kept:
            return self._kept[scenario]
        seeds = np.random.SeedSequence(self.seed, spawn_key=(self.stream, scenario))
        lengths: IntArray = self.distribution.sample(np.random.default_rng(seeds), 1)[0]
        if self._kept is not None:
            self._kept[scenario] = lengths
        return lengths


class Values(NamedTuple):
    """Value and evictions in each scenario, shape (S,)."""

    value: FloatArray
    evictions: FloatArray

    @property
    def mean(self) -> float:
        """Mean value."""
        return float(self.value.mean())

    @property
    def overflow_share(self) -> float:
        """Share of the scenarios in which the KV cache overflowed."""
        return float((self.evictions > 0).mean())


class Trials:
    """Executes rules on scenarios, several at a time.

    Parameters
    ----------
    fleet : Fleet
    threads : int
    """

    def __init__(self, fleet: Fleet, threads: int = 1):
        self.fleet, self.threads = fleet, max(1, threads)
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None

    def run(self, rule: Rule, scenarios: Scenarios, first: int = 0, last: int | None = None) -> Values:
        """Values of a rule in the scenarios from `first` on, before `last`."""
        numbers = np.arange(first, len(scenarios) if last is None else min(last, len(scenarios)))
        place = np.empty(len(rule.order), dtype=np.int64)
        place[rule.order] = np.arange(len(rule.order))

        def part(chosen: IntArray) -> list[FloatArray]:
            return [execute(self.fleet, rule, scenarios.row(int(s)), place) for s in chosen]

        if self._pool is None or len(numbers) < 2 * self.threads:
            found = part(numbers)
        else:
            parts = np.array_split(numbers, self.threads)
            found = [totals for done in self._pool.map(part, parts) for totals in done]
        totals = np.array(found).reshape(-1, 2)
        return Values(totals[:, VALUE], totals[:, EVICTIONS])

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def half_width(values: FloatArray, confidence: float = 0.95) -> float:
    """Half the width of the confidence interval of a mean (Student); 0 for a single value."""
    if len(values) < 2:
        return 0.0
    return float(stdtrit(len(values) - 1, 0.5 + confidence / 2) * values.std(ddof=1) / np.sqrt(len(values)))


def lower_limit(values: FloatArray, confidence: float = 0.95) -> float:
    """A mean less its one-sided error."""
    return float(values.mean()) - half_width(values, 2 * confidence - 1)
