"""Bound "alone": every request as if no other existed."""

from __future__ import annotations

import numpy as np

from llmsched_mip import clock
from llmsched_mip.alone import earliest_completions
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound


def alone(instance: Instance, budget: Budget) -> Bound:
    """Arrival plus the shortest time that the request takes alone: the latest of them, or their weighted sum.

    Proof.  C_i ≥ r_i + `alone_seconds`; the makespan is the largest C_i, total completion is Σ ω_i C_i.
    """
    began = clock.now()
    earliest = earliest_completions(instance)
    if instance.objective == "makespan":
        last = int(np.argmax(earliest))
        value, certificate = float(earliest[last]), {"request": instance.requests.id[last]}
    else:
        value, certificate = float(np.sum(np.sort(instance.requests.weight * earliest))), {}
    return Bound("alone", value, clock.now() - began, certificate)
