"""Decode lengths as distributions: what may be supposed of lengths that are not seen.

Every request has a distribution on 1, 2, ..., up to what the largest worker can hold beside its prompt.  Requests are
taken as independent.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance
from llmsched_mip.requests import MAX_TOKENS
from llmsched_mip.timing import FloatArray, IntArray

PRIOR_MEAN = 256.0
"""Tokens: the mean that is supposed where nothing is known at all."""
TABLE = 512
"""Equally likely lengths that stand for the history of a class."""
LEAST_OF_CLASS, MOST_CLASSES = 50, 16
CLASS_WEIGHT = 50.0
"""A class of prompt lengths with so many requests counts as much as the whole history."""
INTERVAL_WEIGHT = 10.0
"""So many requests of the history inside an interval count as much as the log-uniform length in it."""


class LengthDistribution(ABC):
    """Independent decode lengths of n requests.

    Parameters
    ----------
    most : int array, shape (n,)
        Longest possible lengths, tokens.
    words : str
        What is supposed, for reports.
    """

    def __init__(self, most: IntArray, words: str):
        self.most, self.words = most, words

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.most)

    @abstractmethod
    def _at(self, level: FloatArray) -> FloatArray:
        """Lengths at the levels, shape (n,), before they are rounded and cut; monotone in the level."""

    def quantile(self, level: float | FloatArray) -> IntArray:
        """Lengths that are passed with chance 1 - level: shape (n,), tokens.

        Parameters
        ----------
        level : float or float array of shape (n,)
            From 0 to 1.
        """
        at = self._at(np.broadcast_to(np.asarray(level, dtype=np.float64), (self.n,)))
        lengths: IntArray = np.clip(np.rint(at), 1, self.most).astype(np.int64)
        return lengths

    def sample(self, rng: np.random.Generator, count: int) -> IntArray:
        """Draw lengths: shape (count, n), tokens."""
        return np.array([self.quantile(rng.random(self.n)) for _ in range(count)], dtype=np.int64).reshape(-1, self.n)

    def mean(self) -> FloatArray:
        """Expected lengths, shape (n,), tokens; by 64 equally likely levels."""
        levels = (np.arange(64) + 0.5) / 64
        total = np.zeros(self.n)
        for level in levels:
            total += self.quantile(float(level))
        return total / len(levels)


class LogUniformLengths(LengthDistribution):
    """Between the ends of a prediction interval, uniform on a logarithmic scale.

    Parameters
    ----------
    lower, upper : int arrays, shape (n,)
        Ends, tokens.
    most : int array, shape (n,)
    """

    def __init__(self, lower: IntArray, upper: IntArray, most: IntArray):
        super().__init__(most, "log-uniform in the prediction intervals")
        self.base = np.log(lower)
        self.width = np.log(upper) - self.base

    def _at(self, level: FloatArray) -> FloatArray:
        return np.exp(self.base + self.width * level)


class ExponentialLengths(LengthDistribution):
    """Exponential with one mean for all: the stated prior where nothing is known."""

    def __init__(self, most: IntArray, mean_tokens: float = PRIOR_MEAN):
        super().__init__(most, f"exponential with mean {mean_tokens:g} tokens, a prior")
        self.mean_tokens = mean_tokens

    def _at(self, level: FloatArray) -> FloatArray:
        return -self.mean_tokens * np.log1p(-np.minimum(level, 1.0 - 2.0**-53))


class QuantileLengths(LengthDistribution):
    """Lengths by named quantiles, between them interpolated on a logarithmic scale, beyond them cut.

    Parameters
    ----------
    levels : float array, shape (m,)
        Increasing, from 0 to 1.
    lengths : array, shape (n, m)
        Tokens at these levels, at least 1, not falling along a row.
    most : int array, shape (n,)

    Raises
    ------
    InvalidInputError
    """

    def __init__(self, levels: FloatArray, lengths: FloatArray, most: IntArray):
        super().__init__(most, f"{len(levels)} quantiles")
        self.levels, self.logs = np.asarray(levels, dtype=np.float64), np.log(np.maximum(lengths, 1))
        if self.logs.shape != (len(most), len(self.levels)) or not len(self.levels):
            raise InvalidInputError("lengths", f"expected quantiles of shape ({len(most)}, {len(self.levels)})")
        if np.any(np.diff(self.levels) <= 0) or self.levels[0] < 0 or self.levels[-1] > 1:
            raise InvalidInputError("levels", "expected increasing levels from 0 to 1")
        if np.any(np.diff(self.logs, axis=1) < 0):
            raise InvalidInputError("lengths", "expected quantiles that do not fall with the level")

    def _at(self, level: FloatArray) -> FloatArray:
        rows = np.arange(self.n)
        after = np.clip(np.searchsorted(self.levels, level), 1, max(1, len(self.levels) - 1))
        after = np.minimum(after, len(self.levels) - 1)
        before = np.maximum(after - 1, 0)
        span = np.maximum(self.levels[after] - self.levels[before], 1e-300)
        share = np.clip((level - self.levels[before]) / span, 0.0, 1.0)
        return np.exp((1 - share) * self.logs[rows, before] + share * self.logs[rows, after])


class HistoryLengths(LengthDistribution):
    """The lengths of a history, by classes of prompt length that are shrunk towards the whole.

    Each class is a table of equally likely lengths.  With prediction intervals the part of the table that lies in the
    interval counts, mixed with a log-uniform length in it by how much of the history that part is.

    Parameters
    ----------
    history : Instance
    prompts, most : int arrays, shape (n,)
    interval : LogUniformLengths, optional
    """

    def __init__(self, history: Instance, prompts: IntArray, most: IntArray, interval: LogUniformLengths | None = None):
        ends, self.table = _classes(history)
        words = f"lengths of {history.name} by {len(self.table)} classes of prompt length"
        super().__init__(most, words if interval is None else words + ", inside the prediction intervals")
        self.row = np.searchsorted(ends, prompts, side="left")
        self.interval = interval
        self.first = np.zeros(self.n, dtype=np.int64)
        self.last = np.full(self.n, TABLE, dtype=np.int64)
        self.history_weight = np.ones(self.n)
        if interval is not None:
            low, high = interval.quantile(0.0), interval.quantile(1.0)
            keys = (self.table + np.arange(len(self.table))[:, None] * (MAX_TOKENS + 1)).ravel()
            offset = self.row * (MAX_TOKENS + 1)
            self.first = np.searchsorted(keys, offset + low, side="left") - self.row * TABLE
            self.last = np.searchsorted(keys, offset + high, side="right") - self.row * TABLE
            inside = (self.last - self.first) / TABLE * history.n
            self.history_weight = np.where(inside > 0, inside / (inside + INTERVAL_WEIGHT), 0.0)

    def _history_at(self, level: FloatArray) -> FloatArray:
        count = self.last - self.first
        place = np.minimum((level * count).astype(np.int64), np.maximum(count - 1, 0))
        at: FloatArray = self.table[self.row, np.minimum(self.first + place, TABLE - 1)].astype(np.float64)
        return at

    def sample(self, rng: np.random.Generator, count: int) -> IntArray:
        """As `LengthDistribution.sample`: the part of the mixture is drawn first."""
        if self.interval is None:
            return super().sample(rng, count)
        drawn = np.empty((count, self.n), dtype=np.int64)
        for row in drawn:
            from_history, level = rng.random(self.n) < self.history_weight, rng.random(self.n)
            at = np.where(from_history, self._history_at(level), self.interval.quantile(level))
            row[:] = np.clip(np.rint(at), 1, self.most)
        return drawn

    def _at(self, level: FloatArray) -> FloatArray:
        """By bisection on the distribution function of the mixture."""
        if self.interval is None:
            return self._history_at(level)
        low, high = self.interval.quantile(0.0), self.interval.quantile(1.0)
        while np.any(low < high):
            middle = (low + high) // 2
            reached = self._reached(middle) >= level
            high, low = np.where(reached, middle, high), np.where(reached, low, np.minimum(middle + 1, high))
        return low.astype(np.float64)

    def _reached(self, length: IntArray) -> FloatArray:
        """Chance of at most these lengths, shape (n,)."""
        assert self.interval is not None
        keys = (self.table + np.arange(len(self.table))[:, None] * (MAX_TOKENS + 1)).ravel()
        until = np.searchsorted(keys, self.row * (MAX_TOKENS + 1) + length, side="right") - self.row * TABLE
        count = np.maximum(self.last - self.first, 1)
        table = np.clip((until - self.first) / count, 0.0, 1.0)
        width = np.maximum(self.interval.width, 1e-12)
        smooth = np.clip((np.log(length + 0.5) - self.interval.base) / width, 0.0, 1.0)
        smooth = np.where(length >= self.interval.quantile(1.0), 1.0, smooth)
        reached: FloatArray = self.history_weight * table + (1.0 - self.history_weight) * smooth
        return reached


def _classes(history: Instance) -> tuple[IntArray, IntArray]:
    """Longest prompt of each class but the last, and the table of each, shape (classes, `TABLE`), ascending."""
    prompts, lengths = history.requests.prefill_tokens, history.requests.decode_tokens
    count = int(np.clip(history.n // LEAST_OF_CLASS, 1, MOST_CLASSES))
    ends = np.unique(np.quantile(prompts, np.arange(1, count) / count).astype(np.int64))
    ends = ends[ends < prompts.max()]
    row = np.searchsorted(ends, prompts, side="left")
    order = np.argsort(lengths, kind="stable")
    levels, tables = (np.arange(TABLE) + 0.5) / TABLE, []
    for k in range(len(ends) + 1):
        here = row[order] == k
        share = here.sum() / (here.sum() + CLASS_WEIGHT)
        weight = (1.0 - share) / history.n + np.where(here, share / max(1, here.sum()), 0.0)
        reached = np.cumsum(weight)
        at = np.minimum(np.searchsorted(reached, levels * reached[-1]), history.n - 1)
        tables.append(lengths[order][at])
    return ends, np.array(tables, dtype=np.int64)


def length_distribution(instance: Instance, visible: str, history: Instance | None = None) -> LengthDistribution:
    """What is supposed of the lengths of an instance, by what may be seen of them.

    Parameters
    ----------
    instance : Instance
        Its lengths themselves are not looked at.
    visible : str
        ``interval`` or ``unknown``.
    history : Instance, optional
        Requests whose lengths are known, e.g. of the day before.

    Raises
    ------
    InvalidInputError
        Another word, or intervals that the instance does not have.
    """
    requests = instance.requests
    prompts = requests.prefill_tokens
    rooms = [MAX_TOKENS if worker.kv_capacity is None else worker.kv_capacity for worker in instance.workers]
    most: IntArray = np.clip(max(rooms) - prompts, 1, MAX_TOKENS)
    interval = None
    if visible == "interval":
        if requests.decode_lower is None or requests.decode_upper is None:
            raise InvalidInputError(
                "requests.decode_lower", "lengths 'interval' needs decode_lower and decode_upper in the instance"
            )
        interval = LogUniformLengths(requests.decode_lower, requests.decode_upper, most)
    elif visible != "unknown":
        raise InvalidInputError("lengths", f"expected interval or unknown, got {visible!r}")
    if history is not None:
        return HistoryLengths(history, prompts, most, interval)
    return ExponentialLengths(most) if interval is None else interval
