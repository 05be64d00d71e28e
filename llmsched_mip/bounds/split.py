"""Bound "split": every split of the requests among several workers."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.fluid.value import fluid_value


def split(instance: Instance, budget: Budget) -> Bound | None:
    """Priced work with prices on slot-rounds and on KV token-rounds together; several workers only.

    Proof.  `llmsched_mip.relaxations.fluid.pricing`.  It is at least as large as the fluid bounds "area" and
    "kv_volume" up to the tolerance of the solver that looks for the prices.
    """
    if len(instance.workers) == 1:
        return None
    began = clock.now()
    value, certificate = fluid_value(instance, ("slots", "kv"), budget)
    return Bound("split", value, clock.now() - began, certificate)
