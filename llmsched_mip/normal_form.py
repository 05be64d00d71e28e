"""Instances in a unit of time in which objectives are of order 1 to 1000, and the way back.

Solvers and searches know absolute tolerances (rows of HiGHS hold to 1e-9 at best); times may be microseconds or
years, and arrivals may be Unix timestamps.  So `solve` works on the *normal form* of an instance:

- times are multiplied by a power of two, after which the last completion is estimated at 256 to 512;
- weights are multiplied by a power of two, after which their mean is from 1 to 2;
- the earliest arrival is taken off all arrivals.

Multiplying by a power of two is exact, so an instance and the same with all times scaled by one have the same normal
form to the last bit, and all that is computed from it is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from llmsched_mip.alone import alone_seconds
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance, Worker
from llmsched_mip.plan import Plan, WorkerPlan

LAST_COMPLETION_EXPONENT = 9


@dataclass(frozen=True, eq=False)
class NormalForm:
    """The normal form of an instance, and how its times and values stand to the original's.

    Parameters
    ----------
    instance : Instance
        In the unit of the normal form.
    original : Instance
    time_exponent, weight_exponent : int
        Original times are those of `instance` times ``2**time_exponent``; weights likewise.
    shift_s : float
        Earliest arrival of the original, seconds.
    """

    instance: Instance
    original: Instance
    time_exponent: int
    weight_exponent: int
    shift_s: float

    @classmethod
    def of(cls, instance: Instance) -> NormalForm:
        """The normal form of `instance`; the instance itself where nothing is to be changed."""
        r = instance.requests
        shift = float(r.arrival_s.min())
        last = max(float(r.arrival_s.max()) - shift, _work_seconds(instance))
        exponent = _exponent(last) - LAST_COMPLETION_EXPONENT if 0 < last < math.inf else 0
        weights = 0
        if instance.objective == "total_completion":
            weights = _exponent(math.fsum(r.weight.tolist()) / instance.n) - 1
        if exponent == weights == 0 and shift == 0:
            return cls.of_itself(instance)
        arrival, weight = np.ldexp(r.arrival_s - shift, -exponent), np.ldexp(r.weight, -weights)
        try:
            scaled = replace(
                instance,
                requests=replace(r, arrival_s=arrival, weight=weight),
                workers=tuple(scaled_worker(worker, -exponent) for worker in instance.workers),
            )
        except InvalidInputError:
            # Times or weights so far apart that the least vanish beside the largest.
            return cls.of_itself(instance)
        return cls(scaled, instance, exponent, weights, shift)

    @classmethod
    def of_itself(cls, instance: Instance) -> NormalForm:
        """The instance as it is."""
        return cls(instance, instance, 0, 0, 0.0)

    def value(self, value: float) -> float:
        """A value or a bound of the normal form as one of the original, seconds."""
        if self.original.objective == "makespan":
            return math.ldexp(value, self.time_exponent) + self.shift_s
        later = self.shift_s * math.fsum(self.original.requests.weight.tolist()) if self.shift_s else 0.0
        return math.ldexp(value, self.time_exponent + self.weight_exponent) + later

    def plan_of_original(self, plan: Plan) -> Plan:
        """A plan for the normal form as one for the original."""
        workers = tuple(_moved(stages, self.time_exponent, self.shift_s) for stages in plan.workers)
        return replace(plan, workers=workers, instance_digest=self.original.digest)

    def plan_of_normal_form(self, plan: Plan) -> Plan:
        """A plan for the original as one for the normal form."""
        workers = tuple(_moved(stages, -self.time_exponent, -self.shift_s) for stages in plan.workers)
        digest = plan.instance_digest
        return replace(
            plan, workers=workers, instance_digest=self.instance.digest if digest == self.original.digest else digest
        )


def _moved(stages: WorkerPlan, exponent: int, shift: float) -> WorkerPlan:
    """The stages with `not_before_s` in the other unit: shifted before it is scaled up, after it is scaled down."""
    times = stages.not_before_s
    if times is None:
        return stages
    moved = np.ldexp(times, exponent) + shift if shift >= 0 else np.ldexp(times + shift, exponent)
    return replace(stages, not_before_s=np.maximum(moved, 0.0))


def _exponent(value: float) -> int:
    """e with 2**(e - 1) ≤ value < 2**e, for a positive value."""
    return math.frexp(value)[1]


def _work_seconds(instance: Instance) -> float:
    """About how long all the work takes when it is shared among the workers, seconds."""
    least = instance.work_seconds.min(axis=1)
    return max(float(alone_seconds(instance).max()), float(least.sum()) / len(instance.workers))


def scaled_worker(worker: Worker, exponent: int) -> Worker:
    """The worker with all times multiplied by ``2**exponent``."""
    prefill, decode = worker.prefill_time.scaled(exponent), worker.decode_time.scaled(exponent)
    return replace(worker, prefill_time=prefill, decode_time=decode)
