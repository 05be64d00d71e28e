"""Bound "alone": every request as if no other existed."""

from __future__ import annotations

import numpy as np

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.timing import FloatArray


def alone_seconds(instance: Instance) -> FloatArray:
    """Shortest time from the start of its prefill to its completion of every request: shape (n,), seconds.

    Proof.  On worker w the iteration that prefills i lasts at least prefill_time(p_i), as the time grows
    with the tokens, and then its d_i rounds at least a + b + c (p_i + k) each.  The least over the workers
    that fit it.
    """
    r, least = instance.requests, np.full(instance.n, np.inf)
    for w, worker in enumerate(instance.workers):
        fits = instance.fits_worker[:, w]
        p, d = r.prefill_tokens[fits], r.decode_tokens[fits]
        own = worker.prefill_time.seconds(p) + worker.decode_time.run_seconds(d, 1, p)
        least[fits] = np.minimum(least[fits], own)
    return least


def alone(instance: Instance, budget: Budget) -> Bound:
    """Arrival plus shortest own time: the latest of them, or their weighted sum.

    Proof.  C_i ≥ r_i + `alone_seconds`; the makespan is the largest C_i, total completion is Σ ω_i C_i.
    """
    began = clock.now()
    earliest = instance.requests.arrival_s + alone_seconds(instance)
    if instance.objective == "makespan":
        last = int(np.argmax(earliest))
        value, certificate = float(earliest[last]), {"request": instance.requests.id[last]}
    else:
        value, certificate = float(np.sum(np.sort(instance.requests.weight * earliest))), {}
    return Bound("alone", value, clock.now() - began, certificate)
