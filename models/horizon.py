"""Rounds that a model has to look at: horizons that lose no better plan, and fewest rounds."""

from __future__ import annotations

import heapq

import numpy as np

from llmsched_mip.alone import earliest_completions
from llmsched_mip.instance import Instance
from llmsched_mip.timing import IntArray, decode_work_seconds, request_kv_peak
from llmsched_mip.unit_rounds import times_are_rounds

TOLERANCE = 1e-9
# Stands for any horizon that no model has room for: it and sums of it fit int64.
FAR = 2**53


def whole_horizon(instance: Instance) -> IntArray:
    """Most decode rounds of each worker: shape (W,).

    Proof.  Every round makes a token of a request that fits the worker (rounds without an active request are
    not part of a plan), so there are at most Σ d of these.  Unit rounds count the empty rounds of a wait too:
    none is left after the last arrival.  Horizons of `FAR` rounds and more are `FAR`: nothing is built for them.
    """
    d, arrival = instance.requests.decode_tokens, instance.requests.arrival_s
    most = np.array([int(d[fits].sum()) for fits in instance.fits_worker.T], dtype=np.int64)
    if times_are_rounds(instance):
        bases = np.array([worker.decode_time.base_s for worker in instance.workers])
        with np.errstate(over="ignore"):
            most += np.minimum(FAR, np.rint((arrival.max() - arrival.min()) / bases)).astype(np.int64)
    return most


def horizon_from_value(instance: Instance, value: float) -> IntArray:
    """Most decode rounds of each worker in any plan whose objective is below `value`: shape (W,).

    Proof.  Each round has an active request, which holds p + 1 tokens or more: it lasts at least
    g_w = a + b + c (min p + 1), and the rounds of a worker end with a completion.  So rounds ≤ C / g_w for every
    bound C on the completion times.  Makespan: C = value.  With one worker the conserved-work
    identity says more: a R + [work that no plan changes] + [one cheapest iteration] ≤ value less
    the first arrival.  Total completion: ω_i C_i ≤ value - Σ_{j ≠ i} ω_j e_j, with e_j the time at which j completes
    when it runs alone from its arrival on its fastest worker; C is the largest over i.
    Any horizon is also at most `whole_horizon`, and never below the longest request that must run somewhere.
    """
    most, makespan = whole_horizon(instance), instance.objective == "makespan"
    last = value if makespan else _latest_completion(instance, value)
    r = instance.requests
    within_s = last - float(r.arrival_s.min())
    for w, worker in enumerate(instance.workers):
        fits = instance.fits_worker[:, w]
        if not fits.any():
            continue
        decode = worker.decode_time
        least_s = float(decode.round_seconds(1, int(r.prefill_tokens[fits].min()) + 1))
        if least_s > 0:
            most[w] = min(most[w], _rounds_within(within_s / least_s * (1 + TOLERANCE)))
        if makespan and len(instance.workers) == 1 and decode.base_s > 0:
            volume = float(instance.kv_volume.sum(dtype=np.float64))
            work = float(decode_work_seconds(decode, float(r.decode_tokens.sum()), volume))
            work += worker.prefill_time.least_seconds(int(r.prefill_tokens.sum()))
            rounds = (within_s - work) / decode.base_s
            most[w] = min(most[w], _rounds_within(rounds * (1 + TOLERANCE) + TOLERANCE))
    return most


def _rounds_within(rounds: float) -> int:
    """Whole rounds, from 0 to `FAR`; `rounds` may be infinite."""
    return int(min(max(rounds, 0.0), float(FAR)))


def _latest_completion(instance: Instance, value: float) -> float:
    weighted = instance.requests.weight * earliest_completions(instance)
    return float(np.max((value - weighted.sum() + weighted) / instance.requests.weight))


def least_rounds(instance: Instance) -> int:
    """Fewest decode rounds of an instance with one worker.

    Proof.  A round makes at most J tokens of Σ d and holds at most M of Σ vol KV tokens; the longest request
    runs d rounds; and two requests whose last round and first round cannot meet never overlap (the requests with
    2 p + d + 1 > M, pairwise: the one that completes first holds p + d, the other at least p' + 1), so their
    lengths add up.
    """
    worker, r = instance.workers[0], instance.requests
    p, d = r.prefill_tokens, r.decode_tokens
    rounds = int(d.max())
    if worker.slots is not None:
        rounds = max(rounds, -(-int(d.sum()) // worker.slots))
    if worker.kv_capacity is not None:
        rounds = max(rounds, -(-int(instance.kv_volume.sum()) // worker.kv_capacity))
        rounds = max(rounds, _alone_rounds(p, d, worker.kv_capacity))
    return rounds


def _alone_rounds(p: IntArray, d: IntArray, capacity: int) -> int:
    """Most Σ d over the sets "peak ≥ P, prompt ≥ capacity - P": no two of them are ever in service together."""
    peak = request_kv_peak(p, d)
    order = np.argsort(-peak, kind="stable")
    best = together = 0
    # The least prompt that counts only grows along the order: what has left the set never comes back.
    lonely: list[tuple[int, int]] = []
    for prompt, length, high in zip(p[order].tolist(), d[order].tolist(), peak[order].tolist(), strict=True):
        heapq.heappush(lonely, (prompt, length))
        together += length
        while lonely and lonely[0][0] < capacity - high:
            together -= heapq.heappop(lonely)[1]
        best = max(best, together)
    return best
