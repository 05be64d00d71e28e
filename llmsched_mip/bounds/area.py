"""Bound "area": slot-rounds."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.conserved_work import makespan_from_rounds
from llmsched_mip.relaxations.fluid.value import fluid_value
from llmsched_mip.relaxations.limits import Limits


def area(instance: Instance, budget: Budget) -> Bound:
    """At least ⌈Σd / J⌉ decode rounds, of all requests or of those with the longest prompts.

    Proof.  A round serves at most J requests one token each, and Σd tokens are made; where KV binds, fewer
    (`Limits.area_rounds`).  One worker, makespan: see `makespan_from_rounds`.  Several workers or total
    completion: priced work with no price on KV.
    """
    began = clock.now()
    if instance.objective != "makespan" or len(instance.workers) > 1:
        value, certificate = fluid_value(instance, ("slots",), budget)
    else:
        limits = Limits.of(instance, 0)
        value, certificate = makespan_from_rounds(instance, limits.area_rounds, slots=limits.slots)
    return Bound("area", value, clock.now() - began, certificate)
