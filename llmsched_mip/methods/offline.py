"""The offline half of the hybrid method: a plan from what is visible of the lengths, for an online policy to use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.methods import solve
from llmsched_mip.plan import Plan
from llmsched_mip.policies.base import Lengths, estimates

TIME_LIMIT_S = 6.0
GAP = 0.005


def offline_plan(
    instance: Instance, lengths: str = "known", time_limit_s: float = TIME_LIMIT_S, seed: int = 0
) -> Plan | None:
    """Plan on the visible lengths: the lengths themselves, or the estimates of prediction intervals.

    The plan of estimates is for its order only: executed as written it would not fit the true lengths.  Its value
    and bounds are left out, since they are not bounds for the true lengths.

    Parameters
    ----------
    instance : Instance
    lengths : str
        ``known``, ``interval`` or ``unknown``; None is returned for the last.
    time_limit_s : float
        Seconds; the search also ends at a gap of 0.5 %.
    seed : int
    """
    expected = estimates(Lengths.of(instance, lengths))
    if expected is None:
        return None
    if lengths == "known":
        return solve(instance, time_limit_s=time_limit_s, gap=GAP, seed=seed).plan
    requests = instance.requests
    limits = [w.kv_capacity - requests.prefill_tokens for w in instance.workers if w.kv_capacity is not None]
    most = np.max(limits, axis=0) if len(limits) == len(instance.workers) else expected
    assumed = instance.with_requests(replace(requests, decode_tokens=np.maximum(1, np.minimum(expected, most))))
    plan = solve(assumed, time_limit_s=time_limit_s, gap=GAP, seed=seed).plan
    claims = {"value": None, "bound": None, "gap": None, "bounds": {}, "status": "feasible"}
    return replace(plan, instance_digest=instance.digest, **claims)
