"""What a report is made of: the folders of studies, plan files, and the instances that plans belong to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from llmsched_mip.errors import InvalidInputError, SchedulingError, UnreadableFileError
from llmsched_mip.instance import Instance
from llmsched_mip.io import examples
from llmsched_mip.io.files import read_instance, read_plan, read_plan_claims
from llmsched_mip.io.storage import read_bytes
from llmsched_mip.plan import Plan
from llmsched_mip.study.layout import FILE
from llmsched_mip.workload import generate

GENERATED = ("requests", "worker", "slots", "rate", "intervals", "predictions")
SUFFIXES = (".json", ".json.gz")


class Instances:
    """Finds the instance of a plan by its digest: given files first, then files near the plan.

    Parameters
    ----------
    given : paths
        Instance files that were named; each is read at once, and an unreadable one is an error.
    """

    def __init__(self, given: Iterable[Path] = ()):
        self._given = {path: read_instance(path) for path in given}
        self._known: dict[str, Instance] = {}
        for instance in self._given.values():
            self._note(instance)
        self._looked: set[Path] = set()

    def find(self, plan: Plan, path: Path) -> Instance | None:
        """The instance of the plan file `path`, or None.

        Raises
        ------
        InvalidInputError
            Instance files were given, and the plan belongs to none of them nor to one nearby.
        """
        found = self.by_digest(plan.instance_digest, plan.instance, path.parent)
        if found is None and self._given:
            names = ", ".join(str(file) for file in self._given)
            raise InvalidInputError(
                "instance_digest", f"{plan.instance_digest} is of none of the instances given: {names}", None, str(path)
            )
        return found

    def by_digest(self, digest: str, name: str, folder: Path) -> Instance | None:
        """An instance with this digest, given or in `folder`, in `instances` there or here, or an example."""
        near = (folder, folder / "instances", folder.parent / "instances", Path("instances"))
        for place in (*near, examples.FOLDER):
            if digest in self._known:
                break
            self._look(place, name, digest)
        return self._known.get(digest)

    def generated(self, row: dict[str, Any]) -> Instance | None:
        """The instance of a row of a ledger: by its file, or generated again; None where neither gives its digest."""
        digest = row.get("instance_digest")
        if digest in self._known:
            return self._known[str(digest)]
        try:
            found = _of_row(row)
        except (SchedulingError, TypeError, ValueError):
            return None
        if found is None or found.digest != digest:
            return None
        self._known[found.digest] = found
        return found

    def _note(self, instance: Instance) -> None:
        """Know an instance by its digest and by that of its plans."""
        for digest in (instance.digest, instance.plan_digest):
            self._known.setdefault(digest, instance)

    def _look(self, folder: Path, name: str, digest: str) -> None:
        """Read the instance files of a folder, those of that name first, until the digest is found."""
        if not folder.is_dir():
            return
        files = [path for path in folder.iterdir() if path.name.endswith(SUFFIXES) and path.is_file()]
        for path in sorted(files, key=lambda file: (not file.name.startswith(name), file.name)):
            resolved = path.resolve()
            if resolved in self._looked:
                continue
            self._looked.add(resolved)
            try:
                if b'"llmsched-instance"' in read_bytes(path)[:200]:
                    self._note(read_instance(path))
            except SchedulingError:
                continue
            if digest in self._known:
                return


def _of_row(row: dict[str, Any]) -> Instance | None:
    if row.get("file"):
        return read_instance(str(row["file"]))
    if not row.get("family"):
        return None
    options = {key: value for key, value in (row.get("options") or {}).items() if key in GENERATED}
    return generate(str(row["family"]), seed=int(row["seed"]), **options)


def is_study(path: Path) -> bool:
    """Whether a path is the folder of a study; raises for a folder without a ledger and for what is not there."""
    if path.is_dir():
        if not (path / FILE).is_file():
            raise UnreadableFileError(f"{path}: no {FILE} in it, expected the folder of a study or a plan file")
        return True
    if not path.exists():
        raise UnreadableFileError(f"{path}: no such file or folder")
    return False


def read_plan_and_instance(path: Path, instances: Instances) -> tuple[Plan, Instance | None]:
    """A plan file with its instance; without the instance the plan has its claims alone."""
    claims = read_plan_claims(path)
    instance = instances.find(claims, path)
    return (claims if instance is None else read_plan(path, instance)), instance


def json_text(value: Any) -> str:
    """JSON for the inside of a script element: no character of it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def require_plan_and_instance(path: Path, instance_path: Path | None) -> tuple[Plan, Instance]:
    """A plan and its instance, which is named or found by its digest.

    Raises
    ------
    InvalidInputError
        There is no such instance beside the plan, among the library's or the package's.
    """
    plan, instance = read_plan_and_instance(path, Instances([] if instance_path is None else [instance_path]))
    if instance is None:
        raise InvalidInputError(
            "instance_digest",
            f"no instance with {plan.instance_digest} beside the plan or in instances/, name it with --instance",
            None,
            str(path),
        )
    return plan, instance


def plan_paths(folder: Path, names: Iterable[object]) -> Iterator[Path | None]:
    """Plan files of a study; None for a name that points out of its folder of plans."""
    for name in names:
        text = str(name)
        inside = bool(text) and os.path.basename(text) == text and text not in (".", "..")
        yield folder / "plans" / text if inside else None
