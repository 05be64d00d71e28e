"""The forward KV check on a distribution of the lengths."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.special import ndtri

from llmsched_mip.instance import Worker
from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.survival import SurvivalEstimator, active_arrays
from llmsched_mip.policies.protocol import WorkerView
from llmsched_mip.timing import FloatArray, IntArray

HORIZONS = 24
RISK = 0.05


class ChanceAdmission(Admission):
    """The forward KV check in distribution: in each of 24 rounds ahead, the mean of the KV held plus a multiple of
    its standard deviation stays within the capacity.

    Request i with k tokens made holds p + k + h in the round h ahead if it still runs, which has the chance that
    `SurvivalEstimator` gives; requests are taken as independent and their sum as normal.  The rounds ahead are spread
    geometrically from the next one to the longest length in question.
    """

    def __init__(self, worker: Worker, estimator: SurvivalEstimator, prompts: list[int], risk: float):
        super().__init__(worker, estimator, prompts)
        self.profile = None
        self.survival = estimator
        self.factor = float(ndtri(1.0 - risk))
        self.all_prompts = np.array(prompts)
        self.version = -1
        self.ahead = np.ones(1, dtype=np.int64)
        self.mean: FloatArray = np.zeros(1)
        self.variance: FloatArray = np.zeros(1)

    def batch(self, view: WorkerView, candidates: Iterable[int], skip: bool) -> list[int]:
        """As `Admission.batch`."""
        capacity = self.worker.kv_capacity
        if capacity is not None:
            if self.version != self.survival.version:
                self._spread(capacity)
            self.mean, self.variance = self._load(*active_arrays(view))
        return super().batch(view, candidates, skip)

    def _spread(self, capacity: int) -> None:
        """Place the rounds ahead, up to the longest length."""
        self.version = self.survival.version
        most = max(2, min(capacity, int(self.survival.cells.edges[-1])))
        self.ahead = np.unique(np.geomspace(1, most, HORIZONS).astype(np.int64))

    def _load(self, requests: IntArray, made: IntArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the KV of these requests in the rounds ahead."""
        chance = self.survival.alive(requests, made, self.ahead)
        held = (self.all_prompts[requests] + made)[:, None] + self.ahead[None, :]
        return (chance * held).sum(axis=0), (chance * (1.0 - chance) * held**2).sum(axis=0)

    def _kv_fits(self, view: WorkerView, i: int, capacity: int | None, held: int) -> bool:
        if capacity is None:
            return True
        if held + self.prompts[i] + 1 > capacity:
            return False
        mean, variance = self._load(np.array([i]), np.zeros(1, dtype=np.int64))
        mean, variance = self.mean + mean, self.variance + variance
        alone = held == 0
        if not alone and np.any(mean + self.factor * np.sqrt(variance) > capacity):
            return False
        self.mean, self.variance = mean, variance
        return True
