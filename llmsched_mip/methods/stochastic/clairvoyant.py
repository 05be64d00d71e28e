"""What could be had with the lengths known: scenarios solved one by one, each with its proven bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llmsched_mip.errors import InterruptedSearchError, NoPlanError
from llmsched_mip.instance import Instance
from llmsched_mip.methods.portfolio import solve
from llmsched_mip.methods.search import Search
from llmsched_mip.result import Result
from llmsched_mip.timing import FloatArray, IntArray

MOST, LEAST_S = 32, 0.5
"""Scenarios that are solved at most, and seconds for each at least."""
FEW = 4


def known(instance: Instance, lengths: IntArray) -> Instance:
    """The instance with these lengths, which are known."""
    requests = replace(instance.requests, decode_tokens=lengths, decode_lower=None, decode_upper=None)
    return instance.with_requests(requests)


def solved(search: Search, instance: Instance, seconds: float, threads: int | None = 1) -> Result | None:
    """`solve` within a run that goes on afterwards; None where it finds nothing.  Ctrl-C ends both."""
    try:
        result = solve(instance, time_limit_s=seconds, threads=threads, seed=search.seed)
    except InterruptedSearchError:
        search.interrupted = True
        return None
    except NoPlanError:
        return None
    search.interrupted = search.interrupted or result.interrupted
    return result


def clairvoyant(search: Search, rows: list[IntArray]) -> tuple[FloatArray, FloatArray]:
    """Values of the best plans found with each row of lengths known, and proven bounds, both of shape (rows solved,).

    Fewer rows are solved where the time is short.
    """
    values, bounds = [], []
    planned = int(np.clip(search.budget.remaining / (2 * LEAST_S), FEW, min(MOST, len(rows)))) if rows else 0
    for k, lengths in enumerate(rows[:planned]):
        if search.budget.spent():
            break
        seconds = max(search.budget.remaining / (planned - k), 1e-3)
        result = solved(search, known(search.instance, lengths), seconds)
        if search.interrupted or result is None:
            break
        if result.bound is not None:
            values.append(result.value)
            bounds.append(result.bound)
    return np.array(values), np.array(bounds)
