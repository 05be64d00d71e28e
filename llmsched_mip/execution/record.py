"""What one worker ran, as flat lists: a million stages are a few arrays."""

from __future__ import annotations

import numpy as np

from llmsched_mip.plan import WorkerPlan


class StageRecord:
    """The prefill iterations of one worker, each with the decode rounds that had been run before it."""

    def __init__(self) -> None:
        self.requests: list[int] = []
        self._slots: list[int] = []
        self._sizes: list[int] = []
        self._rounds: list[int] = []
        self._not_before_s: list[float] = []

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, requests: list[int], slots: list[int] | None, rounds: int, not_before_s: float) -> None:
        """Add a prefill iteration of `requests` into `slots` after `rounds` decode rounds."""
        self.requests += requests
        if slots is not None:
            self._slots += slots
        self._sizes.append(len(requests))
        self._rounds.append(rounds)
        self._not_before_s.append(not_before_s)

    def to_worker_plan(self, name: str, rounds: int) -> WorkerPlan:
        """The stages of worker `name`, which has run `rounds` decode rounds in all."""
        begins = np.array([*self._rounds, rounds], dtype=np.int64)
        not_before_s = np.array(self._not_before_s, dtype=np.float64)
        return WorkerPlan(
            name,
            np.array(self.requests, dtype=np.int64),
            np.concatenate(([0], np.cumsum(np.array(self._sizes, dtype=np.int64)))),
            np.diff(begins),
            np.array(self._slots, dtype=np.int64) if self._slots else None,
            not_before_s if not_before_s.any() else None,
        )
