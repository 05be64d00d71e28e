"""Bound "split": every split of the requests among several workers."""

from __future__ import annotations

from llmsched_mip.bounds.priced import priced_bound
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound


def split(instance: Instance, budget: Budget) -> Bound | None:
    """Priced work with prices on slot-rounds and on KV token-rounds together; several workers only.

    Proof.  `llmsched_mip.bounds.pricing`.  It is at least as large as the fluid bounds "area" and
    "kv_volume" up to the tolerance of the solver that looks for the prices.
    """
    if len(instance.workers) == 1:
        return None
    return priced_bound("split", instance, ("slots", "kv"), budget)
