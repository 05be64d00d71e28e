"""Read and write instance and plan files (docs/problem.md, section 7), plain or gzipped."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from pydantic import ValidationError

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance, Requests, Worker
from llmsched_mip.io.documents import (
    DOCUMENTS,
    InstanceDocument,
    LevelsDocument,
    PlanDocument,
    WorkerDocument,
    WorkerPlanDocument,
    json_schema,
)
from llmsched_mip.io.duplicate_keys import require_distinct_keys
from llmsched_mip.io.engine_files import engine_of
from llmsched_mip.io.examples import located
from llmsched_mip.io.layout_errors import one_line
from llmsched_mip.io.storage import read_bytes, write_bytes, write_pieces
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.plan import Claims, Duals, Plan, WorkerPlan
from llmsched_mip.requests import column_json, request_columns
from llmsched_mip.result import Result
from llmsched_mip.stochastic_values import StochasticValues
from llmsched_mip.timing import AffinePrefill, DecodeTime, LevelPrefill
from llmsched_mip.worker import Cost, validate_worker, worker_document

__all__ = [
    "json_schema",
    "parse_document",
    "parse_worker",
    "read_bytes",
    "read_instance",
    "read_plan",
    "read_plan_claims",
    "read_worker",
    "read_worker_file",
    "worker_file_document",
    "worker_file_text",
    "worker_of",
    "write_bytes",
    "write_instance",
    "write_plan",
]


def _parse(path: str | os.PathLike[str], kind: str) -> Any:
    return parse_document(os.fspath(path), read_bytes(path), kind)


def parse_document(name: str, content: bytes, kind: str) -> Any:
    """The content of the file `name` as the document of its `kind` in `DOCUMENTS`.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        One line: file, field, and what was expected.
    """
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        document = DOCUMENTS[kind].model_validate_json(content)
    except ValidationError as error:
        raise one_line(name, content, kind, error) from None
    require_distinct_keys(name, content, document)
    return document


def read_instance(path: str | os.PathLike[str]) -> Instance:
    """Read an instance file (``.json`` or ``.json.gz``), or the example of the package by ``example:NAME``.

    Raises
    ------
    UnreadableFileError, InvalidInputError, InfeasibleInstanceError
        One line: file, field, request, and what was expected.
    """
    document: InstanceDocument = _parse(located(path), "instance")
    columns = document.requests.__dict__
    try:
        return Instance(
            name=document.name,
            requests=Requests(**{k: _array(k, v) for k, v in columns.items()}),
            workers=tuple(_worker(f"workers[{k}].", w) for k, w in enumerate(document.workers)),
            objective=document.objective,
            semantics=document.semantics,
            description=document.description,
            source=document.source,
        )
    except InvalidInputError as error:
        raise error.located(os.fspath(path)) from None


def _array(name: str, values: list[Any] | None) -> Any:
    if values is None or name in ("id", "prefix_blocks"):
        return values
    return np.array(values, dtype=np.float64 if name in ("arrival_s", "weight") else np.int64)


def read_worker(path: str | os.PathLike[str]) -> Worker:
    """Read a worker file (docs/workers.md).

    Raises
    ------
    UnreadableFileError, InvalidInputError
    """
    return read_worker_file(path)[0]


def read_worker_file(path: str | os.PathLike[str]) -> tuple[Worker, str]:
    """Read a worker file: the worker, and where its figures come from.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        One line; all fields that are missing are named at once.
    """
    return parse_worker(os.fspath(path), read_bytes(path))


def parse_worker(name: str, content: bytes) -> tuple[Worker, str]:
    """The worker of a worker file's content, and where its figures come from; errors begin with the name.

    Raises
    ------
    UnreadableFileError, InvalidInputError
    """
    document = parse_document(name, content, "worker")
    try:
        worker = worker_of(document)
        validate_worker("", worker)
    except InvalidInputError as error:
        raise error.located(name) from None
    return worker, document.source


def worker_file_document(worker: Worker, source: str) -> dict[str, Any]:
    """The file form of a worker."""
    return {"name": worker.name, "source": source, **worker_document(worker)}


def worker_file_text(worker: Worker, source: str) -> str:
    """A worker file, a line a field."""
    document = worker_file_document(worker, source)
    return "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in document.items()) + "\n}\n"


def _worker(where: str, document: WorkerDocument) -> Worker:
    try:
        return worker_of(document)
    except InvalidInputError as error:
        raise InvalidInputError(where + error.field, error.message) from None


def worker_of(document: WorkerDocument) -> Worker:
    """Make a `Worker` from its file form."""
    prefill: AffinePrefill | LevelPrefill
    if isinstance(document.prefill_time, LevelsDocument):
        levels = document.prefill_time.levels
        prefill = LevelPrefill(tuple(level.tokens for level in levels), tuple(level.seconds for level in levels))
    else:
        prefill = AffinePrefill(document.prefill_time.base_s, document.prefill_time.per_token_s)
    decode = DecodeTime(**document.decode_time.__dict__)
    cost = None if document.cost is None else Cost(**document.cost.__dict__)
    limits = document.slots, document.kv_capacity, document.prefill_token_cap
    engine = None if document.engine is None else engine_of(document.engine)
    return Worker(document.name, prefill, decode, *limits, cost, engine)


def instance_pieces(instance: Instance) -> Iterator[str]:
    """The file form of an instance in pieces: a line a column and a worker, so that files diff well and stay small."""
    head = {
        "format": "llmsched-instance",
        "version": 1,
        "name": instance.name,
        "description": instance.description,
        "source": instance.source,
        "semantics": instance.semantics,
        "objective": instance.objective,
    }
    yield "{\n" + "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items())
    workers = ",\n  ".join(json.dumps(worker_document(worker)) for worker in instance.workers)
    yield f' "workers": [\n  {workers}],\n "requests": '
    columns = [(name, values) for name, values in request_columns(instance.requests).items() if values is not None]
    for k, (name, values) in enumerate(columns):
        yield ("," if k else "{") + f'\n  "{name}": '
        yield from column_json(values, ", ")
    yield "}\n}\n"


def write_instance(instance: Instance, path: str | os.PathLike[str]) -> None:
    """Write an instance file atomically; memory holds pieces of its text."""
    write_pieces(path, (piece.encode() for piece in instance_pieces(instance)))


def read_plan(path: str | os.PathLike[str], instance: Instance) -> Plan:
    """Read a plan file for `instance`; unknown ids are kept for `evaluate` to report."""
    document: PlanDocument = _parse(path, "plan")
    index = {name: i for i, name in enumerate(instance.requests.id)}
    workers = []
    for k, worker_plan in enumerate(document.workers):
        try:
            workers.append(_worker_plan(worker_plan, index))
        except InvalidInputError as error:
            raise InvalidInputError(f"workers[{k}].{error.field}", error.message, None, os.fspath(path)) from None
    return _plan(document, tuple(workers))


def read_plan_claims(path: str | os.PathLike[str]) -> Plan:
    """Read what a plan file says of itself, for which no instance is needed; the plan has no workers."""
    return _plan(_parse(path, "plan"), ())


def _plan(document: PlanDocument, workers: tuple[WorkerPlan, ...]) -> Plan:
    claims = Claims(**{name.name: getattr(document, name.name) for name in fields(Claims)})
    duals = {name: Duals(one.slot_s, one.kv_token_s) for name, one in document.duals.items()}
    stochastic = None if document.stochastic is None else StochasticValues(**document.stochastic.__dict__)
    head = document.instance, document.instance_digest, document.objective, document.method
    return Plan(*head, workers, claims, duals, stochastic)


def _worker_plan(document: WorkerPlanDocument, index: dict[str, int]) -> WorkerPlan:
    flat = [name for stage in document.stages for name in stage.requests]
    slots: list[int] = []
    for k, stage in enumerate(document.stages):
        given = stage.slots if stage.slots is not None else [-1] * len(stage.requests)
        if len(given) != len(stage.requests):
            raise InvalidInputError(
                f"stages[{k}].slots", f"expected {len(stage.requests)} slots, one a request, got {len(given)}"
            )
        if any(abs(s) >= MOST_LIMIT for s in given):
            raise InvalidInputError(f"stages[{k}].slots", "slot number out of range")
        slots += given
    requests = np.array([index.get(name, -1) for name in flat], dtype=np.int64)
    not_before = np.array([stage.not_before_s or 0.0 for stage in document.stages], dtype=np.float64)
    return WorkerPlan(
        document.name,
        requests,
        np.cumsum([0] + [len(stage.requests) for stage in document.stages]).astype(np.int64),
        np.array([stage.rounds for stage in document.stages], dtype=np.int64),
        np.array(slots, dtype=np.int64) if any(s.slots is not None for s in document.stages) else None,
        not_before if not_before.any() else None,
        {int(k): flat[k] for k in np.flatnonzero(requests < 0)},
    )


def read(path: str | os.PathLike[str], instance: Instance | None = None) -> Instance | Plan:
    """Read an instance file; with the instance that it is for, a plan file.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        In one line: the file, the field, the request, what was expected.
    """
    return read_instance(path) if instance is None else read_plan(path, instance)


def write(what: Instance | Plan | Result, path: str | os.PathLike[str], instance: Instance | None = None) -> None:
    """Write an instance file, or the plan (of a result) for `instance` with its claims; whole or not at all.

    Raises
    ------
    InvalidInputError
        A plan without its instance.
    """
    if isinstance(what, Instance):
        write_instance(what, path)
        return
    if instance is None:
        raise InvalidInputError("instance", "a plan is written with the instance that it is for")
    write_plan(what.plan if isinstance(what, Result) else what, instance, path)


def plan_document(plan: Plan, instance: Instance) -> dict[str, Any]:
    """The file form of a plan for `instance`."""
    ids = instance.requests.id
    workers = []
    for worker_plan in plan.workers:
        stages = []
        for stage in worker_plan:
            entry: dict[str, Any] = {
                "requests": [ids[i] for i in stage.requests],
                "slots": stage.slots,
                "rounds": stage.rounds,
            }
            if stage.not_before_s:
                entry["not_before_s"] = stage.not_before_s
            stages.append(entry)
        workers.append({"name": worker_plan.name, "stages": stages})
    return {
        "format": "llmsched-plan",
        "version": 1,
        "instance": plan.instance,
        "instance_digest": plan.instance_digest,
        "objective": plan.objective,
        "method": plan.method,
        **asdict(plan.claims),
        **({"duals": {name: one._asdict() for name, one in plan.duals.items()}} if plan.duals else {}),
        **({"stochastic": asdict(plan.stochastic)} if plan.stochastic is not None else {}),
        "workers": workers,
    }


def write_plan(plan: Plan, instance: Instance, path: str | os.PathLike[str]) -> None:
    """Write a plan file atomically."""
    write_bytes(path, (json.dumps(plan_document(plan, instance), separators=(", ", ": ")) + "\n").encode())
