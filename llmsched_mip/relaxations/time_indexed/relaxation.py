"""Total completion as one choice a request, its start round, under one KV limit in every round: time-indexed.

Sets i = requests, s = 0, 1, ... rounds that its worker has run when i is prefilled, t = 1, 2, ... rounds.

    minimise  Σ_i ω_i (max(a s_i, r_i) + e_i)
    such that Σ_{i: s_i < t ≤ s_i + d_i} (p_i + t - s_i) ≤ M    for every round t

a = least base time of a round over the workers, e_i = seconds of i alone (`alone_seconds`), M = Σ_w M_w with M_w the
most KV tokens that worker w can hold in a round (`Limits.kv`).  Any number of workers, slots, caps, prefill times and
arrivals; with unit rounds and arrivals after whole rounds it is the problem itself.

Proof that its optimum is at most Σ ω_i C_i of every plan.  Let i be prefilled on its worker w after s_i rounds of w.
They took at least a s_i seconds, the prefill does not start before r_i, and then it and its d_i rounds take at least
e_i: C_i ≥ max(a s_i, r_i) + e_i.  In the t-th round of w its active requests hold Σ (p_i + t - s_i) ≤ M_w tokens.
Add up the t-th rounds of all workers: the s_i satisfy the limit M.

Blocks.  The sum counts rounds from the first arrival on, and time in which nothing is at hand must not be counted in
rounds at all: arrivals may be years apart.  So `blocks` parts the requests by arrival into B_1, B_2, ... where there is
empty time between them, and Σ_B [ρ_B Σ_{i∈B} ω_i + (optimum of the relaxation of B with arrivals r_i - ρ_B)] ≤
Σ ω_i C_i, with ρ_B the first arrival of B.

Proof, for any parts.  Take a plan and drop all requests but those of B, and all iterations without one of these: what
is left keeps the limits, and no C_i, i ∈ B, grows, since durations do not grow when requests are dropped.  It does
nothing before ρ_B; in time from ρ_B on it is a plan of B with arrivals r_i - ρ_B.  So Σ_{i∈B} ω_i (C_i - ρ_B) is at
least the optimum of that relaxation.  Add up the blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from llmsched_mip.alone import alone_seconds
from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.limits import Limits, exact_sum
from llmsched_mip.timing import FloatArray, IntArray, request_kv_volume

# Rounds with a price: about 14 numbers each in `kv_prices`, 0.5 GB.
MOST_ROUNDS = 4_000_000
# Starts that one pass of `kv_prices` looks at, some seconds.
MOST_STARTS = 500_000_000
MOST_BLOCKS = 100
SUM_ROUNDING = 1e-12


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
    alone_s : float
        Σ ω_i e_i, weighted seconds.
    place : int array, shape (n,)
        Index in the instance of each request here.
    """

    p: IntArray
    d: IntArray
    weight: FloatArray
    arrival: FloatArray
    capacity: int
    round_s: float
    alone_s: float
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
            sum(worker.kv for worker in limits if len(worker.p)),
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

        As many as memory and the time of a pass allow.  Not part of any proof: later rounds are free (`kv_prices`,
        `linear`).
        """
        volume = exact_sum(request_kv_volume(self.p, self.d))
        busy = volume / self.capacity + float(self.arrival.max()) / self.round_s
        most = min(MOST_ROUNDS, MOST_STARTS // self.n)
        return max(1, most if busy >= most else min(most, math.ceil(1.1 * busy) + int(self.d.max())))


@dataclass(frozen=True, eq=False)
class Blocks:
    """Parts of an instance between which there is empty time; see the module docstring.

    Parameters
    ----------
    parts : list of StartRelaxation
        In order of arrival, each with its arrivals from its first one on.
    origin_s : float array, shape (number of parts,)
        ρ_B Σ ω_i of each part, weighted seconds.
    rest_s : float
        Σ ω_i (r_i + e_i) of the requests in no part.
    """

    parts: list[StartRelaxation]
    origin_s: FloatArray
    rest_s: float

    def total(self, values: list[float]) -> float:
        """The bound on Σ ω_i C_i from bounds on the parts; rounded down by more than its own rounding errors."""
        known = float(self.origin_s.sum()) + self.rest_s
        return known * (1 - SUM_ROUNDING) + math.fsum(values)


def blocks(instance: Instance) -> Blocks | None:
    """Parts of an instance, or None where a round may take no time.

    A new part begins with an arrival before which the work of all that came earlier has ended, at M KV tokens a round
    and one longest request after that.  Of more than `MOST_BLOCKS` parts those with the most requests are kept.
    """
    whole = StartRelaxation.of(instance)
    if whole is None:
        return None
    r, capacity = instance.requests, whole.capacity
    order = np.argsort(r.arrival_s, kind="stable")
    arrival, d = r.arrival_s[order], r.decode_tokens[order]
    work_s = np.cumsum(instance.kv_volume[order] / capacity * whole.round_s)
    ends = work_s + np.maximum.accumulate(arrival - np.concatenate(([0.0], work_s[:-1])))
    quiet = ends + whole.round_s * np.maximum.accumulate(d)
    members = np.split(order, np.flatnonzero(arrival[1:] > quiet[:-1]) + 1)
    if len(members) == 1 and arrival[0] == 0.0:
        return Blocks([whole], np.zeros(1), 0.0)
    members = sorted(members, key=len, reverse=True)
    kept = sorted(members[:MOST_BLOCKS], key=lambda part: float(r.arrival_s[part[0]]))
    others = np.concatenate([np.empty(0, dtype=np.int64), *members[MOST_BLOCKS:]])
    parts, origin = [], []
    for part in kept:
        alone, first = instance.take(np.sort(part)), float(r.arrival_s[part[0]])
        relaxed = StartRelaxation.of(
            alone.with_requests(replace(alone.requests, arrival_s=alone.requests.arrival_s - first))
        )
        assert relaxed is not None
        parts.append(relaxed)
        origin.append(first * float(relaxed.weight.sum()))
    rest = np.sort((r.weight * (r.arrival_s + alone_seconds(instance)))[others])
    return Blocks(parts, np.array(origin), float(rest.sum()))
