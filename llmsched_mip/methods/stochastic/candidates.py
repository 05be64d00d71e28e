"""Orders to begin with, on what is expected of the lengths."""

from __future__ import annotations

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.length_distribution import LengthDistribution
from llmsched_mip.plan import Plan
from llmsched_mip.policies.parts.plan_times import start_order
from llmsched_mip.timing import IntArray, request_kv_volume

HIGH = 0.9
SHARES = (0.5, 0.7, 0.8, 0.9)
"""Of the requests that start in order of arrival, before the longest of the others."""
MOST_LEAST = 64


def list_orders(instance: Instance, distribution: LengthDistribution) -> dict[str, IntArray]:
    """Orders by mean and high quantile of the lengths, each of shape (n,), the first to start in front."""
    requests = instance.requests
    mean, high = distribution.mean(), distribution.quantile(HIGH).astype(np.float64)
    arrival = np.argsort(requests.arrival_s, kind="stable")
    work = (mean + 1e-3 * requests.prefill_tokens) / requests.weight
    volume = request_kv_volume(requests.prefill_tokens, np.rint(mean).astype(np.int64)) / requests.weight
    found = {}
    if instance.objective == "makespan":
        found["longest first"] = _by(-mean, arrival)
        found["longest first by high quantile"] = _by(-high, arrival)
        found["largest KV volume first"] = _by(-volume, arrival)
        for share in SHARES:
            first = arrival[: int(share * instance.n)]
            rest = arrival[int(share * instance.n) :]
            found[f"longest last {100 * (1 - share):.0f} % first"] = np.concatenate((first, rest[_by(-mean[rest])]))
            found[f"shortest {100 * (1 - share):.0f} % last"] = _short_last(arrival, mean, share)
    else:
        found["shortest first"] = _by(work, arrival)
        found["shortest first by high quantile"] = _by(high / requests.weight, arrival)
        found["smallest KV volume first"] = _by(volume, arrival)
    found["arrival"] = arrival
    return {name: order.astype(np.int64) for name, order in found.items()}


def _by(keys: np.ndarray, among: IntArray | None = None) -> IntArray:
    """Ascending, of equal keys in the order of `among`."""
    if among is None:
        return np.argsort(keys, kind="stable")
    chosen: IntArray = among[np.argsort(keys[among], kind="stable")]
    return chosen


def _short_last(arrival: IntArray, mean: np.ndarray, share: float) -> IntArray:
    """In order of arrival, but the shortest at the end, longest first among them."""
    n = len(arrival)
    late = np.zeros(n, dtype=bool)
    late[np.argsort(mean, kind="stable")[: n - int(share * n)]] = True
    tail = arrival[late[arrival]]
    return np.concatenate((arrival[~late[arrival]], tail[np.argsort(-mean[tail], kind="stable")]))


def order_of(plan: Plan, n: int) -> IntArray:
    """The order in which a plan starts its requests, shape (n,)."""
    return np.argsort(np.array(start_order(plan, n)), kind="stable").astype(np.int64)


def placement_of(plan: Plan, n: int) -> IntArray:
    """The worker of each request in a plan, shape (n,)."""
    placed = np.full(n, -1, dtype=np.int64)
    for w, stages in enumerate(plan.workers):
        placed[stages.requests] = w
    return placed


def thresholds(instance: Instance) -> list[int]:
    """Numbers of requests that a prefill may wait for."""
    slots = min(worker.most_slots(instance.n) for worker in instance.workers)
    most = max(1, min(MOST_LEAST, slots // 2, instance.n))
    return sorted({1, *(2**k for k in range(1, 7) if 2**k <= most), *(3 * 2**k for k in range(5) if 3 * 2**k <= most)})
