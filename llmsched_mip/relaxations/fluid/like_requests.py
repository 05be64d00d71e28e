"""Groups of requests that are nearly alike, so that a model counts them together.

A model that takes every request of a group for the least of it loses Σ_i (w_i - w) seconds of work, w_i that of request
i and w that of one with the fewest prompt and decode tokens of the group; and, for a worker whose longest request is of
the group, the rounds between.  Groups are split where that falls most.
"""

from __future__ import annotations

import heapq
from dataclasses import astuple, dataclass

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.fluid.pricing import least_prefill_seconds
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.timing import FloatArray, IntArray, request_kv_volume


def like_requests(instance: Instance, most: int) -> list[IntArray]:
    """Indices of the requests of each group: those of one fit the same workers.

    Parameters
    ----------
    instance : Instance
    most : int
        Groups; there are more only where more sets of workers are fitted, fewer where requests are alike.
    """
    r, firsts = instance.requests, [int(workers[0]) for workers in instance.worker_kinds]
    pattern = np.unique(instance.fits_worker[:, firsts], axis=0, return_inverse=True)[1].reshape(-1)
    work = _Work.mean([Limits.of(instance, w) for w in firsts if instance.fits_worker[:, w].any()])

    def split(group: IntArray) -> tuple[float, int, IntArray, IntArray]:
        gain, left, right = work.best_split(r.prefill_tokens[group], r.decode_tokens[group])
        return -gain, int(group[0]), group[left], group[right]

    heap = [split(np.flatnonzero(pattern == which)) for which in range(int(pattern.max()) + 1)]
    heapq.heapify(heap)
    while len(heap) < most and heap[0][0] < 0:
        *_, left, right = heapq.heappop(heap)
        heapq.heappush(heap, split(left))
        heapq.heappush(heap, split(right))
    return [np.sort(np.concatenate((left, right))) for *_, left, right in heap]


@dataclass(frozen=True)
class _Work:
    """Seconds of a request of p prompt and d decode tokens: prompt p + token d + volume vol; of a round: base."""

    prompt: float
    token: float
    volume: float
    base: float

    @classmethod
    def mean(cls, limits: list[Limits]) -> _Work:
        """Of full workers of these kinds, in the mean."""
        return cls(*np.mean([astuple(cls._of(limit)) for limit in limits], axis=0).tolist())

    @classmethod
    def _of(cls, limit: Limits) -> _Work:
        time, most = limit.worker.decode_time, max(int(limit.p.max()), 1)
        prompt_s = float(limit.worker.prefill_time.prompt_seconds(most)) / most + least_prefill_seconds(limit)[1]
        token_s, volume_s = time.base_s / limit.slots, time.base_s / limit.kv
        return cls(prompt_s, time.per_sequence_s + token_s, time.per_kv_token_s + volume_s, time.base_s)

    def best_split(self, p: IntArray, d: IntArray) -> tuple[float, IntArray, IntArray]:
        """Seconds less that are lost by the best cut of a group, and both of its parts as positions in it."""
        best, parts = 0.0, (np.arange(len(p)), np.arange(0))
        for key, other in ((p, d), (d, p)):
            order = np.lexsort((other, key))
            lost = self._lost(p[order], d[order])
            rest = self._lost(p[order[::-1]], d[order[::-1]])[::-1]
            gains = lost[-1] - lost[:-1] - rest[1:]
            if len(gains) and gains.max() > best:
                cut = int(gains.argmax()) + 1
                best, parts = float(gains[cut - 1]), (order[:cut], order[cut:])
        return best, *parts

    def _lost(self, p: IntArray, d: IntArray) -> FloatArray:
        """Seconds lost by the first of these requests, the first two, and so on."""
        work, least = (self._seconds(*lengths) for lengths in ((p, d), (_falling(p), _falling(d))))
        rounds = np.maximum.accumulate(d) - _falling(d)
        return np.cumsum(work) - np.arange(1, len(p) + 1) * least + self.base * rounds

    def _seconds(self, p: IntArray, d: IntArray) -> FloatArray:
        volume: FloatArray = request_kv_volume(p, d).astype(np.float64)
        return self.prompt * p + self.token * d + self.volume * volume


def _falling(values: IntArray) -> IntArray:
    """The least so far."""
    return np.minimum.accumulate(values)
