"""Bound "kv_volume": KV token-rounds."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.bounds.identity import makespan_from_rounds
from llmsched_mip.bounds.limits import Limits, ceil_div, exact_sum
from llmsched_mip.bounds.priced import priced_bound
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound


def kv_volume(instance: Instance, budget: Budget) -> Bound:
    """At least ⌈Σvol / M⌉ decode rounds, vol_i = p_i d_i + d_i (d_i + 1) / 2.

    Proof.  Request i holds p_i + k tokens in its k-th round, vol_i over all its rounds; a round holds at
    most M (`Limits.kv`, finite without a capacity too).  One worker, makespan: see `makespan_from_rounds`.
    Several workers or total completion: priced work with no price on slot-rounds.
    """
    began = clock.now()
    if instance.objective != "makespan" or len(instance.workers) > 1:
        return priced_bound("kv_volume", instance, ("kv",), budget)
    limits = Limits.of(instance, 0)
    rounds = ceil_div(exact_sum(instance.kv_volume), limits.kv)
    return makespan_from_rounds("kv_volume", instance, rounds, began, kv_capacity=limits.kv)
