"""The forward KV check where every slot that empties is filled again."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
from scipy.special import ndtri

from llmsched_mip.instance import Worker
from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.chance_admission import RISK
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.queue import WaitingQueue
from llmsched_mip.policies.parts.survival import active_arrays
from llmsched_mip.policies.protocol import Problem, WorkerView, prompt_tokens
from llmsched_mip.timing import FloatArray, IntArray

STEPS, SAMPLE = 32, 64
REACH = 0.4
"""The check looks as far ahead as a new request runs on with this chance: beyond that the KV cache is mostly held by
refills that can still be withheld, and early on by lengths that nobody has seen (measured: 0.2 to 0.5)."""


class RefillAdmission(Admission):
    """The forward KV check in distribution, of the requests that run and of those that will take their slots.

    A slot is a renewal process: it holds a request, then the next one (Feller, volume II, chapter XI).  In each of 32
    steps ahead, as far as `REACH` says, the KV held is the sum over requests that run, with the chance that they
    still do, and over those that are started until then as others end, as long as any wait.  Its mean plus a multiple
    of its standard deviation has to stay within the capacity.  So no more slots are filled together than the KV cache
    bears when all of them are at their longest, and slots that end then are refilled one by one.

    The lengths of N requests that are drawn from a population of which only n are known have together the predictive
    variance N σ² (1 + N / n): while few have ended, fewer are started.

    Where the KV cache does not bear all slots in a steady state, it is what binds: it is full all the time, there is no
    wave to spread, and refills can be withheld.  There only what runs and what is started now counts.

    Parameters
    ----------
    worker : Worker
    estimator : Estimator
    prompts : list of int
    risk : float
        Accepted risk of an overflow in a step ahead.
    """

    def __init__(self, worker: Worker, estimator: Estimator, prompts: list[int], risk: float = RISK):
        super().__init__(worker, estimator, prompts)
        self.profile = None
        self.factor = float(ndtri(1.0 - risk))
        self.all_prompts = np.array(prompts, dtype=np.int64)
        self.queue: WaitingQueue | None = None
        self.share = 1.0
        self.completed_count = 0
        self._fitted: tuple[int, int] | None = None
        self.ahead: IntArray = np.ones(1, dtype=np.int64)

    def follow(self, queue: WaitingQueue, share: float) -> None:
        """Take note of where refills come from: this worker's share of a queue."""
        self.queue, self.share = queue, share

    def batch(self, view: WorkerView, candidates: Iterable[int], skip: bool) -> list[int]:
        """As `Admission.batch`."""
        capacity = self.worker.kv_capacity
        if capacity is None or not self.queue:
            return super().batch(view, candidates, skip)
        near = list(candidates if skip else islice(candidates, view.free_slots))
        if not near:
            return []
        self._fit(capacity)
        self.waiting = self.share * len(self.queue)
        self.count = view.active
        requests, made = active_arrays(view)
        self.mean, self.variance, self.ends = (part.sum(axis=0) for part in self._parts(requests, made))
        chosen = np.array(near)
        rows = self._parts(chosen, np.zeros(len(chosen), dtype=np.int64))
        self.rows = {i: (rows[0][k], rows[1][k], rows[2][k]) for k, i in enumerate(near)}
        return super().batch(view, near, skip)

    def completed(self, request: int) -> None:
        """Count one more length that is known."""
        super().completed(request)
        self.completed_count += 1

    def _fit(self, capacity: int) -> None:
        """Learn anew how refills follow each other, where the estimates or the queue have changed."""
        assert self.queue is not None
        fitted = (self.estimator.version, len(self.queue) // SAMPLE)
        if self._fitted == fitted:
            return
        self._fitted = fitted
        waiting = list(self.queue)
        sample = np.array(waiting[:: max(1, len(waiting) // SAMPLE)])
        zeros = np.zeros(len(sample), dtype=np.int64)
        reach = np.unique(np.geomspace(1, capacity, 64).astype(np.int64))
        alive = self.estimator.alive(sample, zeros, reach).mean(axis=0)
        most = max(2, int(reach[min(int(np.sum(alive > REACH)), len(reach) - 1)]))
        steps = min(STEPS, most)
        self.ahead = np.ceil(np.arange(1, steps + 1) * (most / steps)).astype(np.int64)
        # What starts in a step is counted from its end on.
        ages = np.append(1, self.ahead[:-1])
        alive = self.estimator.alive(sample, zeros, np.append(ages, self.ahead[-1]))
        held = self.all_prompts[sample][:, None] + ages[None, :]
        ends = -np.diff(alive.mean(axis=0))
        self.starts = np.linalg.inv(np.eye(steps) - _convolution(np.append(0.0, ends[:-1])))
        self.first = _convolution((alive[:, :-1] * held).mean(axis=0))
        self.second = _convolution((alive[:, :-1] * held**2).mean(axis=0))
        steps_s = np.diff(self.ahead, prepend=0)
        slot_kv = float(self.first[:, 0] @ steps_s) / float(alive[:, :-1].mean(axis=0) @ steps_s)
        slots = self.worker.slots
        self.binds = slots is None or slots * slot_kv > capacity

    def _parts(self, requests: IntArray, made: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Of each request, in each step: mean and variance of its KV, and the chance that it ends."""
        chance = self.estimator.alive(requests, made, self.ahead)
        held = (self.all_prompts[requests] + made)[:, None] + self.ahead[None, :]
        return chance * held, chance * (1.0 - chance) * held**2, -np.diff(chance, axis=1, prepend=1.0)

    def _kv_fits(self, view: WorkerView, i: int, capacity: int | None, held: int) -> bool:
        if capacity is None or not self.queue:
            return True
        if held + self.prompts[i] + 1 > capacity:
            return False
        mean, variance, ends = self.rows[i]
        mean, variance, ends = self.mean + mean, self.variance + variance, self.ends + ends
        count, waiting = self.count + 1, self.waiting - 1
        begun = np.minimum(np.cumsum(self.starts @ ends), 0.0 if self.binds else max(waiting, 0.0))
        starts = np.diff(begun, prepend=0.0)
        refills = self.first @ starts
        # Each slot holds at most one of those that were started in it.
        spread = np.maximum(0.0, self.second @ starts - refills**2 / np.maximum(count, begun))
        unsure = 1.0 if self.binds else 1.0 + count / (1.0 + self.completed_count)
        most = mean + refills + self.factor * np.sqrt((variance + spread) * unsure)
        if held > 0 and np.any(most > capacity):
            return False
        self.mean, self.variance, self.ends, self.count, self.waiting = mean, variance, ends, count, waiting
        return True


def _convolution(values: FloatArray) -> FloatArray:
    """The lower triangular matrix whose product with a vector is its convolution with `values`."""
    lag = np.subtract.outer(np.arange(len(values)), np.arange(len(values)))
    return np.where(lag >= 0, values[np.maximum(lag, 0)], 0.0)


def refill_admission(problem: Problem, estimator: Estimator, risk: float = RISK) -> list[Admission]:
    """`RefillAdmission` for every worker."""
    prompts = prompt_tokens(problem)
    return [RefillAdmission(worker, estimator, prompts, risk) for worker in problem.workers]
