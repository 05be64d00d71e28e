"""Total completion as one choice a request, its start round, under one KV limit in every round.

Sets i = requests, s = 0, 1, ... rounds that its worker has run when i is prefilled, t = 1, 2, ... rounds.

    minimise  Σ_i ω_i (max(a s_i, r_i) + own_i)
    such that Σ_{i: s_i < t ≤ s_i + d_i} (p_i + t - s_i) ≤ M    for every round t

a = least base time of a round over the workers, own_i = seconds of i alone (`alone_seconds`), M = Σ_w M_w with M_w the
most KV tokens that worker w can hold in a round (`Limits.kv`).  Any number of workers, slots, caps, prefill times and
arrivals; with unit rounds and arrivals after whole rounds it is the problem itself.

Proof that its optimum is at most Σ ω_i C_i of every plan.  Let i be prefilled on its worker w after s_i rounds of w.
They took at least a s_i seconds, the prefill does not start before r_i, and then it and its d_i rounds take at least
own_i: C_i ≥ max(a s_i, r_i) + own_i.  In the t-th round of w its active requests hold Σ (p_i + t - s_i) ≤ M_w tokens.
Add up the t-th rounds of all workers: the s_i satisfy the limit M.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from llmsched_mip.bounds.alone import alone_seconds
from llmsched_mip.bounds.limits import Limits, exact_sum
from llmsched_mip.instance import Instance
from llmsched_mip.timing import FloatArray, IntArray, request_kv_volume


@dataclass(frozen=True, eq=False)
class StartRelaxation:
    """The relaxation of an instance; requests in a canonical order.

    Parameters
    ----------
    p, d : int arrays, shape (n,)
        Prompt and output tokens.
    weight : float array, shape (n,)
    arrival : float array, shape (n,)
        Seconds.
    capacity : int
        KV tokens in a round, all workers together.
    round_s : float
        Least seconds of a round, > 0.
    own_s : float
        Σ ω_i own_i, weighted seconds.
    place : int array, shape (n,)
        Index in the instance of each request here.
    """

    p: IntArray
    d: IntArray
    weight: FloatArray
    arrival: FloatArray
    capacity: int
    round_s: float
    own_s: float
    place: IntArray

    @classmethod
    def of(cls, instance: Instance) -> StartRelaxation | None:
        """The relaxation, or None where a round may take no time."""
        round_s = min(worker.decode_time.base_s for worker in instance.workers)
        if round_s <= 0:
            return None
        r, limits = instance.requests, [Limits.of(instance, w) for w in range(len(instance.workers))]
        order = np.lexsort((r.weight, r.arrival_s, r.prefill_tokens, r.decode_tokens, instance.kv_volume))
        return cls(
            r.prefill_tokens[order],
            r.decode_tokens[order],
            r.weight[order],
            r.arrival_s[order],
            sum(own.kv for own in limits if len(own.p)),
            round_s,
            float(np.sum((r.weight * alone_seconds(instance))[order])),
            order,
        )

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.p)

    @property
    def horizon(self) -> int:
        """Rounds that are worth a price: those by which a plan without idle KV would have started everything.

        Not part of any proof: later rounds are free (`kv_dual`, `start_lp`).
        """
        volume = exact_sum(request_kv_volume(self.p, self.d))
        busy = volume / self.capacity + float(self.arrival.max()) / self.round_s
        return max(1, math.ceil(1.1 * busy) + int(self.d.max()))
