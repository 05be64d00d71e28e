"""What one worker can hold at most, from its own limits and from the requests themselves.

Every bound divides by these numbers, so they are always finite and as small as a short proof allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from llmsched_mip.instance import Instance, Worker
from llmsched_mip.limits import finite
from llmsched_mip.timing import IntArray, request_kv_peak


def exact_sum(values: IntArray) -> int:
    """Sum of non-negative integers without overflow: exact below 2**63, else rounded down."""
    rough = float(np.sum(values, dtype=np.float64))
    return int(np.sum(values)) if rough < 2.0**62 else int(rough * (1 - 1e-12))


def ceil_div(a: int, b: int) -> int:
    """⌈a / b⌉ for integers, b > 0."""
    return -(-a // b)


@dataclass(frozen=True)
class Limits:
    """Limits of a worker for the requests that fit it; `p` and `d` are their tokens, shape (m,)."""

    worker: Worker
    p: IntArray
    d: IntArray

    @classmethod
    def of(cls, instance: Instance, w: int) -> Limits:
        """Limits of worker number `w`; requests that do not fit it alone are left out."""
        fits, r = instance.fits_worker[:, w], instance.requests
        return cls(instance.workers[w], r.prefill_tokens[fits], r.decode_tokens[fits])

    @cached_property
    def slots(self) -> int:
        """Most requests in service at once.

        Proof.  At most J hold a slot, at most m exist.  Requests in service together stay together until the
        first of them completes.  In that round it holds p + d KV tokens and each other at least p + 1, so
        their Σ (p + 1) is at most M - (min d - 1) = `start_capacity`; the k smallest values of p + 1 have
        to fit it.
        """
        most = self.worker.most_slots(len(self.p))
        if self.start_capacity is None:
            return most
        held = np.cumsum(np.sort(self.p + 1))
        return min(most, int(np.searchsorted(held, self.start_capacity, side="right")))

    @cached_property
    def start_capacity(self) -> int | None:
        """Most Σ (p + 1) of requests that are in service together; None without a KV capacity.  See `slots`."""
        kv = self.worker.kv_capacity
        return None if kv is None else kv - (int(self.d.min()) if len(self.d) else 1) + 1

    @cached_property
    def area_rounds(self) -> int:
        """Decode rounds by slot-rounds: the largest ⌈Σd / k⌉ over the sets of the m longest prompts.

        Proof.  For any set of requests, at most k of them are in service at once (`slots`, for that set
        alone), so a round makes at most k of their Σd tokens.
        """
        rounds = ceil_div(exact_sum(self.d), self.slots)
        if self.worker.kv_capacity is None:
            return rounds
        order = np.lexsort((self.d, -self.p))
        held = np.concatenate(([0], np.cumsum(self.p[order] + 1)))
        budget = self.worker.kv_capacity - np.minimum.accumulate(self.d[order]) + 1
        count = np.arange(1, len(order) + 1)
        together = count - np.searchsorted(held, held[1:] - budget, side="left")
        together = np.minimum(together, self.slots)
        return max(rounds, int(np.max(-(-np.cumsum(self.d[order]) // together))))

    @cached_property
    def kv(self) -> int:
        """Most KV tokens held in a round: the capacity, or the `slots` largest peaks p + d if less."""
        peaks = np.sort(request_kv_peak(self.p, self.d))[::-1][: self.slots]
        return self.worker.most_kv(exact_sum(peaks))

    @cached_property
    def batch_tokens(self) -> int:
        """Most prompt tokens in one prefill iteration.

        Proof.  The cap and the last level bound it by definition.  The members of a batch are in service
        together, so Σ (p + 1) is at most `start_capacity`.  And no batch holds more than the `slots`
        largest prompts.
        """
        start = None if self.start_capacity is None else self.start_capacity - 1
        largest = exact_sum(np.sort(self.p)[::-1][: self.slots])
        return self.worker.most_prefill(finite(start, largest))
