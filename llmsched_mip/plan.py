"""A plan: for every worker its stages, each one prefill iteration and then decode rounds (docs/problem.md, 7).

In memory the stages of a worker are flat arrays, so that a plan for a million requests stays small; requests
are indices into the instance's columns.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.stochastic_values import StochasticValues
from llmsched_mip.texts import counted, html_table, percent_text, seconds_text
from llmsched_mip.timing import FloatArray, IntArray
from llmsched_mip.tolerance import meets
from llmsched_mip.views import VIEWS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_SHORT = reprlib.Repr()
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

    def __repr__(self) -> str:
        slots = None if self.slots is None else _SHORT.repr(self.slots)
        late = f", not_before_s={self.not_before_s:g}" if self.not_before_s else ""
        return f"Stage(requests={_SHORT.repr(self.requests)}, slots={slots}, rounds={self.rounds}{late})"


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

    def __repr__(self) -> str:
        return (
            f"WorkerPlan({self.name!r}, {counted(len(self), 'stage')}, {counted(len(self.requests), 'request')}, "
            f"{counted(int(self.rounds.sum()), 'round')})"
        )

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

    def __repr__(self) -> str:
        value, bound, gap = seconds_text(self.value), seconds_text(self.bound), percent_text(self.gap, 3)
        return f"Claims({self.status}, value {value} s, bound {bound} s, gap {gap})"

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
    stochastic : StochasticValues or None
        Of a plan that was made without seeing the lengths: what was expected of it.
    """

    instance: str
    instance_digest: str
    objective: str
    method: str
    workers: tuple[WorkerPlan, ...]
    claims: Claims = Claims()
    duals: dict[str, Duals] = field(default_factory=dict)
    stochastic: StochasticValues | None = None

    def __repr__(self) -> str:
        stages, workers = counted(self._stage_count, "stage"), counted(len(self.workers), "worker")
        return f"Plan({self.instance!r}, {self.method!r}, {stages} on {workers})"

    def _repr_html_(self) -> str:
        claims = self.claims
        rows = [
            ("instance", self.instance),
            ("method", self.method),
            ("objective", self.objective),
            ("status", claims.status),
            ("value", f"{seconds_text(claims.value)} s"),
            ("bound", f"{seconds_text(claims.bound)} s"),
            ("gap", percent_text(claims.gap, 3)),
            ("workers", str(len(self.workers))),
            ("stages", str(self._stage_count)),
            ("requests", str(sum(len(stages.requests) for stages in self.workers))),
        ]
        return html_table(f"Plan for {self.instance}", rows)

    @property
    def _stage_count(self) -> int:
        return sum(len(stages) for stages in self.workers)

    def schedule(self, instance: Instance) -> pd.DataFrame:
        """When each request runs, a row a request; the columns are those of `Result.schedule`.

        Raises
        ------
        InvalidPlanError
            The plan breaks the model, or is one of another instance.
        """
        return VIEWS["plan_schedule"](instance, self)

    def stages(self, instance: Instance) -> pd.DataFrame:
        """What each stage holds, a row a stage; columns and errors are those of `Result.stages`."""
        return VIEWS["plan_stages"](instance, self)

    def plot(self, instance: Instance, ax: Axes | None = None, title: str | None = None) -> Axes:
        """Draw the plan as a Gantt chart; arguments, axes and errors are those of `Result.plot`."""
        axes: Axes = VIEWS["plot_gantt"](instance, self, ax, title)
        return axes

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
