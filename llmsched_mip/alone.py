"""Every request as if no other existed: how long it takes, and when it can be complete."""

from __future__ import annotations

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.timing import FloatArray


def alone_seconds(instance: Instance) -> FloatArray:
    """Shortest time from the start of its prefill to its completion of every request: shape (n,), seconds.

    Proof.  On worker w the iteration that prefills i lasts at least prefill_time(p_i), as the time grows
    with the tokens, and then its d_i rounds at least a + b + c (p_i + k) each.  The least over the workers
    that fit it.
    """
    return np.asarray(alone_by_worker(instance).min(axis=1), dtype=np.float64)


def alone_by_worker(instance: Instance) -> FloatArray:
    """The same on every worker: shape (n, W), seconds; infinite where it does not fit."""
    r, found = instance.requests, np.full((instance.n, len(instance.workers)), np.inf)
    for w, worker in enumerate(instance.workers):
        fits = instance.fits_worker[:, w]
        p, d = r.prefill_tokens[fits], r.decode_tokens[fits]
        found[fits, w] = worker.prefill_time.seconds(p) + worker.decode_time.run_seconds(d, 1, p)
    return found


def earliest_completions(instance: Instance) -> FloatArray:
    """Completion of each request that runs alone from its arrival, on its fastest worker: shape (n,), seconds."""
    return instance.requests.arrival_s + alone_seconds(instance)
