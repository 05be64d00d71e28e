"""What one worker can hold at most, from its own limits and from the requests themselves.

Every bound divides by these numbers, so they are always finite and as small as a short proof allows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from llmsched_mip.instance import Instance, Worker
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

        Proof.  At most J hold a slot, at most m exist.  Requests in service together stay together until
        their next common round (none completes without one), and in that round each holds at least p + 1 KV
        tokens; the k smallest values of p + 1 have to fit M.
        """
        most = len(self.p) if self.worker.slots is None else min(self.worker.slots, len(self.p))
        if self.worker.kv_capacity is None:
            return most
        held = np.cumsum(np.sort(self.p + 1))
        return min(most, int(np.searchsorted(held, self.worker.kv_capacity, side="right")))

    @cached_property
    def kv(self) -> int:
        """Most KV tokens held in a round: the capacity, or the `slots` largest peaks p + d if less."""
        peaks = np.sort(request_kv_peak(self.p, self.d))[::-1][: self.slots]
        return _least(self.worker.kv_capacity, exact_sum(peaks))

    @cached_property
    def batch_tokens(self) -> int:
        """Most prompt tokens in one prefill iteration.

        Proof.  The cap and the last level bound it by definition.  The members of a batch run their next
        round together and hold p + 1 each, so Σ p ≤ M - 1.  And no batch holds more than all prompts do.
        """
        kv = self.worker.kv_capacity
        largest = exact_sum(np.sort(self.p)[::-1][: self.slots])
        return _least(self.worker.max_prefill_tokens, _least(None if kv is None else kv - 1, largest))


def _least(limit: int | None, value: int) -> int:
    return value if limit is None else min(limit, value)
