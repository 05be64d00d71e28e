"""What is measured of a schedule, evaluated or replayed (docs/problem.md, section 3)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.texts import counted, percent_text, seconds_text
from llmsched_mip.timing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Schedule:
    """When every request ran; arrays of shape (n,), seconds, NaN where it did not.

    `worker` and `slot` are -1 where a request did not run or where there are no slots.
    """

    worker: IntArray
    slot: IntArray
    prefill_start_s: FloatArray
    decode_start_s: FloatArray
    first_token_s: FloatArray
    completion_s: FloatArray

    def __repr__(self) -> str:
        done = self.completion_s[np.isfinite(self.completion_s)]
        last = seconds_text(float(done.max()) if len(done) else None)
        return f"Schedule({len(done)} of {counted(len(self.worker), 'request')} complete, the last at {last} s)"


@dataclass(frozen=True, eq=False)
class WorkerUsage:
    """Slots and KV cache of one worker over time: its iterations, in order, with what is held in each.

    A *run* is one prefill iteration or a run of decode rounds in which the active set does not change; between two
    runs the worker waits and holds nothing.

    Parameters
    ----------
    name : str
    start_s, end_s : float arrays, shape (m,)
        Start and end of every run, seconds.
    prefill : bool array, shape (m,)
        Whether the run is a prefill iteration.
    tokens : int array, shape (m,)
        Prompt tokens of a prefill iteration; 0 for decode rounds.
    rounds : int array, shape (m,)
        Decode rounds; 0 for a prefill iteration.
    held : int array, shape (m,)
        Slots held: requests in decode, and in a prefill iteration those that it prefills.
    kv_first, kv_last : int arrays, shape (m,)
        KV tokens held in the first and in the last round of the run.
    """

    name: str
    start_s: FloatArray
    end_s: FloatArray
    prefill: np.ndarray
    tokens: IntArray
    rounds: IntArray
    held: IntArray
    kv_first: IntArray
    kv_last: IntArray

    def __repr__(self) -> str:
        return f"WorkerUsage({self.name!r}, {counted(len(self.start_s), 'run')})"


@dataclass(frozen=True, slots=True)
class WorkerTotals:
    """Totals of one worker: `busy` is Σ duration × requests served over its iterations, slot-seconds."""

    name: str
    busy: float
    prefill_iterations: int
    decode_rounds: int
    kv_peak: int


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures of a schedule; times in seconds, `utilization` null without slots.

    `utilization` is over the slots of all workers; `worker_utilization` is that of each worker over the same
    makespan.
    """

    makespan: float
    total_completion: float
    mean_latency: float
    p99_latency: float
    mean_time_to_first_token: float
    p99_time_to_first_token: float
    utilization: float | None
    worker_utilization: dict[str, float | None]
    prefill_iterations: int
    decode_rounds: int
    kv_peak: int

    def __repr__(self) -> str:
        times = ("makespan", "total_completion", "mean_latency", "p99_latency")
        parts = [f"{name.replace('_', ' ')} {seconds_text(getattr(self, name))} s" for name in times]
        return f"Measures({', '.join(parts)}, utilization {percent_text(self.utilization)})"

    def objective(self, name: str) -> float:
        """Value of the objective ``makespan`` or ``total_completion`` in seconds."""
        return float(getattr(self, name))

    def as_dict(self) -> dict[str, Any]:
        """Plain values; None for what is not finite, as in an infeasible schedule."""
        return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in asdict(self).items()}


def measure(instance: Instance, schedule: Schedule, totals: list[WorkerTotals]) -> Measures:
    """Measure a schedule of all requests; the times are NaN when a request did not complete."""
    requests = instance.requests
    latency = schedule.completion_s - requests.arrival_s
    to_first_token = schedule.first_token_s - requests.arrival_s
    with np.errstate(invalid="ignore"):
        p99_latency = float(np.percentile(latency, 99))
        p99_to_first_token = float(np.percentile(to_first_token, 99))
    makespan = float(np.max(schedule.completion_s))
    shares = {
        t.name: _share(t.busy, worker.slots, makespan) for t, worker in zip(totals, instance.workers, strict=True)
    }
    slots = [worker.slots for worker in instance.workers]
    all_slots = None if any(s is None for s in slots) else sum(s for s in slots if s is not None)
    return Measures(
        makespan=makespan,
        total_completion=float(np.sum(requests.weight * schedule.completion_s)),
        mean_latency=float(np.mean(latency)),
        p99_latency=p99_latency,
        mean_time_to_first_token=float(np.mean(to_first_token)),
        p99_time_to_first_token=p99_to_first_token,
        utilization=_share(sum(t.busy for t in totals), all_slots, makespan),
        worker_utilization=shares,
        prefill_iterations=sum(t.prefill_iterations for t in totals),
        decode_rounds=sum(t.decode_rounds for t in totals),
        kv_peak=max(t.kv_peak for t in totals),
    )


def _share(busy: float, slots: int | None, makespan: float) -> float | None:
    if slots is None or not 0 < makespan < np.inf:
        return None
    return busy / (slots * makespan)
