"""A plan: for every worker its stages, each one prefill iteration and then decode rounds (docs/problem.md, 7).

In memory the stages of a worker are flat arrays, so that a plan for a million requests stays small; requests
are indices into the instance's columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.tolerance import meets

STATUSES = ("optimal", "feasible")


class Duals(NamedTuple):
    """What a relaxation prices the capacity of one worker at.

    Parameters
    ----------
    slot_s, kv_token_s : float
        Seconds of makespan, or weighted seconds of total completion, that a slot-second or a KV-token-second is worth:
        0 where that limit does not bind.
    """

    slot_s: float
    kv_token_s: float


class Stage(NamedTuple):
    """One prefill iteration of `requests` into `slots`, then `rounds` decode rounds."""

    requests: list[int]
    slots: list[int] | None
    rounds: int
    not_before_s: float = 0.0


@dataclass(frozen=True, eq=False)
class WorkerPlan:
    """The stages of one worker as flat arrays.

    Parameters
    ----------
    name : str
        Name of the worker.
    requests : int array, shape (m,)
        Request indices in stage order; -1 stands for an id that is not in the instance (see `unknown`).
    offsets : int array, shape (S + 1,)
        Stage k holds ``requests[offsets[k]:offsets[k + 1]]``.
    rounds : int array, shape (S,)
        Decode rounds of each stage.
    slots : int array, shape (m,), or None
        Slot ("client") of each request; -1 where a stage of the file gives none.
    not_before_s : float array, shape (S,), or None
        Earliest start of each stage in seconds.
    unknown : dict of int to str
        Ids that are not in the instance, by position in `requests`.
    """

    name: str
    requests: IntArray
    offsets: IntArray
    rounds: IntArray
    slots: IntArray | None = None
    not_before_s: FloatArray | None = None
    unknown: dict[int, str] = field(default_factory=dict)

    @classmethod
    def from_stages(cls, name: str, stages: Sequence[Stage]) -> WorkerPlan:
        """Pack a list of stages."""
        sizes = np.array([len(stage.requests) for stage in stages], dtype=np.int64)
        flat = [i for stage in stages for i in stage.requests]
        slots: IntArray | None = None
        if any(stage.slots is not None for stage in stages):
            slots = np.array([s for stage in stages for s in _padded(stage)], dtype=np.int64)
        not_before = np.array([stage.not_before_s for stage in stages], dtype=np.float64)
        return cls(
            name,
            np.array(flat, dtype=np.int64),
            np.concatenate(([0], np.cumsum(sizes))).astype(np.int64),
            np.array([stage.rounds for stage in stages], dtype=np.int64),
            slots,
            not_before if not_before.any() else None,
        )

    def __len__(self) -> int:
        return len(self.rounds)

    def __iter__(self) -> Iterator[Stage]:
        return (self.stage(k) for k in range(len(self)))

    def stage(self, k: int) -> Stage:
        """Stage k as a tuple of plain lists."""
        span = slice(self.offsets[k], self.offsets[k + 1])
        return Stage(
            self.requests[span].tolist(),
            None if self.slots is None else self.slots[span].tolist(),
            int(self.rounds[k]),
            0.0 if self.not_before_s is None else float(self.not_before_s[k]),
        )


def _padded(stage: Stage) -> list[int]:
    return list(stage.slots) if stage.slots is not None else [-1] * len(stage.requests)


@dataclass(frozen=True)
class Claims:
    """What the maker of a plan says of it; `evaluate` says whether that is true.

    Parameters
    ----------
    status : str
        ``optimal`` (proven) or ``feasible``.
    value, bound, gap : float or None
        Objective value, best proven lower bound, both in seconds, and (value - bound) / value.
    bounds : dict of str to float
        Proven lower bounds on the objective by name, seconds; `bound` is the largest.
    seconds : float
        Time that the method took.
    """

    status: str = "feasible"
    value: float | None = None
    bound: float | None = None
    gap: float | None = None
    bounds: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def of(cls, value: float, bounds: dict[str, float], seconds: float, proven: bool | None = None) -> Claims:
        """The claims of a value under these bounds.

        The status is ``optimal`` when `proven`; by default, when the best bound meets the value.
        """
        bound = max(bounds.values(), default=None)
        met = bound is not None and meets(bound, value)
        if bound is not None and met:
            bound = min(value, bound)
        status = "optimal" if bound is not None and (met if proven is None else proven) else "feasible"
        return cls(status, value, bound, None if bound is None else relative_gap(value, bound), dict(bounds), seconds)


@dataclass(frozen=True, eq=False)
class Plan:
    """The stages of every worker of an instance.

    Parameters
    ----------
    instance, instance_digest : str
        Name and digest of the instance.
    objective : str
        ``makespan`` or ``total_completion``: what the plan is for, and what its claims are about.
    method : str
    workers : tuple of WorkerPlan
    claims : Claims
        What a plan file says of its plan; none for a plan that was just made.
    duals : dict of str to Duals
        By the name of the worker; empty where nothing is known.
    """

    instance: str
    instance_digest: str
    objective: str
    method: str
    workers: tuple[WorkerPlan, ...]
    claims: Claims = Claims()
    duals: dict[str, Duals] = field(default_factory=dict)

    def __repr__(self) -> str:
        stages = sum(len(stages) for stages in self.workers)
        return f"Plan({self.instance!r}, {self.method!r}, {stages} stages on {len(self.workers)} workers)"

    @classmethod
    def of(cls, instance: Instance, method: str, stages: Sequence[Sequence[Stage]]) -> Plan:
        """Make a plan for the instance's objective, without claims, from the stages of every worker."""
        workers = tuple(
            WorkerPlan.from_stages(worker.name, here) for worker, here in zip(instance.workers, stages, strict=True)
        )
        return cls(instance.name, instance.digest, instance.objective, method, workers)

    def with_claims(self, value: float, bounds: dict[str, float], seconds: float, proven: bool | None = None) -> Plan:
        """The plan with the claims of `Claims.of`."""
        return replace(self, claims=Claims.of(value, bounds, seconds, proven))


def relative_gap(value: float, bound: float) -> float:
    """(value - bound) / value, 0 for a value of 0 (docs/problem.md, section 3)."""
    return (value - bound) / value if value else 0.0
