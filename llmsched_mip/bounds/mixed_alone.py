"""Bound "mixed_alone": every request of a mixed execution as if no other existed."""

from __future__ import annotations

import numpy as np

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.mixed_work.engine_work import kinds, least_over

ROUNDING = 1e-12


def mixed_alone(instance: Instance, budget: Budget) -> Bound | None:
    """Arrival plus the shortest time that the request takes alone: the latest of them, or their weighted sum.

    Proof.  `relaxations.mixed_work.engine_work`: C_i ≥ r_i + `alone_s` on every worker that fits i, whatever runs
    beside it; what another request may have computed of its prompt is not counted.
    """
    began = clock.now()
    if instance.semantics != "mixed":
        return None
    work = kinds(instance)
    earliest = instance.requests.arrival_s + least_over(work, [kind.alone_s for kind in work]) * (1 - ROUNDING)
    if instance.objective == "makespan":
        last = int(np.argmax(earliest))
        value, certificate = float(earliest[last]), {"request": instance.requests.id[last]}
    else:
        value, certificate = float(np.sum(np.sort(instance.requests.weight * earliest))) * (1 - ROUNDING), {}
    return Bound("mixed_alone", value, clock.now() - began, certificate)
