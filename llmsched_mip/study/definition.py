"""STUDY.toml: its layout, and what its values mean."""

from __future__ import annotations

import codecs
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmsched_mip.errors import InvalidInputError, SchedulingError, UnreadableFileError
from llmsched_mip.io.layout_errors import one_line
from llmsched_mip.io.storage import read_bytes
from llmsched_mip.limits import MOST_LIMIT, MOST_REQUESTS, MOST_SEEDS, MOST_THREADS
from llmsched_mip.methods import DEFAULT_TIME_LIMIT_S, METHODS
from llmsched_mip.policies import POLICIES, require_option, split_option
from llmsched_mip.workload import DEPLOYMENTS, FAMILIES

Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, le=MOST_LIMIT)]
Requests = Annotated[int, Field(ge=1, le=MOST_REQUESTS)]
Seeds = Annotated[int, Field(ge=1, le=MOST_SEEDS)]
Threads = Annotated[int, Field(ge=1, le=MOST_THREADS)]
SeedNumber = Annotated[int, Field(ge=0, le=2**53)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Visible = Literal["known", "interval", "unknown"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SeedRange(_Section):
    """The seeds first, first + 1, ..., `count` of them."""

    first: SeedNumber = 0
    count: Seeds


class InstancesSection(_Section):
    """One family or some files, times seeds; the other keys are those of `llmsched_mip.workload.generate`."""

    family: Name | None = None
    files: Annotated[list[Name], Field(min_length=1)] | None = None
    seeds: Annotated[list[SeedNumber], Field(min_length=1)] | None = None
    seed_range: SeedRange | None = None
    requests: Requests | None = None
    worker: Name | None = None
    slots: Count | None = None
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    intervals: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    predictions: Name | None = None

    def seed_list(self) -> list[int]:
        """The seeds in order."""
        if self.seed_range is not None:
            return list(range(self.seed_range.first, self.seed_range.first + self.seed_range.count))
        return [0] if self.seeds is None else list(self.seeds)


class RowSection(_Section):
    """One row of every case: a method that plans, or a policy that is replayed, with or without an offline plan."""

    label: Name | None = None
    method: Name | None = None
    policy: Name | None = None
    lengths: Annotated[list[Visible], Field(min_length=1)] = ["known"]
    plan: Name | None = None
    plan_lengths: Visible | None = None


class StudyDocument(_Section):
    """A study file."""

    name: Name
    objectives: Annotated[list[Literal["makespan", "total_completion"]], Field(min_length=1)] | None = None
    time_limits: Annotated[list[Seconds], Field(min_length=1)] = [DEFAULT_TIME_LIMIT_S]
    gap: Annotated[float, Field(ge=0, lt=1)] = 0.0
    threads: Threads = 1
    keep_plans: bool = False
    instances: Annotated[list[InstancesSection], Field(min_length=1)]
    methods: list[Name] = []
    policies: list[Name] = []
    lengths: Annotated[list[Visible], Field(min_length=1)] = ["known"]
    rows: list[RowSection] = []

    def all_rows(self) -> list[RowSection]:
        """The rows as written, then one for each of `methods` and of `policies`."""
        short = [RowSection(method=name) for name in self.methods]
        short += [RowSection(policy=name, lengths=self.lengths) for name in self.policies]
        return [*self.rows, *short]


SECTIONS: dict[str, type[BaseModel]] = {"instances": InstancesSection, "rows": RowSection, "seed_range": SeedRange}


def read_definition(path: str | os.PathLike[str]) -> tuple[StudyDocument, str]:
    """Read a study file: what it says, and its text.

    Raises
    ------
    UnreadableFileError, InvalidInputError
        One line: file, key, and what was expected.
    """
    name = os.fspath(path)
    content = read_bytes(path).removeprefix(codecs.BOM_UTF8)
    try:
        text = content.decode()
        document = StudyDocument.model_validate(tomllib.loads(text))
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"{name}: not UTF-8 text at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise UnreadableFileError(f"{name}: not valid TOML: {error}") from None
    except RecursionError:
        raise UnreadableFileError(f"{name}: not valid TOML: nested too deeply") from None
    except ValidationError as error:
        raise _located(name, content, error) from None
    except ValueError as error:
        # Python reads no integer of more than 4300 digits, and no date that a calendar does not have.
        raise UnreadableFileError(f"{name}: not valid TOML: {str(error).partition(';')[0]}") from None
    try:
        _check(document, Path(name).parent)
    except InvalidInputError as error:
        raise error.located(name) from None
    return document, text


def _located(name: str, content: bytes, error: ValidationError) -> SchedulingError:
    """The error as one line; an unknown key with those that are known there."""
    first = error.errors(include_url=False)[0]
    line = one_line(name, content, "study", error)
    if first["type"] != "extra_forbidden" or not isinstance(line, InvalidInputError):
        return line
    parents = [part for part in first["loc"][:-1] if part in SECTIONS]
    section = SECTIONS[str(parents[-1])] if parents else StudyDocument
    known = ", ".join(section.model_fields)
    return InvalidInputError(line.field, f"unknown key, expected one of {known}", None, name)


def _check(document: StudyDocument, folder: Path) -> None:
    for k, entry in enumerate(document.instances):
        _check_instances(f"instances[{k}]", entry, folder)
    for k, method in enumerate(document.methods):
        _require(f"methods[{k}]", method, METHODS)
    for k, policy in enumerate(document.policies):
        _require_policy(f"policies[{k}]", policy)
    for k, row in enumerate(document.rows):
        _check_row(f"rows[{k}]", row)
    rows = document.all_rows()
    if not rows:
        raise InvalidInputError("rows", "missing: at least one row, method or policy is needed")
    seen: set[tuple[str, str]] = set()
    for row in rows:
        for lengths in row.lengths:
            name = row.label or row.method or row.policy or ""
            if (name, lengths) in seen:
                raise InvalidInputError("rows", f"label {name!r} with lengths {lengths} is given twice")
            seen.add((name, lengths))


def _check_instances(where: str, entry: InstancesSection, folder: Path) -> None:
    if (entry.family is None) == (entry.files is None):
        raise InvalidInputError(where, "expected either family or files")
    if entry.seeds is not None and entry.seed_range is not None:
        raise InvalidInputError(where, "expected either seeds or seed_range")
    if entry.family is not None:
        _require(f"{where}.family", entry.family, FAMILIES)
    if entry.worker is not None:
        _require(f"{where}.worker", entry.worker, DEPLOYMENTS)
    if entry.files is None:
        return
    for key in ("requests", "worker", "slots", "rate", "intervals", "predictions"):
        if getattr(entry, key) is not None:
            raise InvalidInputError(f"{where}.{key}", "goes with a family, not with files")
    for k, pattern in enumerate(entry.files):
        if not matching(folder, pattern):
            raise InvalidInputError(f"{where}.files[{k}]", f"no such file: {pattern}")


def _check_row(where: str, row: RowSection) -> None:
    if (row.method is None) == (row.policy is None):
        raise InvalidInputError(where, "expected either method or policy")
    if row.method is not None:
        _require(f"{where}.method", row.method, METHODS)
        for key in ("plan", "plan_lengths"):
            if getattr(row, key) is not None:
                raise InvalidInputError(f"{where}.{key}", "goes with a policy, not with a method")
        if row.lengths != ["known"]:
            raise InvalidInputError(f"{where}.lengths", "a method plans with known lengths")
    if row.policy is not None:
        _require_policy(f"{where}.policy", row.policy)
        if row.policy == "plan" and row.plan is None:
            raise InvalidInputError(f"{where}.plan", "missing: policy 'plan' needs the method that makes the plan")
        if row.policy == "plan" and (row.plan_lengths or "known") != "known":
            raise InvalidInputError(f"{where}.plan_lengths", "policy 'plan' executes stages of known lengths only")
    if row.plan is not None:
        _require(f"{where}.plan", row.plan, METHODS)
    elif row.plan_lengths is not None:
        raise InvalidInputError(f"{where}.plan_lengths", "goes with plan")


def _require_policy(field: str, name: str) -> None:
    _require(field, split_option(name)[0], POLICIES)
    try:
        require_option(name)
    except InvalidInputError as error:
        raise InvalidInputError(field, error.message) from None


def _require(field: str, value: str, known: Any) -> None:
    if value not in known:
        raise InvalidInputError(field, f"unknown {value!r}, expected one of {', '.join(known)}")


def matching(folder: Path, pattern: str) -> list[Path]:
    """Files that a name or a pattern with ``*`` and ``?`` stands for, relative to the study file, sorted."""
    if not any(mark in pattern for mark in "*?["):
        path = folder / pattern
        return [path] if os.path.lexists(path) else []
    try:
        return sorted(Path(path) for path in folder.glob(pattern) if path.is_file())
    except (OSError, ValueError, NotImplementedError):
        return []
