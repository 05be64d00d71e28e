"""A worker from measured iterations: both regimes of its engine, and the exclusive form, from the same tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import readable
from llmsched_mip.mixed_engine import Collective, IterationTime, MixedEngine
from llmsched_mip.operations.fit_quality import Quality, collinear, quality, uncovered
from llmsched_mip.operations.iteration_fit import MEASURE, PARTS, Fit, fit_iterations, nonnegative
from llmsched_mip.operations.timing_tables import Timings, TimingTable, joined
from llmsched_mip.texts import counted, percent_text
from llmsched_mip.timing import AffinePrefill, DecodeTime, FloatArray
from llmsched_mip.worker import Worker, validate_worker

DECODE_PARTS = ("per_sequence_s", "per_kv_token_s")
LEAST_PROMPTS = 2
REGIMES = {"decode": "without prompt tokens", "mixed": "with prompt tokens"}


@dataclass(frozen=True)
class EngineLimits:
    """What the engine was started with, and what its tables leave out.

    Parameters
    ----------
    slots, kv_capacity : int, optional
    token_budget : int
    collective : Collective, optional
    """

    slots: int | None = None
    kv_capacity: int | None = None
    token_budget: int = 2048
    collective: Collective | None = None


@dataclass(frozen=True, eq=False)
class Regime:
    """One of the two fits, and what is to be said of it.

    Parameters
    ----------
    name : str
        ``decode`` or ``mixed``.
    fit : Fit
    dropped : int
        Rows that cannot occur within the limits.
    quality : Quality
    warnings : tuple of str
    """

    name: str
    fit: Fit
    dropped: int
    quality: Quality
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Calibration:
    """A worker and how well its times fit.

    Parameters
    ----------
    worker : Worker
    source : str
        Where its figures come from, for its file.
    tables : tuple of TimingTable
    regimes : tuple of Regime
    warnings : tuple of str
        Of the exclusive form.
    """

    worker: Worker
    source: str
    tables: tuple[TimingTable, ...]
    regimes: tuple[Regime, ...]
    warnings: tuple[str, ...]


def calibrate(tables: Sequence[TimingTable], name: str, limits: EngineLimits) -> Calibration:
    """Fit a worker to timing tables.

    Parameters
    ----------
    tables : sequence of TimingTable
    name : str
        Of the worker.
    limits : EngineLimits

    Raises
    ------
    InvalidInputError
        Too few rows of a regime that can occur within the limits.
    """
    timings = joined(tables)
    decode = _regime("decode", timings, limits)
    mixed = _regime("mixed", timings, limits, decode)
    decode_time, prefill_time, warnings = _exclusive(timings, decode, mixed)
    collective = limits.collective
    if collective is not None:
        prefill_time = AffinePrefill(
            prefill_time.base_s + collective.base_s, prefill_time.per_token_s + collective.per_token_s
        )
        decode_time = DecodeTime(
            decode_time.base_s + collective.base_s,
            decode_time.per_sequence_s + collective.per_token_s,
            decode_time.per_kv_token_s,
        )
    engine = MixedEngine(
        limits.token_budget,
        decode=replace(decode.fit.time, collective=collective),
        mixed=replace(mixed.fit.time, collective=collective),
    )
    worker = Worker(
        name, prefill_time, decode_time, limits.slots, limits.kv_capacity, limits.token_budget, engine=engine
    )
    validate_worker("", worker)
    return Calibration(worker, _source(tables, (decode, mixed), collective), tuple(tables), (decode, mixed), warnings)


def _regime(name: str, timings: Timings, limits: EngineLimits, decode: Regime | None = None) -> Regime:
    """Fit the rows of a regime that can occur; `decode` has what a table of chunks alone does not say."""
    rows = timings.take((timings.chunk > 0) == (name == "mixed"))
    kept = rows.take(_possible(rows, limits))
    parts = DECODE_PARTS if name == "decode" else PARTS
    varied = [part for part in parts if _varies(kept, part)] if len(kept) else []
    dropped = len(rows) - len(kept)
    if len(kept) < 1 + max(len(varied), 1):
        left = f", {dropped} more cannot occur within the limits" if dropped else ""
        found = f"{counted(len(kept), 'row')} of iterations {REGIMES[name]}{left}"
        raise InvalidInputError("timing tables", f"{found}; expected at least {1 + max(len(varied), 1)}")
    fit = fit_iterations(kept, varied, 0.0 if decode is None else _least_iteration(decode.fit.time))
    warnings = [*collinear(kept, varied), *uncovered(name, rows, limits.slots, limits.kv_capacity, limits.token_budget)]
    missing = [part for part in parts if part not in varied]
    if missing and decode is not None:
        # Chunks were measured alone: a decode beside them costs at least what it costs without them.
        taken: dict[str, Any] = {part: _of_decode(decode.fit.time, part) for part in missing if part in DECODE_PARTS}
        fit = replace(fit, time=replace(fit.time, **taken))
        what = "what a decode costs is taken from iterations without prompt tokens"
        warnings.append(f"no differences in {', '.join(missing)}: {what if taken else 'they are 0'}")
    elif missing:
        warnings.append(f"no differences in {', '.join(missing)}: they are 0")
    return Regime(name, fit, dropped, quality(fit), tuple(warnings))


def _possible(timings: Timings, limits: EngineLimits) -> FloatArray:
    """Which rows can occur: a mask of shape (n,)."""
    kv = timings.kv_tokens + timings.context + timings.chunk
    possible = timings.tokens <= limits.token_budget
    if limits.slots is not None:
        possible &= timings.decodes <= limits.slots
    if limits.kv_capacity is not None:
        possible &= kv <= limits.kv_capacity
    return np.asarray(possible)


def _varies(timings: Timings, part: str) -> bool:
    values = getattr(timings, MEASURE[part])
    return bool(values.min() < values.max())


def _least_iteration(time: IterationTime) -> float:
    """Seconds of an iteration with one decode and nothing held."""
    return float(time.seconds(0, 0, 1, 0))


def _of_decode(time: IterationTime, part: str) -> float:
    """A coefficient of pure decode iterations; of a table its mean slope."""
    if part == "per_sequence_s" and time.table is not None:
        tokens, seconds = time.table.tokens, time.table.seconds
        return (seconds[-1] - seconds[0]) / max(tokens[-1] - tokens[0], 1)
    return float(getattr(time, part))


def _exclusive(timings: Timings, decode: Regime, mixed: Regime) -> tuple[DecodeTime, AffinePrefill, tuple[str, ...]]:
    """The affine forms of the exclusive model, and what is to be said of them."""
    rows = decode.fit.timings
    values = {part: getattr(rows, MEASURE[part]) for part in DECODE_PARTS}
    decode_time = DecodeTime(
        *nonnegative(np.column_stack([np.ones(len(rows)), *values.values()]), rows.seconds).tolist()
    )
    prompts = mixed.fit.timings
    alone = prompts.take((prompts.decodes == 0) & (prompts.context == 0))
    if len(np.unique(alone.chunk)) >= LEAST_PROMPTS:
        return decode_time, _affine_prefill(alone.chunk, alone.seconds), ()
    chunks = np.unique(prompts.chunk)
    if len(chunks) < LEAST_PROMPTS:
        chunks = np.array([chunks[0], 2 * chunks[0]])
    seconds = np.asarray(mixed.fit.time.seconds(chunks, chunks**2 / 2, 0, 0))
    warning = (
        "too few chunks without decodes and without context: prefill_time is that of mixed iterations without them"
    )
    return decode_time, _affine_prefill(chunks, seconds), (warning,)


def _affine_prefill(chunks: FloatArray, seconds: FloatArray) -> AffinePrefill:
    return AffinePrefill(*nonnegative(np.column_stack([np.ones(len(chunks)), chunks]), seconds).tolist())


def _source(tables: Sequence[TimingTable], regimes: Sequence[Regime], collective: Collective | None) -> str:
    """In a sentence: the tables, the rows, the fit."""
    named = ", ".join(f"{Path(table.path).name} ({counted(len(table.timings), 'row')})" for table in tables)
    said = [
        f"iterations {REGIMES[one.name]}: {len(one.fit.timings)} rows, R2 {one.quality.r2:.3f}, median error "
        f"{percent_text(one.quality.median, 1)}"
        for one in regimes
    ]
    added = []
    if collective is not None:
        added = [f"collectives of {collective.base_s:g} s + {collective.per_token_s:g} s a token added, as given"]
    return readable(f"Calibrated from {named}; {'; '.join([*said, *added])}.")
