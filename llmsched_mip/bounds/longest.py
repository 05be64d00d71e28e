"""Bound "longest": the rounds of the longest request."""

from __future__ import annotations

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.conserved_work import makespan_from_rounds


def longest(instance: Instance, budget: Budget) -> Bound | None:
    """At least max d decode rounds; one worker and makespan only ("alone" covers the rest).

    Proof.  A request makes one token in a round.  See `makespan_from_rounds`.
    """
    began = clock.now()
    if instance.objective != "makespan" or len(instance.workers) > 1:
        return None
    value, certificate = makespan_from_rounds(instance, int(instance.requests.decode_tokens.max()))
    return Bound("longest", value, clock.now() - began, certificate)
