"""The synthetic instances of the KV-cache scheduling papers, in the unit-round model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from llmsched_mip.instance import Instance, Requests
from llmsched_mip.workload.deployments import deployment
from llmsched_mip.workload.family import instance_name, request_ids, require_count
from llmsched_mip.workload.marginals import stream

SOURCE = (
    "Published (KV-cache scheduling papers): s uniform in 1..5, o uniform in 1..M - s, n uniform in 40..60, "
    "M uniform in 30..50, all requests at time 0, prefill without a time, rounds of length 1. "
    "Inferred: nothing but the random numbers."
)


@dataclass(frozen=True)
class KvUniformFamily:
    """Uniform lengths under a KV limit M: s in 1..5 and o in 1..M - s; call it with a count and a seed."""

    name: str = "kv-uniform"
    summary: str = "Synthetic unit-round backlog of the KV-cache scheduling papers; total completion."

    def __call__(self, requests: int | None = None, seed: int = 0) -> Instance:
        """Generate `requests` requests (uniform in 40..60 by default) under an M uniform in 30..50."""
        size = stream(seed, "size")
        drawn, capacity = int(size.integers(40, 61)), int(size.integers(30, 51))
        count = drawn if requests is None else requests
        require_count(count)
        prefill = 1 + np.floor(5 * stream(seed, "prefill").random(count)).astype(np.int64)
        decode = 1 + np.floor((capacity - prefill) * stream(seed, "decode").random(count)).astype(np.int64)
        return Instance(
            name=instance_name(self.name, count, drawn, seed),
            requests=Requests(request_ids(count), prefill, decode),
            workers=(replace(deployment("unit-round"), kv_capacity=capacity),),
            objective="total_completion",
            description=f"{self.summary} Family {self.name}, {count} requests, M = {capacity}, seed {seed}.",
            source=SOURCE,
        )


KV_UNIFORM = KvUniformFamily()
