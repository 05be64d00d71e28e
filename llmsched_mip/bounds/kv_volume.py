"""Bound "kv_volume": KV token-rounds."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.conserved_work import makespan_from_rounds
from llmsched_mip.relaxations.fluid.value import fluid_value
from llmsched_mip.relaxations.limits import Limits, ceil_div, exact_sum


def kv_volume(instance: Instance, budget: Budget) -> Bound:
    """At least ⌈Σvol / M⌉ decode rounds, vol_i = p_i d_i + d_i (d_i + 1) / 2.

    Proof.  Request i holds p_i + k tokens in its k-th round, vol_i over all its rounds; a round holds at
    most M (`Limits.kv`, finite without a capacity too).  One worker, makespan: see `makespan_from_rounds`.
    Several workers or total completion: priced work with no price on slot-rounds.
    """
    began = clock.now()
    if instance.objective != "makespan" or len(instance.workers) > 1:
        value, certificate = fluid_value(instance, ("kv",), budget)
    else:
        limits = Limits.of(instance, 0)
        rounds = ceil_div(exact_sum(instance.kv_volume), limits.kv)
        value, certificate = makespan_from_rounds(instance, rounds, kv_capacity=limits.kv)
    return Bound("kv_volume", value, clock.now() - began, certificate)
