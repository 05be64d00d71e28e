"""Bound "deadline": the shortest schedule that prices do not refute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.conserved_work import makespan_from_rounds
from llmsched_mip.relaxations.fluid.within import least_deadline
from llmsched_mip.relaxations.limits import Limits, ceil_div, exact_sum
from llmsched_mip.relaxations.time_indexed.coarse_deadline import RoundLimits, refuted
from llmsched_mip.unit_rounds import times_are_rounds

MOST_WAVES = 6
"""Of the longest request: in more rounds the KV cache can be full nearly always, and `kv_volume` says as much."""
MOST_ROUNDS = 200_000
DETAILS = ((32, 64), (64, 128))
"""Segments of rounds and classes of requests: first what is quick, then what is good."""
ENOUGH = 1e-3
"""Relative distance of rounds that are refuted and rounds that are not at which the search between them ends."""


def deadline(instance: Instance, budget: Budget) -> Bound | None:
    """Least deadline that prices do not refute; makespan, where few waves of requests run.

    Requests that are long against the whole schedule overlap wherever they start, and hold most at their ends: their
    volume alone does not see that.

    Proof, one worker.  Its decode rounds R are a deadline that its schedule meets, in which each request runs d_i
    rounds in a row; every deadline below the value is refuted (`coarse_deadline`), for what is not possible in K rounds
    is not possible in fewer.  `makespan_from_rounds` does the rest.

    Proof, several unlike workers: `llmsched_mip.relaxations.fluid.within`.

    Proof, several workers in rounds.  Where times are no more than rounds, of one length, all workers' rounds of a
    number run at once, or earlier ones wait: together they hold at most Σ M tokens of Σ J requests.  That is for a
    backlog: with arrivals rounds of different workers need not begin at once.  But a schedule is one too where all
    requests arrive with the first.
    """
    if instance.objective != "makespan":
        return None
    began = clock.now()
    several = len(instance.workers) > 1
    if several and not _common_rounds(_together(instance)):
        value = least_deadline(instance, budget) if len(instance.worker_kinds) > 1 else None
        return None if value is None else Bound("deadline", value, clock.now() - began, {"deadline_s": value})
    limits = [Limits.of(instance, w) for w in range(len(instance.workers))]
    round_s = limits[0].worker.decode_time.base_s
    if round_s <= 0:
        return None
    r = instance.requests
    kv, slots = sum(one.kv for one in limits if len(one.p)), sum(one.slots for one in limits if len(one.p))
    longest = int(r.decode_tokens.max())
    least = max(longest, ceil_div(exact_sum(instance.kv_volume), kv), ceil_div(exact_sum(r.decode_tokens), slots))
    if least > min(MOST_WAVES * longest, MOST_ROUNDS):
        return None
    rounds = least
    for segments, classes in DETAILS:
        whole = RoundLimits.of(r.prefill_tokens, r.decode_tokens, kv, slots, classes)
        rounds = _least_rounds(whole, rounds, segments, budget)
        if rounds == least or (rounds <= segments and len(whole.p) < classes):
            break
    if several:
        value, certificate = float(r.arrival_s.min()) + rounds * round_s, {"rounds": rounds}
    else:
        value, certificate = makespan_from_rounds(instance, rounds)
    return Bound("deadline", value, clock.now() - began, certificate)


def _together(instance: Instance) -> Instance:
    """The same requests, all of them arriving with the first."""
    r = instance.requests
    return instance.with_requests(replace(r, arrival_s=np.full(r.arrival_s.shape, r.arrival_s.min())))


def _common_rounds(backlog: Instance) -> bool:
    """Whether all workers run rounds of one length from one moment on, and time is nothing else."""
    round_s = backlog.workers[0].decode_time.base_s
    return times_are_rounds(backlog) and all(worker.decode_time.base_s == round_s for worker in backlog.workers)


def _least_rounds(limits: RoundLimits, least: int, segments: int, budget: Budget) -> int:
    """Rounds below which all are refuted: doubled steps up, then halves between."""
    step, low, high = max(1, int(ENOUGH * least)), least, None
    while (high is None or high - low > int(ENOUGH * low)) and not budget.spent():
        tried = low + step if high is None else (low + high) // 2
        if refuted(limits, tried, segments, budget):
            low, step = tried + 1, 2 * step
        else:
            high = tried
    return low
