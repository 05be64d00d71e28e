"""One worker: the conserved-work identity turns a bound on decode rounds into a bound on the makespan.

Every bound on rounds (area, longest, KV volume, MMBPP) goes through `makespan_from_rounds`.
"""

from __future__ import annotations

from typing import Any

from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.limits import Limits, exact_sum
from llmsched_mip.relaxations.prefill_cover import least_prefill
from llmsched_mip.timing import decode_work_seconds, request_kv_volume


def makespan_from_rounds(instance: Instance, rounds: int, **certificate: Any) -> tuple[float, dict[str, Any]]:
    """Bound on the makespan of a one-worker instance from a bound on its decode rounds, and its certificate.

    Parameters
    ----------
    instance : Instance
        One worker.
    rounds : int
        Proven lower bound on R.
    **certificate
        What the bound on the rounds rests on: it is added to the certificate.

    Returns
    -------
    float, dict
        Seconds, and the terms of the sum.

    Notes
    -----
    Proof (docs/problem.md, sections 2 and 5).  The worker runs one iteration at a time, none before the first
    arrival, so makespan ≥ min r + Σ of all durations.  The rounds last a R + b Σd + c Σvol together,
    whatever the batching: each request is active in d rounds and holds p + k tokens in its k-th.  R ≥
    `rounds`, and the prefill iterations last at least `least_prefill`.
    """
    worker, limits = instance.workers[0], Limits.of(instance, 0)
    prefill_s, prefill = least_prefill(limits)
    start_s = float(instance.requests.arrival_s.min())
    volume = exact_sum(request_kv_volume(limits.p, limits.d))
    work_s = float(decode_work_seconds(worker.decode_time, exact_sum(limits.d), volume))
    rounds_s = float(worker.decode_time.run_seconds(rounds, 0, 0))
    proof = {"rounds": rounds, "rounds_s": rounds_s, "decode_work_s": work_s, "start_s": start_s}
    return start_s + rounds_s + work_s + prefill_s, {**proof, **prefill, **certificate}
