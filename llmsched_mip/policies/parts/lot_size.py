"""Whether a prefill iteration should wait for a later one: its lot size."""

from __future__ import annotations

import math

import numpy as np

from llmsched_mip.timing import FloatArray

ROUNDING = 1e-12


def merging_pays(fixed_s: float, price_s: float, count: int, rate: float, rounds: FloatArray, ends: FloatArray) -> bool:
    """Whether the requests that are ready should wait and share a prefill iteration with later ones.

    In a steady state of `rate` completions a round the best number to prefill together is the economic order quantity
    ``Q = sqrt(2 f rate / price)`` (Harris, 1913).  The relative value of that process says what x more idle slots have
    brought on of the prefill that they will need, ``v(x) = f - price (Q - x)² / (2 rate)`` below Q and f above.  Ready
    requests that wait h rounds cost ``price · count · h``; that pays when it is less than v of the completions
    meanwhile, whose prefill then serves both.  Where completions come evenly that is the threshold Q; just before many
    that end together, waiting pays though more are ready, and just after them it does not.

    Parameters
    ----------
    fixed_s : float
        f, fixed seconds of a prefill iteration.
    price_s : float
        Seconds of makespan for each idle slot and round.
    count : int
        Requests that are ready.
    rate : float
        Completions a round in the long run, above 0.
    rounds, ends : float arrays, shape (m,)
        Rounds ahead, and the completions expected until each.
    """
    quantity = math.sqrt(2 * fixed_s * rate / price_s)
    spared = fixed_s - price_s * np.maximum(0.0, quantity - ends) ** 2 / (2 * rate)
    return bool(np.any(price_s * count * rounds < spared * (1 - ROUNDING)))
