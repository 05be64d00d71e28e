"""Left shift: every prefill batch of a plan as early as slots and KV allow, in the same order on the same worker."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.models.start_rounds import Start
from llmsched_mip.timing import IntArray, request_kv_peak, run_kv_peak

MOST_CELLS = 20_000_000


def left_shift(instance: Instance, starts: list[Start]) -> list[Start]:
    """The starts with the batches moved: none starts before the one that precedes it, and no batch is split.

    Most starts become earlier, not all: a request that starts earlier holds more KV tokens in each round that it
    still shares with a later one.  A worker whose batches need arrays of more than `MOST_CELLS` numbers stays as it is.
    """
    shifted: list[Start] = []
    for w in range(len(instance.workers)):
        shifted += _one_worker(instance, w, sorted(start for start in starts if start.worker == w))
    return shifted


def _one_worker(instance: Instance, w: int, starts: list[Start]) -> list[Start]:
    r, worker = instance.requests, instance.workers[w]
    batches = [[s.request for s in batch] for _, batch in groupby(starts, key=lambda s: (s.round, s.iteration))]
    longest = [int(r.decode_tokens[batch].max()) for batch in batches]
    size = 2 + sum(longest)
    if max([size, *(len(batch) * rounds for batch, rounds in zip(batches, longest, strict=True))]) > MOST_CELLS:
        return starts
    held, active = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    slots = worker.most_slots(instance.n)
    capacity = worker.most_kv(int(request_kv_peak(r.prefill_tokens, r.decode_tokens).sum()))
    found: list[Start] = []
    earliest, before, iteration = 1, 0, 0
    for batch in batches:
        kv, count = _profile(r.prefill_tokens[batch], r.decode_tokens[batch])
        t = earliest
        while np.any(held[t : t + len(kv)] + kv > capacity) or np.any(active[t : t + len(kv)] + count > slots):
            t += 1
        held[t : t + len(kv)] += kv
        active[t : t + len(kv)] += count
        iteration = iteration + 1 if t == before else 0
        found += [Start(w, t, iteration, i) for i in batch]
        earliest = before = t
    return found


def _profile(p: IntArray, d: IntArray) -> tuple[IntArray, IntArray]:
    """KV tokens and requests of a batch in its rounds 1..max d."""
    made = np.arange(1, int(d.max()) + 1)
    running = made[None, :] <= d[:, None]
    return np.where(running, run_kv_peak(made[None, :], 1, p[:, None]), 0).sum(axis=0), running.sum(axis=0)
