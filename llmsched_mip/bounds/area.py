"""Bound "area": slot-rounds."""

from __future__ import annotations

import time

from llmsched_mip.bounds.bound import Bound, Stop
from llmsched_mip.bounds.identity import makespan_from_rounds
from llmsched_mip.bounds.limits import Limits, ceil_div, exact_sum
from llmsched_mip.bounds.priced import priced_bound
from llmsched_mip.instance import Instance


def area(
    instance: Instance, objective: str, *, time_limit_s: float | None = None, stop: Stop | None = None
) -> Bound:
    """At least ⌈Σd / J⌉ decode rounds.

    Proof.  A round serves at most J requests (`Limits.slots`) one token each, and Σd tokens are made.  One
    worker, makespan: see `makespan_from_rounds`.  Several workers or total completion: priced work with no
    price on KV.
    """
    began = time.perf_counter()
    if objective != "makespan" or len(instance.workers) > 1:
        return priced_bound("area", instance, objective, ("slots",), time_limit_s)
    limits = Limits.of(instance, 0)
    rounds = ceil_div(exact_sum(limits.d), limits.slots)
    return makespan_from_rounds("area", instance, rounds, began, slots=limits.slots)
