"""Slots that open and close during a run: a varying number of clients."""

from __future__ import annotations

import csv
import io
import math
import os
from dataclasses import dataclass

from llmsched_mip.errors import InvalidInputError, UnreadableFileError
from llmsched_mip.instance import Instance
from llmsched_mip.io.storage import read_bytes

COLUMNS = ("time_s", "worker", "slots")


@dataclass(frozen=True)
class SlotTimetable:
    """From `time_s` on, `worker` has `slots` open.

    Closing drains: running requests finish in their slots, and no new one starts while as many or more are running as
    slots are open.  Before its first entry a worker has all the slots of the instance, and never more; a policy sees
    the open slots in its `WorkerView`.  Utilization stays a share of the instance's slots.

    Parameters
    ----------
    time_s : tuple of float
        Seconds, ≥ 0, in any order.
    worker : tuple of str
        Names of workers.
    slots : tuple of int
        Open slots, from 0 to the worker's.
    """

    time_s: tuple[float, ...]
    worker: tuple[str, ...]
    slots: tuple[int, ...]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> SlotTimetable:
        """Read a CSV file with the columns time_s, worker, slots; raises `UnreadableFileError`, `InvalidInputError`."""
        name = os.fspath(path)
        try:
            text = read_bytes(name).decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UnreadableFileError(f"{name}: is not UTF-8 text") from None
        rows = csv.DictReader(io.StringIO(text))
        missing = [column for column in COLUMNS if column not in (rows.fieldnames or ())]
        if missing:
            raise InvalidInputError(missing[0], f"column is missing, expected {', '.join(COLUMNS)}", source=name)
        try:
            entries = [_entry(row) for row in rows]
        except csv.Error as error:
            raise UnreadableFileError(f"{name}: line {rows.line_num}: {error}") from None
        except InvalidInputError as error:
            raise error.located(f"{name}: line {rows.line_num}") from None
        return cls(tuple(e[0] for e in entries), tuple(e[1] for e in entries), tuple(e[2] for e in entries))

    def changes(self, instance: Instance) -> list[tuple[float, int, int]]:
        """Time, index of the worker and open slots of every entry, by time; raises `InvalidInputError`."""
        index = {worker.name: w for w, worker in enumerate(instance.workers)}
        found = []
        for k, (time, name, slots) in enumerate(zip(self.time_s, self.worker, self.slots, strict=True)):
            where = f"slot timetable, entry {k + 1}"
            if not (math.isfinite(time) and time >= 0):
                raise InvalidInputError(where, f"expected a finite time_s ≥ 0, got {time}")
            if name not in index:
                raise InvalidInputError(where, f"no worker {name!r}, expected one of {', '.join(index)}")
            limit = instance.workers[index[name]].slots
            if limit is None:
                raise InvalidInputError(where, f"worker {name!r} has no slot limit in the instance")
            if not 0 <= slots <= limit:
                raise InvalidInputError(where, f"expected 0 to {limit} slots for worker {name!r}, got {slots}")
            found.append((float(time), index[name], int(slots)))
        return sorted(found, key=lambda change: change[0])


def _entry(row: dict[str, str | None]) -> tuple[float, str, int]:
    time, worker, slots = (row[column] or "" for column in COLUMNS)
    try:
        return float(time), worker, int(slots)
    except ValueError:
        raise InvalidInputError(
            "time_s, slots", f"expected a number and an integer, got {time[:40]!r} and {slots[:40]!r}"
        ) from None
