"""An offline plan for lengths that are only predicted, or not known at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.methods.portfolio import solve
from llmsched_mip.plan import Claims, Plan
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.protocol import Lengths
from llmsched_mip.timing import request_kv_peak


def estimated(instance: Instance, visible: str) -> Instance:
    """Return the instance with every decode length replaced by what `Estimator` expects of it at the start.

    Parameters
    ----------
    instance : Instance
    visible : str
        ``known``, ``interval`` or ``unknown``; with the last all lengths are the same.

    Raises
    ------
    InvalidInputError
        The instance has no intervals.
    """
    estimator = Estimator(Lengths.of(instance, visible))
    lengths = np.array([estimator.length(i) for i in range(instance.n)], dtype=np.int64)
    prompts = instance.requests.prefill_tokens
    largest = int(request_kv_peak(prompts, lengths).max())
    room = max(worker.most_kv(largest) for worker in instance.workers) - prompts
    lengths = np.minimum(lengths, np.maximum(room, 1))
    return instance.with_requests(replace(instance.requests, decode_tokens=lengths))


def solve_estimated(instance: Instance, visible: str, **options: Any) -> Plan:
    """Plan offline for the estimated lengths.

    The plan that comes back names `instance` and claims nothing: its value and bounds were those of other lengths.
    It is for the policies that take a plan's order (``plan-order``, ``lagrangian``), not for ``plan``.

    Parameters
    ----------
    instance : Instance
    visible : str
        ``interval`` or ``unknown``.
    options
        Those of `llmsched_mip.methods.solve`.
    """
    instance = instance.exclusive()
    plan = solve(estimated(instance, visible), **options).plan
    return replace(plan, instance=instance.name, instance_digest=instance.digest, claims=Claims())
