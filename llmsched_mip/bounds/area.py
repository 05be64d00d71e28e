"""Bound "area": slot-rounds."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.bounds.identity import makespan_from_rounds
from llmsched_mip.bounds.limits import Limits
from llmsched_mip.bounds.priced import priced_bound
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound


def area(instance: Instance, budget: Budget) -> Bound:
    """At least ⌈Σd / J⌉ decode rounds, of all requests or of those with the longest prompts.

    Proof.  A round serves at most J requests one token each, and Σd tokens are made; where KV binds, fewer
    (`Limits.area_rounds`).  One worker, makespan: see `makespan_from_rounds`.  Several workers or total
    completion: priced work with no price on KV.
    """
    began = clock.now()
    if instance.objective != "makespan" or len(instance.workers) > 1:
        return priced_bound("area", instance, ("slots",), budget)
    limits = Limits.of(instance, 0)
    return makespan_from_rounds("area", instance, limits.area_rounds, began, slots=limits.slots)
