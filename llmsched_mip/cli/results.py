"""What every command prints with ``--json``: one object each, its keys and their types."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from llmsched_mip.cli.result_object import ResultObject
from llmsched_mip.cli.train_result import TrainResult
from llmsched_mip.cli.worker_results import CalibrateResult, HandoverResult, WorkerResult

Status = Literal["optimal", "feasible", "no plan"]


class FailureObject(ResultObject):
    """A part that failed and was left out."""

    part: str
    message: str


class EventObject(ResultObject):
    """An improvement of the incumbent or the bound, seconds after the start; or a note."""

    seconds: float
    incumbent: float | None
    bound: float | None
    gap: float | None
    source: str


class MeasuresObject(ResultObject):
    """Of a schedule: times in seconds, utilizations as shares (null without slots)."""

    makespan: float | None
    total_completion: float | None
    mean_latency: float | None
    p99_latency: float | None
    mean_time_to_first_token: float | None
    p99_time_to_first_token: float | None
    utilization: float | None
    worker_utilization: dict[str, float | None]
    prefill_iterations: int
    decode_rounds: int
    kv_peak: int


class StochasticObject(ResultObject):
    """Of a plan that was made without seeing the lengths; half widths are those of 95 % confidence intervals.

    Seconds, weighted for total_completion; `statistical_bound` is an estimate from scenarios, not a proof.
    """

    lengths: str
    distribution: str
    scenarios: int
    fresh_scenarios: int
    clairvoyant_scenarios: int
    value_in_sample: float
    expected_value: float
    expected_value_half_width: float
    value_of_stochastic_solution: float | None
    value_of_stochastic_solution_half_width: float | None
    value_of_perfect_information: float | None
    value_of_perfect_information_half_width: float | None
    most_value_of_perfect_information: float | None
    statistical_bound: float | None
    overflow_risk: float
    overflow_share: float
    executed_value: float
    evictions: int


class SolveResult(ResultObject):
    """Of `llmsched solve`; without a plan (exit code 3) what is of a plan is null."""

    instance: str
    objective: str
    method: str
    status: Status
    value: float | None
    """Seconds; weighted seconds for total_completion, as all bounds."""
    bound: float | None
    gap: float | None
    """(value - bound) / value."""
    bounds: dict[str, float]
    seconds: float | None
    failures: list[FailureObject]
    above_bound: float | None
    """(value - bound) / bound."""
    fcfs: float | None
    """Value of first-come-first-served with known lengths; null where its replay took too long."""
    faster_than_fcfs: float | None
    """(fcfs - value) / fcfs."""
    verdict: str | None
    interrupted: bool | None
    measures: MeasuresObject | None
    trace: list[EventObject]
    stochastic: StochasticObject | None
    """Null where lengths were known."""


class HiddenBoundObject(ResultObject):
    """A lower bound on the mean of every policy that does not see the lengths; seconds, of what lengths."""

    value: float
    error: float
    draws: int
    model: str


class BoundResult(ResultObject):
    """Of `llmsched bound`: by name the values, the seconds spent, and what a proof needs."""

    instance: str
    objective: str
    semantics: str
    bounds_of_plans: dict[str, float] | None
    """Of mixed semantics: what bounds the plans, executed exclusively, and not a mixed execution."""
    bounds: dict[str, float]
    hidden: HiddenBoundObject | None
    """With `--lengths interval` or `unknown`."""
    best: float
    binding: str
    seconds: dict[str, float]
    certificates: dict[str, dict[str, Any]]
    failures: list[FailureObject]


class ReplayResult(MeasuresObject):
    """Of `llmsched replay`; `seconds` is the wall time of the replay."""

    instance: str
    policy: str
    lengths: str
    semantics: str
    evictions: int
    prefix_hit_tokens: int | None
    bounds: dict[str, float] | None
    """Under mixed semantics, by objective: what no mixed execution can be below; null where it would take long."""
    seconds: float


class CheckResult(ResultObject):
    """Of `llmsched check`; exit code 1 where `valid` is false: `error` of a file, or `violations` of a plan."""

    instance: str | None
    plan: str | None
    valid: bool
    error: str | None
    violations: list[str]
    measures: MeasuresObject | None


class InstanceResult(ResultObject):
    """Of `llmsched generate` and `llmsched import`: the instance file that was written."""

    file: str
    instance: str
    instance_digest: str
    requests: int
    workers: int


class ExportResult(ResultObject):
    """Of `llmsched export`: the model file that was written."""

    file: str
    instance: str
    model: str
    rows: int
    columns: int
    nonzeros: int


class GanttResult(ResultObject):
    """Of `llmsched gantt`: the picture that was written."""

    file: str
    instance: str
    requests: int


class ReportResult(ResultObject):
    """Of `llmsched report`: the page or table that was written; plans and studies that had something amiss."""

    file: str
    format: str
    results: int
    schedules: int
    notes: list[str]


class StudyRowObject(ResultObject):
    """Means of a row of the study, by objective and time limit."""

    row: str
    lengths: str | None
    objective: str
    time_limit_s: float | None
    results: int
    failed: int
    value: float | None
    gap: float | None
    utilization: float | None
    seconds: float | None


class StudyResult(ResultObject):
    """Of `llmsched study`: cases in the ledger, those of this run, and the tables that were written."""

    folder: str
    cases: int | None
    recorded: int | None
    new: int | None
    rows: list[StudyRowObject]
    files: list[str]


class ExampleObject(ResultObject):
    """An instance that ships with the package."""

    name: str
    requests: int
    workers: int
    objective: str
    description: str


class ExamplesResult(ResultObject):
    """Of `llmsched examples`."""

    examples: list[ExampleObject]


class CompileResult(ResultObject):
    """Of `llmsched compile`: functions that were not in the cache, and the seconds of it all."""

    functions: int
    seconds: float


class ImportResult(InstanceResult):
    """Of `llmsched import`: also the format, what was assumed or ignored, and the ids of what fits no worker."""

    format: str
    notes: list[str]
    unfit: list[str]


class SizeStepObject(ResultObject):
    """So many workers: seconds of the bound and the plan, and whether the deadline is met (null: nobody knows)."""

    workers: int
    bound: float | None
    value: float | None
    meets: bool | None
    cost: dict[str, Any] | None


class SizeResult(ResultObject):
    """Of `llmsched size`: the fewest workers with a plan that meets the deadline, the most that provably cannot."""

    instance: str
    worker: str
    deadline_s: float
    deadline: str
    fewest: int | None
    impossible: int
    steps: list[SizeStepObject]


class ReadSolutionResult(ResultObject):
    """Of `llmsched read-solution`: what the solver's file says, and what the plan is worth."""

    instance: str
    objective: str
    model: str
    method: str
    solver_status: str | None
    solver_objective: float | None
    model_objective: float | None
    status: str
    value: float
    bound: float | None
    gap: float | None
    bounds: dict[str, float]


RESULTS: dict[str, type[BaseModel]] = {
    "solve": SolveResult,
    "bound": BoundResult,
    "replay": ReplayResult,
    "check": CheckResult,
    "generate": InstanceResult,
    "import": ImportResult,
    "worker": WorkerResult,
    "calibrate": CalibrateResult,
    "handover": HandoverResult,
    "train": TrainResult,
    "size": SizeResult,
    "read-solution": ReadSolutionResult,
    "export": ExportResult,
    "report": ReportResult,
    "gantt": GanttResult,
    "study": StudyResult,
    "examples": ExamplesResult,
    "compile": CompileResult,
}
"""Name of a command to what it prints with ``--json``; `schema` alone prints JSON anyway."""
