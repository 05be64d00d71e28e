"""One broken rule of a plan."""

from __future__ import annotations

from typing import NamedTuple


class Violation(NamedTuple):
    """One broken rule: `kind` is slots, kv, prefill, request, rounds, incomplete, worker or claim."""

    kind: str
    message: str
    worker: str | None = None
    stage: int | None = None
    request: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"
