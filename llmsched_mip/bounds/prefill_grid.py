"""Bound "prefill_grid": slots change hands at prefill iterations alone, so few of them leave slots idle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.conserved_work import makespan_from_rounds
from llmsched_mip.relaxations.limits import Limits, ceil_div, exact_sum
from llmsched_mip.relaxations.prefill_cover import fewest_iterations
from llmsched_mip.timing import FloatArray, IntArray

MOST_LENGTHS = 1000
MOST_TOKENS = 2**50


class Trade(NamedTuple):
    """The cheapest number of prefill iterations P, and the rounds that it takes at least."""

    iterations: int
    rounds: int


def prefill_grid(instance: Instance, budget: Budget) -> Bound | None:
    """Rounds against prefill iterations; one worker, makespan, affine prefill time, at most 1,000 lengths.

    Letters as in docs/problem.md; t_1 ≤ ... ≤ t_P = the decode rounds run before each prefill iteration, t_{P+1} = R.
    Request i, prefilled at t_k, is active in d_i rounds; let T_i be the first t_l ≥ t_k + d_i and L_i = T_i - t_k.

    Slots.  Σ L_i ≤ J R.  Proof.  Take a round in (t_k, t_{k+1}].  A request with it in its (start, T_i] has started by
    t_k and not ended by then, else T_i ≤ t_k: it is active in round t_k + 1, and there at most J are (`Limits.slots`).

    Few lengths.  Let D = max d.  L_i is a difference of two t, and of those of D or more any is at least as long as D.
    At most `pairs` differences are below D.  Proof.  Whatever is active in (t_l, t_{l+1}] has started by t_l and runs
    for D rounds at most, and a round has somebody active: t_{l+1} - t_l ≤ D.  So each of the intervals [j D, (j+1) D)
    up to that of R holds some t: with K of them c_j = 1 + e_j, Σ e_j = E = P + 1 - K ≥ 0.  A difference below D is
    within one interval or between two neighbours: at most Σ c_j (c_j - 1) / 2 + Σ c_j c_{j+1}, which is at most
    E² / 2 + 5 E / 2 + K - 1 as Σ e_j² / 2 + Σ e_j e_{j+1} ≤ E² / 2.  That falls as K grows, so any lower bound R_0 on
    R will do for K = ⌊R_0 / D⌋ + 1.

    So the L take at most Q = `pairs` + 1 values, each L_i ≥ d_i, and J R ≥ Σ L_i ≥ V(Q), the least Σ of the lengths
    rounded up to Q values of them (a shortest path over the sorted lengths).  With P iterations the makespan is that
    of max(R_0, ⌈V / J⌉) rounds and P iterations (`makespan_from_rounds`, base for each beyond the fewest); the least
    over P is a bound, as V falls with P, and P alone costs more than the best from some P on.
    """
    began = clock.now()
    worker = instance.workers[0]
    if instance.objective != "makespan" or len(instance.workers) > 1 or not worker.prefill_time.affine:
        return None
    limits = Limits.of(instance, 0)
    lengths, counts = np.unique(limits.d, return_counts=True)
    base_s, round_s = worker.prefill_time.fixed_seconds, worker.decode_time.base_s
    if base_s <= 0 or round_s <= 0 or len(lengths) > MOST_LENGTHS or exact_sum(limits.d) > MOST_TOKENS:
        return None
    least = max(limits.area_rounds, ceil_div(exact_sum(instance.kv_volume), limits.kv), int(lengths[-1]))
    fewest = fewest_iterations(limits)
    found = _cheapest(RoundedUp(lengths, counts), limits.slots, least, fewest, base_s / round_s)
    value, certificate = makespan_from_rounds(instance, found.rounds)
    added_s = (found.iterations - fewest) * base_s
    certificate |= {"prefill_iterations": found.iterations, "prefill_s": certificate["prefill_s"] + added_s}
    return Bound("prefill_grid", value + added_s, clock.now() - began, certificate)


def _cheapest(rounded: RoundedUp, slots: int, least: int, fewest: int, price: float) -> Trade:
    """The least of rounds + `price` · iterations; `price` is the rounds that an iteration takes."""
    longest = int(rounded.lengths[-1])
    intervals = least // longest + 1
    best: Trade | None = None
    iterations = max(fewest, intervals - 1)
    while best is None or least + price * iterations < best.rounds + price * best.iterations:
        total = rounded.total(pairs(iterations, intervals) + 1)
        trade = Trade(iterations, max(least, ceil_div(total, slots)))
        if best is None or trade.rounds + price * trade.iterations < best.rounds + price * best.iterations:
            best = trade
        if trade.rounds == least:
            break
        iterations += 1
    return best


def pairs(iterations: int, intervals: int) -> int:
    """Most pairs of prefill iterations, or of one and the end, that are closer than the longest request."""
    extra = iterations + 1 - intervals
    return (extra * extra + 5 * extra) // 2 + intervals - 1


class RoundedUp:
    """Least sums of lengths rounded up to few values.

    Parameters
    ----------
    lengths, counts : int arrays, shape (m,)
        Different lengths, ascending, and how many requests have each.
    """

    def __init__(self, lengths: IntArray, counts: IntArray):
        self.lengths = lengths
        below = np.concatenate(([0], np.cumsum(counts))).astype(np.float64)
        # Row i, column j: lengths i, ..., j - 1 rounded up to the last of them.
        values = np.concatenate(([0.0], lengths.astype(np.float64)))
        self._cost = (below[None, :] - below[:, None]) * values[None, :]
        self._cost[np.tril_indices(len(values), -1)] = np.inf
        self._best: list[FloatArray] = [self._cost[0]]

    def total(self, values: int) -> int:
        """The least sum with at most so many values; sums below 2^53 are exact."""
        values = min(values, len(self.lengths))
        while len(self._best) < values:
            last = self._best[-1]
            self._best.append(np.minimum(last, (last[:, None] + self._cost).min(axis=0)))
        return int(self._best[values - 1][-1])
