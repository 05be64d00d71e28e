"""Total completion of a mixed execution: the mean time of a request's priced work, and what is left after it."""

from __future__ import annotations

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.fluid.completion import fast_machine_means
from llmsched_mip.relaxations.mixed_work.engine_work import EngineWork, least_over
from llmsched_mip.relaxations.mixed_work.prices import EnginePrices, head_start
from llmsched_mip.timing import FloatArray, Line, weighted_tail_of_lines

ROUNDS = 3
ROUNDING = 1e-12


def completion_value(
    instance: Instance, kinds: list[EngineWork], prices: list[EnginePrices]
) -> tuple[float, np.ndarray]:
    """Lower bound on Σ ω_i C_i from prices, and which requests are counted by their mean time.

    Proof.  Let M_i be the mean time at which the priced work of i is done, each piece evenly over its iteration (a
    request on worker w does at least u_i, the least over the workers: count the fraction u_i / π_iw of every piece).
    Work is done at a rate of at most 1 (`prices`), but for D seconds of it in all, and none of i before r_i: a block
    that is counted for i is computed after the first of its requests, which is i, arrived.  Let all work pass through a
    queue of rate 1, first come first served: its delay is at most D.  So Σ y_i (M_i + D), for any weights y ≥ 0, is at
    least its least value over all divisible schedules on one machine of speed 1, which preemptive largest y_i / u_i
    first attains (Goemans, Queyranne, Schulz, Skutella and Wang, SIAM J. Discrete Math. 15 (2002), section 2).  And C_i
    ≥ M_i + h_i (`tails`), and C_i ≥ r_i + the time that i takes alone.  The weight of each request goes to one of the
    two: all to the first, then, `ROUNDS` times, to the larger of the two in the schedule found; the largest total is
    the bound.
    """
    r = instance.requests
    alone = r.arrival_s + least_over(kinds, [kind.alone_s for kind in kinds])
    work, tail = tails(kinds, prices)
    early = head_start(kinds, prices, instance.n)
    rank = np.lexsort((r.arrival_s, work, r.weight))
    by_work = work > 0
    best = float(np.sum(r.weight * alone)), np.zeros(instance.n, dtype=bool)
    for _ in range(ROUNDS + 1):
        if not by_work.any():
            break
        order = rank[by_work[rank]]
        means = np.full(instance.n, -np.inf)
        means[order] = fast_machine_means(r.arrival_s[order], work[order], r.weight[order])
        reached = means + tail - early
        value = float(np.sum(np.sort(r.weight * np.where(by_work, reached, alone))))
        if value > best[0]:
            best = value, by_work
        further = by_work & (reached >= alone)
        if further.sum() == by_work.sum():
            break
        by_work = further
    return best[0] * (1 - ROUNDING), best[1]


def tails(kinds: list[EngineWork], prices: list[EnginePrices]) -> tuple[FloatArray, FloatArray]:
    """Priced work u_i that is counted, and the least h_i ≤ C_i - M_i over the workers: each shape (n,), seconds.

    Proof.  Work of the prompt is done evenly over iterations that begin no later than the one that makes the first
    token, and last at least as long as one with a single prompt token: half of that is left, and the d_i - 1
    iterations of the other tokens.  Work of token k + 1: half of its iteration and those after it.  Both the price of a
    token and the seconds of its iteration alone are the least of lines in the KV tokens held, so concave in k, and at
    least the straight line between their ends k = 1 and k = d_i - 1: only that much of each token's work is counted.
    What blocks that are not full cost is counted at the end, with half an iteration left.
    """
    works, means = [], []
    for kind, priced in zip(kinds, prices, strict=True):
        steps = (kind.d - 1).astype(np.float64)
        seconds = _chord(kind.step_alone(kind.p + 1), kind.step_alone(kind.p + kind.d - 1), steps)
        least, shared = priced.step(kind), priced.shared_price(kind)
        first, last = least(kind.p + 1) - shared, least(kind.p + kind.d - 1) - shared
        some = np.minimum(first, last) > 0
        price = _chord(np.where(some, first, 0.0), np.where(some, last, 0.0), steps)
        one_s = kind.mixed_pieces.least_seconds(1.0) + kind.prompt_token_s
        prompt, partly = priced.prompt_work(kind), priced.rounding_work(kind)
        after_prompt = one_s / 2 + seconds.sum(steps)
        weighted = prompt * after_prompt + weighted_tail_of_lines(price, seconds, steps)
        weighted += partly * np.minimum(seconds.first, seconds.last(steps)) / 2
        total = prompt + price.sum(steps) + partly
        works.append(total * (1 - ROUNDING))
        means.append(np.divide(weighted, total, out=np.zeros_like(weighted), where=total > 0) * (1 - ROUNDING))
    return least_over(kinds, works), least_over(kinds, means)


def _chord(first: FloatArray, last: FloatArray, steps: FloatArray) -> Line:
    """The straight line from `first` at k = 1 to `last` at k = steps; nothing where there are no steps."""
    some = steps > 0
    growth = np.divide(last - first, steps - 1, out=np.zeros_like(first), where=steps > 1)
    return Line(np.where(some, first, 0.0), np.where(some, growth, 0.0))
