"""Unit-round backlogs made to be bad for one policy: where competitive ratios come from.

Every family is a function of its size alone.  The ratios in the docstrings are of the total completion of the policy
to that of a plan in the docstring, and follow by counting; `scripts/reproduce_ratios` measures them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isqrt

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance, Requests
from llmsched_mip.timing import IntArray
from llmsched_mip.workload.deployments import deployment
from llmsched_mip.workload.family import request_ids

SOURCE = "By construction: `llmsched_mip.workload.adversarial.{}`; nothing is drawn at random."
OVERESTIMATED_BATCHES = 8


def whales(capacity: int) -> Instance:
    """√M requests of M - 1 prompt tokens and 1 round, M requests of 1 prompt token and 2 rounds: bad for
    `shortest-first`.

    Shortest first runs the large ones one by one, √M rounds in which M others wait: M^1.5 and more.  With the small
    ones first, M / 3 at a time, the large ones wait for 6 rounds: 4.5 M and a little more.  The ratio grows as
    √M / 4.5.

    Parameters
    ----------
    capacity : int
        M, a square, at least 4.
    """
    root = isqrt(capacity)
    _require(root * root == capacity and root >= 2, "capacity", "a square of at least 4", capacity)
    large, small = np.full(root, capacity - 1), np.ones(capacity, dtype=np.int64)
    return _unit_rounds(
        f"whales-{capacity}",
        whales,
        np.concatenate((large, small)),
        np.concatenate((np.ones(root, dtype=np.int64), 2 * small)),
        capacity,
    )


def blocked(capacity: int) -> Instance:
    """A request of M - 1 rounds, one that needs all M tokens for a round, then M / 2 of 1 + 1 tokens: bad for `fcfs`.

    First come, first served runs the first alone, M - 1 rounds, then the second; the others wait for M rounds: M² / 2
    and more.  With them first, all in one round, the total is at most M / 2 + 2 M + 2.  The ratio grows as M / 5.

    Parameters
    ----------
    capacity : int
        M, even, at least 4.
    """
    _require(capacity % 2 == 0 and capacity >= 4, "capacity", "an even number of at least 4", capacity)
    small = np.ones(capacity // 2, dtype=np.int64)
    return _unit_rounds(
        f"blocked-{capacity}",
        blocked,
        np.concatenate(([1, capacity - 1], small)),
        np.concatenate(([capacity - 1, 1], small)),
        capacity,
    )


def overestimated(ratio: int) -> Instance:
    """Requests of 1 + 1 tokens that could, by their prediction, need `ratio` rounds: bad for `a-max`.

    l = 1, u = `ratio` = 1 / α, M = 2 (1 + `ratio`), and 8 M / 2 requests.  A_max starts 2 in a round, all others M / 2:
    by counting, (1 + 8 M / 4) / (1 + 8) times the total, which is (4 `ratio` + 5) / 9 and grows as 1 / α.

    Parameters
    ----------
    ratio : int
        1 / α, at least 1.
    """
    _require(ratio >= 1, "ratio", "an integer ≥ 1", ratio)
    capacity = 2 * (1 + ratio)
    one = np.ones(OVERESTIMATED_BATCHES * capacity // 2, dtype=np.int64)
    return _unit_rounds(f"overestimated-{ratio}", overestimated, one, one, capacity, (one, ratio * one))


def octaves(ratio: int, requests: int = 16_000, capacity: int = 1500) -> Instance:
    """Lengths 1, 2, 4, ..., `ratio`, about as many tokens of each, the longest first, all predicted as 1..`ratio`.

    l = 1 and u = `ratio` = 1 / α tell nothing.  `a-min` starts the longest first and keeps evicting them, once at
    every length that it has come to think they have: measured, its ratio to `h-sf` grows with log(1 / α), the order
    of its proven bound; `a-max` sets aside 1 + u tokens for each, and its ratio grows as 1 / α.

    Parameters
    ----------
    ratio : int
        1 / α, a power of 2.
    requests, capacity : int
        About n (rounded for each length); M, at least 2 (`ratio` + 1).
    """
    _require(ratio >= 1 and ratio & (ratio - 1) == 0, "ratio", "a power of 2", ratio)
    _require(capacity >= 2 * (ratio + 1), "capacity", f"at least {2 * (ratio + 1)}", capacity)
    lengths = 2 ** np.arange(ratio.bit_length() - 1, -1, -1)
    counts = np.maximum(1, np.rint(requests / lengths / np.sum(1.0 / lengths))).astype(np.int64)
    decode = np.repeat(lengths, counts)
    one = np.ones(len(decode), dtype=np.int64)
    return _unit_rounds(f"octaves-{ratio}", octaves, one, decode, capacity, (one, ratio * one))


ADVERSARIAL: dict[str, Callable[[int], Instance]] = {
    "whales": whales,
    "blocked": blocked,
    "overestimated": overestimated,
    "octaves": octaves,
}


def _unit_rounds(
    name: str,
    family: Callable[..., Instance],
    prefill: IntArray,
    decode: IntArray,
    capacity: int,
    interval: tuple[IntArray, IntArray] | None = None,
) -> Instance:
    lower, upper = interval if interval is not None else (None, None)
    return Instance(
        name=name,
        requests=Requests(request_ids(len(decode)), prefill, decode, decode_lower=lower, decode_upper=upper),
        workers=(replace(deployment("unit-round"), kv_capacity=capacity),),
        objective="total_completion",
        description=" ".join((family.__doc__ or "").split("\n\n")[0].split()),
        source=SOURCE.format(family.__name__),
    )


def _require(valid: bool, field: str, expected: str, value: int) -> None:
    if not valid:
        raise InvalidInputError(field, f"expected {expected}, got {value}")
