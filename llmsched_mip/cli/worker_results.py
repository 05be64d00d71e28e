"""What commands print with ``--json`` of workers, calibration and hand-over."""

from __future__ import annotations

from typing import Any, Literal

from llmsched_mip.cli.result_object import ResultObject


class WorkerResult(ResultObject):
    """Of `llmsched worker`: worker files as objects (their layout: `llmsched schema worker`), and what was written."""

    workers: list[dict[str, Any]]
    output: str | None


class TimingTableObject(ResultObject):
    """A timing table that was read, and what is to be said of it."""

    file: str
    rows: int
    notes: list[str]


class FitRegionObject(ResultObject):
    """Relative errors of the rows of a region: of their absolute values median and worst, and the median (bias)."""

    by: Literal["tokens", "decodes", "kv_tokens", "context"]
    least: float
    most: float
    rows: int
    median: float
    worst: float
    bias: float


class FitObject(ResultObject):
    """Iterations without (decode) or with (mixed) prompt tokens: rows of the fit, rows that cannot occur, errors."""

    name: Literal["decode", "mixed"]
    rows: int
    left_out: int
    r2: float
    median_error: float
    worst_error: float
    affine_error_left_out_rows: float
    """Mean absolute relative error of the affine form in cross-validation; the next is that of the form taken."""
    error_left_out_rows: float
    regions: list[FitRegionObject]
    warnings: list[str]


class CalibrateResult(ResultObject):
    """Of `llmsched calibrate`: the worker file as an object (its layout: `llmsched schema worker`), and the fit."""

    worker: dict[str, Any]
    output: str
    plot: str | None
    tables: list[TimingTableObject]
    regimes: list[FitObject]
    warnings: list[str]


class HandedOverObject(ResultObject):
    """The requests of a worker, and the file with their order; of one file for all, that file."""

    name: str
    requests: int
    file: str


class HandoverResult(ResultObject):
    """Of `llmsched handover`."""

    instance: str
    format: str
    workers: list[HandedOverObject]
