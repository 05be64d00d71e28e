"""What those who do not see the lengths cannot go below on average: no bound of a plan, and not in `BOUNDS`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from llmsched_mip.bounds import best, compute
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import MAX_TOKENS, Instance
from llmsched_mip.relaxations.hidden_lengths.start_order import makespans_over_orders
from llmsched_mip.relaxations.hidden_lengths.start_times import total_completion_of_starts
from llmsched_mip.relaxations.hidden_lengths.work_times import total_completion_of_work
from llmsched_mip.texts import seconds_text
from llmsched_mip.timing import FloatArray, IntArray

DRAWS = 200
PLACES = 64
QUICK = ("area", "longest", "kv_volume")
"""What is computed where the lengths of a draw are known."""
FEWER = 16
"""Draws at most for total completion, where one takes longer."""
MOST_LENGTHS = 1000
ANY_ORDER = "the lengths of the instance, dealt to its requests by a random permutation"
ANY_LENGTH = "independent lengths, each drawn from those of the instance"
IN_THE_INTERVAL = "independent lengths, each drawn from those of the instance that lie in its prediction interval"


@dataclass(frozen=True, slots=True)
class HiddenBound:
    """A lower bound on the mean objective of every policy that does not see the lengths and never evicts.

    Parameters
    ----------
    value : float
        Seconds; weighted seconds for total completion.
    error : float
        Standard error of the mean over the draws, seconds; 0 where it was computed without drawing.
    draws : int
        How many; 0 where it was computed without drawing.
    model : str
        Of what lengths the mean is.
    """

    value: float
    error: float
    draws: int
    model: str

    def __repr__(self) -> str:
        return f"HiddenBound({seconds_text(self.value)} s)"


def hidden_bound(instance: Instance, lengths: str, *, draws: int = DRAWS, seed: int = 0) -> HiddenBound:
    """Bound the mean objective of every policy that sees intervals, or nothing, of the lengths, and never evicts.

    Makespan with nothing known: `relaxations.hidden_lengths.start_order`.  Total completion: the largest of
    `relaxations.hidden_lengths.start_times`, `work_times` and the mean over drawn lengths of what is proven when they
    are known.
    Makespan with intervals: that mean.  Under mixed semantics it bounds exclusive execution.

    Parameters
    ----------
    instance : Instance
    lengths : str
        ``interval`` or ``unknown``.
    draws : int
        Random orders or lengths, for the makespan.
    seed : int

    Raises
    ------
    InvalidInputError
        Another word, intervals that the instance does not have, or no draw.
    """
    if lengths not in ("interval", "unknown"):
        raise InvalidInputError("lengths", f"expected interval or unknown, got {lengths!r}")
    if draws < 2:
        raise InvalidInputError("draws", f"expected at least 2, got {draws}")
    if lengths == "interval" and instance.requests.decode_lower is None:
        raise InvalidInputError("requests.decode_lower", "lengths 'interval' needs decode_lower and decode_upper")
    rng, model = np.random.default_rng(seed), IN_THE_INTERVAL
    if lengths == "unknown" and instance.objective == "makespan":
        return _mean(makespans_over_orders(instance, draws, rng), ANY_ORDER)
    if lengths == "unknown":
        table, model = _quantiles(instance), ANY_LENGTH
    else:
        table = _places(instance)
    if instance.objective == "makespan":
        return _seeing(instance, table, draws, rng, model)
    blind = max(total_completion_of_starts(instance, table), total_completion_of_work(instance, table))
    return max(
        HiddenBound(blind, 0.0, 0, model),
        _seeing(instance, table, min(draws, FEWER), rng, model),
        key=lambda bound: bound.value,
    )


def _seeing(instance: Instance, table: IntArray, draws: int, rng: np.random.Generator, model: str) -> HiddenBound:
    """The mean of what is proven of those who see the lengths."""
    return _mean(np.array([_proven(instance, _drawn(instance, table, rng)) for _ in range(draws)]), model)


def _mean(values: FloatArray, model: str) -> HiddenBound:
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return HiddenBound(float(values.mean()), error, len(values), model)


def _quantiles(instance: Instance) -> IntArray:
    """Lengths of the instance; of more than 1,000 so many of their quantiles.  Shape (at most 1,000,)."""
    lengths = np.sort(instance.requests.decode_tokens)
    if len(lengths) <= MOST_LENGTHS:
        return lengths
    return lengths[((np.arange(MOST_LENGTHS) + 0.5) / MOST_LENGTHS * len(lengths)).astype(np.int64)]


def _places(instance: Instance) -> IntArray:
    """Equally likely lengths of each request, shape (n, 64): quantiles of the instance's lengths in its interval."""
    r, lengths = instance.requests, np.sort(instance.requests.decode_tokens)
    assert r.decode_lower is not None and r.decode_upper is not None
    first = np.searchsorted(lengths, r.decode_lower, side="left")[:, None]
    beyond = np.searchsorted(lengths, r.decode_upper, side="right")[:, None]
    middle = (np.arange(PLACES) + 0.5) / PLACES
    inside = lengths[np.minimum(first + (middle * (beyond - first)).astype(np.int64), len(lengths) - 1)]
    lower, upper = (ends.astype(np.float64)[:, None] for ends in (r.decode_lower, r.decode_upper))
    anywhere = np.clip(np.rint(lower * (upper / lower) ** middle), lower, upper).astype(np.int64)
    return np.where(beyond > first, inside, anywhere)


def _drawn(instance: Instance, table: IntArray, rng: np.random.Generator) -> IntArray:
    """A length of each request, shape (n,)."""
    place = rng.integers(0, table.shape[-1], instance.n)
    return table[place] if table.ndim == 1 else np.take_along_axis(table, place[:, None], axis=1)[:, 0]


def _proven(instance: Instance, lengths: IntArray) -> float:
    """What is quickly proven of the objective with these lengths, cut to what the largest KV cache holds."""
    r = instance.requests
    most = max(worker.most_kv(MAX_TOKENS) for worker in instance.workers)
    lengths = np.maximum(1, np.minimum(lengths, most - r.prefill_tokens))
    drawn = instance.with_requests(replace(r, decode_tokens=lengths))
    return best(compute(drawn, names=QUICK)).value
