"""Instances in which time is no more than rounds: the predicate, and start rounds on one worker with a KV capacity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.plan import Plan, Stage
from llmsched_mip.timing import FloatArray, IntArray

# Rounds that the searches hold an array of, 160 MB.
MOST_ROUNDS = 20_000_000


def times_are_rounds(instance: Instance) -> bool:
    """Whether times are round numbers: prefill without a time, rounds of a > 0, arrivals multiples of a."""
    later = instance.requests.arrival_s - instance.requests.arrival_s.min()
    for worker in instance.workers:
        decode = worker.decode_time
        if decode.per_sequence_s or decode.per_kv_token_s or decode.base_s <= 0 or not worker.prefill_time.free:
            return False
        if np.any(later != np.round(later / decode.base_s) * decode.base_s):
            return False
    return True


@dataclass(frozen=True, eq=False)
class UnitRounds:
    """Minimise Σ weight (start + d), KV ≤ capacity in every round; starts are rounds 0, 1, ...

    Parameters
    ----------
    p, d : int arrays, shape (n,)
        Prompt and output tokens.
    weight : float array, shape (n,)
    capacity : int
        KV tokens.
    round_s : float
        Seconds of a round, the unit of all start rounds.
    """

    p: IntArray
    d: IntArray
    weight: FloatArray
    capacity: int
    round_s: float

    @classmethod
    def of(cls, instance: Instance) -> UnitRounds | None:
        """The problem of an instance, or None where time is more than equal rounds.

        `times_are_rounds` for one worker and a backlog, no cap on prefill, a KV capacity and no slots that could
        bind.  None too where `within_memory` does not hold.
        """
        worker, r = instance.workers[0], instance.requests
        if (
            len(instance.workers) > 1
            or r.arrival_s.any()
            or not times_are_rounds(instance)
            or worker.kv_capacity is None
            or worker.max_prefill_tokens is not None
            or (worker.slots is not None and worker.slots < instance.n)
        ):
            return None
        problem = cls(r.prefill_tokens, r.decode_tokens, r.weight, worker.kv_capacity, worker.decode_time.base_s)
        return problem if problem.within_memory else None

    @property
    def within_memory(self) -> bool:
        """Whether an array over all rounds of any schedule without idle rounds is at most `MOST_ROUNDS` long."""
        return int(self.d.sum()) + int(self.d.max()) + 2 <= MOST_ROUNDS

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.p)

    @property
    def step(self) -> float:
        """Values are multiples of this (rounds): the largest power of two that divides all weights.

        0 where values are more than 2^40 times as large: in floating-point numbers that is as good as no step.
        """
        mantissa, exponent = np.frexp(self.weight)
        digits = (mantissa * 2.0**53).astype(np.int64)
        least_bit = np.log2((digits & -digits).astype(np.float64))
        step = 2.0 ** float((exponent - 53 + least_bit).min())
        longest = float(self.d.sum()) * float(self.weight.sum())
        return step if longest < 2.0**40 * step else 0.0

    def value(self, starts: IntArray) -> float:
        """Σ weight (start + d), in rounds."""
        return float(np.dot(self.weight, starts + self.d))

    def plan(self, instance: Instance, method: str, starts: IntArray) -> Plan:
        """The plan whose request i starts after `starts[i]` rounds; no round before the last may be idle."""
        rounds = np.unique(starts)
        last = int((starts + self.d).max())
        order = np.argsort(starts, kind="stable")
        batches = np.split(order, np.searchsorted(starts[order], rounds[1:], side="left"))
        spans = np.diff(np.append(rounds, last)).tolist()
        limited = instance.workers[0].slots is not None
        stages = [
            Stage(batch.tolist(), batch.tolist() if limited else None, span)
            for batch, span in zip(batches, spans, strict=True)
        ]
        return Plan.of(instance, method, [stages])
