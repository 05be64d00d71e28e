"""Event log of a replay as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from llmsched_mip.io.storage import write_bytes


class Event(NamedTuple):
    """One event: time in seconds, `request` and `slot` -1 where there is none, `kv` tokens held after it.

    ``arrive``; ``prefill`` (a request's prefill iteration starts); ``decode`` (a run of rounds starts);
    ``wait`` (nothing runs although requests are active); ``complete``; ``evict``; ``slots`` (from now on as many slots
    are open as `slot` says).
    """

    time: float
    worker: int
    event: str
    request: int
    slot: int
    active: int
    kv: int


def write_events(path: str, events: Sequence[Event], workers: Sequence[str], ids: Sequence[str]) -> None:
    """Write the log: columns time, worker, event, request, slot, active, kv."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Event._fields)
    for event in events:
        writer.writerow(
            (
                repr(event.time),
                workers[event.worker] if event.worker >= 0 else "",
                event.event,
                ids[event.request] if event.request >= 0 else "",
                event.slot if event.slot >= 0 else "",
                event.active,
                event.kv,
            )
        )
    write_bytes(path, text.getvalue().encode())
