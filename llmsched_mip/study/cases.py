"""Cases of a study: one instance, objective and time limit with all its rows is one unit of work."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.instance import Instance
from llmsched_mip.io.files import read_instance
from llmsched_mip.study.definition import InstancesSection, RowSection, StudyDocument, matching, read_definition
from llmsched_mip.workload import generate

GENERATED = ("family", "requests", "worker", "slots", "rate", "intervals", "predictions")


@dataclass(frozen=True)
class Source:
    """Where the instance of a case comes from: a family and its options, or a file with a digest."""

    name: str
    seed: int
    family: str | None = None
    requests: int | None = None
    worker: str | None = None
    slots: int | None = None
    rate: float | None = None
    intervals: float | None = None
    predictions: str | None = None
    file: str | None = None
    digest: str | None = None

    def identity(self) -> dict[str, Any]:
        """What makes the instance: not the file's name."""
        named = {key: getattr(self, key) for key in GENERATED}
        return {**named, "digest": self.digest, "seed": self.seed}

    def load(self) -> Instance:
        """Generate or read the instance; raises `InvalidInputError` where the file has changed."""
        if self.file is None:
            options = {key: getattr(self, key) for key in GENERATED}
            return generate(seed=self.seed, **options)
        instance = read_instance(self.file)
        if instance.digest != self.digest:
            raise InvalidInputError("", "has changed since the study began", None, self.file)
        return instance


@dataclass(frozen=True)
class Row:
    """One line of a case.

    Parameters
    ----------
    label : str
    method, policy : str or None
        One of them is given.
    lengths : str
        What the policy may see.
    plan : str or None
        Method that makes the offline plan of the policy.
    plan_lengths : str
        What that method may see.
    """

    label: str
    method: str | None
    policy: str | None
    lengths: str
    plan: str | None
    plan_lengths: str


@dataclass(frozen=True)
class Case:
    """One unit of work: what it finds is recorded as a whole.

    Parameters
    ----------
    position : int
        Number of its first row in the study.
    source : Source
    objective : str
    time_limit_s : float
        Of each offline solve, seconds.
    gap : float
        Relative gap at which a solve stops.
    threads : int
    keep_plans : bool
    rows : tuple of Row
    """

    position: int
    source: Source
    objective: str
    time_limit_s: float
    gap: float
    threads: int
    keep_plans: bool
    rows: tuple[Row, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Key of every row: SHA-256 of all that its result depends on."""
        return tuple(self._key(row) for row in self.rows)

    def _key(self, row: Row) -> str:
        shared = {
            "source": self.source.identity(),
            "objective": self.objective,
            "time_limit_s": self.time_limit_s,
            "gap": self.gap,
            "threads": self.threads,
        }
        return _digest({**shared, "row": asdict(row)})

    def options(self, row: Row) -> dict[str, Any]:
        """All else that was asked for, for the ledger's column of that name."""
        given = {k: v for k, v in self.source.identity().items() if v is not None and k not in ("family", "seed")}
        return {
            **given,
            "gap": self.gap,
            "threads": self.threads,
            "plan": row.plan,
            "plan_lengths": row.plan_lengths if row.plan else None,
        }


@dataclass(frozen=True)
class Study:
    """A study file, read: its digest is that of all its cases, not of its comments and spaces."""

    name: str
    digest: str
    definition: str
    cases: tuple[Case, ...]


def read_study(path: str | os.PathLike[str]) -> Study:
    """Read a study file and every instance file that it names.

    Raises
    ------
    UnreadableFileError, InvalidInputError, InfeasibleInstanceError
        One line: file, key, and what was expected.
    """
    document, text = read_definition(path)
    try:
        cases = tuple(_cases(document, Path(path).parent))
    except InvalidInputError as error:
        raise (error if error.source else error.located(os.fspath(path))) from None
    digest = _digest({"name": document.name, "keep_plans": document.keep_plans, "keys": [c.keys for c in cases]})
    return Study(document.name, digest, text, cases)


def _cases(document: StudyDocument, folder: Path) -> Iterator[Case]:
    """Cases in order; one that is written twice is one case."""
    rows = tuple(row for section in document.all_rows() for row in _rows(section))
    seen: set[str] = set()
    given: list[str] = [*(document.objectives or [])]
    position = 0
    for k, entry in enumerate(document.instances):
        for source, objective_there in _sources(f"instances[{k}]", entry, folder, rows):
            for objective in given or [objective_there]:
                for limit in document.time_limits:
                    case = Case(
                        position,
                        source,
                        objective,
                        float(limit),
                        float(document.gap),
                        document.threads,
                        document.keep_plans,
                        rows,
                    )
                    if case.keys[0] not in seen:
                        seen.update(case.keys)
                        position += len(rows)
                        yield case


def _rows(section: RowSection) -> Iterator[Row]:
    label = section.label or section.method or section.policy or ""
    for lengths in section.lengths:
        seen_by_plan = section.plan_lengths or ("known" if section.policy == "plan" else lengths)
        yield Row(label, section.method, section.policy, lengths, section.plan, seen_by_plan)


def _sources(where: str, entry: InstancesSection, folder: Path, rows: tuple[Row, ...]) -> Iterator[tuple[Source, str]]:
    """Sources of one section, each with the objective of its instance."""
    if entry.files is not None:
        for path in dict.fromkeys(path for pattern in entry.files for path in matching(folder, pattern)):
            instance = read_instance(path)
            _require_intervals(instance, rows, str(path), "")
            source = Source(instance.name, 0, file=str(path.resolve()), digest=instance.digest)
            yield from ((replace(source, seed=seed), instance.objective) for seed in entry.seed_list())
        return
    options = {key: getattr(entry, key) for key in GENERATED}
    sources = [Source(f"{entry.family}-s{seed}", seed, **options) for seed in entry.seed_list()]
    try:
        first = sources[0].load()
    except InvalidInputError as error:
        raise type(error)(f"{where}.{error.field}", error.message, error.request) from None
    _require_intervals(first, rows, None, where)
    yield from ((source, first.objective) for source in sources)


def _require_intervals(instance: Instance, rows: tuple[Row, ...], source: str | None, where: str) -> None:
    """Refuse at the start what every case would fail of."""
    needed = any("interval" in (row.lengths, row.plan_lengths if row.plan else "") for row in rows)
    if needed and instance.requests.decode_lower is None:
        message = "no prediction intervals, which rows with lengths 'interval' need"
        raise InvalidInputError(where or "requests.decode_lower", message, None, source)


def _digest(document: Any) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
