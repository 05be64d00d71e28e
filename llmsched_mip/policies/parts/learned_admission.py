"""What the learned rule admits: an accepted risk of KV overflow, a pause after one, and a ramp at the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np

from llmsched_mip.instance import Worker
from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.learned_parameters import Parameters
from llmsched_mip.policies.parts.refill_admission import RefillAdmission
from llmsched_mip.policies.parts.survival import SurvivalEstimator, active_arrays
from llmsched_mip.policies.protocol import WorkerView
from llmsched_mip.timing import FloatArray, IntArray

RAMP_STEPS = 16
BLOCK = 32
HORIZONS = 24


class Gate:
    """How many requests a worker may take at once: fewer while it fills up for the first time, none after an
    overflow until some KV is free.

    Parameters
    ----------
    worker : Worker
    parameters : Parameters
    mean_length : callable
        Mean length as it is known now, rounds.
    """

    def __init__(self, worker: Worker, parameters: Parameters, mean_length: Callable[[], float]):
        self.capacity, self.slots = worker.kv_capacity, worker.slots
        self.parameters, self.mean_length = parameters, mean_length
        self.overflowed = False

    def opened(self, view: WorkerView) -> int:
        """Requests that may be taken now."""
        if self.overflowed and self.capacity is not None:
            if view.started and view.kv_held + view.active > (1 - self.parameters.relief) * self.capacity:
                return 0
            self.overflowed = False
        return view.free_slots if self.slots is None else min(view.free_slots, self._ramp(view) - view.active)

    def _ramp(self, view: WorkerView) -> int:
        """Slots that are open at this time of the run."""
        slots, start = self.slots or 0, self.parameters.ramp_start
        rounds = self.parameters.ramp * self.mean_length()
        if start >= 1.0 or view.rounds >= rounds:
            return slots
        return max(1, int(slots * (start + (1 - start) * view.rounds / rounds)))

    def rounds_to_open(self, view: WorkerView) -> int | None:
        """Rounds until a sixteenth of the slots more is open; None: the ramp is over."""
        slots, start = self.slots or 0, self.parameters.ramp_start
        rounds = self.parameters.ramp * self.mean_length()
        if not slots or start >= 1.0 or view.rounds >= rounds:
            return None
        return max(1, int(rounds / (RAMP_STEPS * (1 - start))))


class LearnedAdmission(Admission):
    """The forward KV check in distribution, as `ChanceAdmission` has it, behind a `Gate`.

    In each of 24 rounds ahead what is held now, `growth` times the expected growth and `reserve` standard deviations
    have to stay within the capacity.  The queue is looked at in blocks, and taken up to the first that does not fit.
    """

    def __init__(self, worker: Worker, estimator: SurvivalEstimator, prompts: list[int], gate: Gate):
        super().__init__(worker, estimator, prompts)
        self.profile = None
        self.survival, self.gate = estimator, gate
        self.all_prompts = np.array(prompts)
        self._ahead = np.ones(1, dtype=np.int64)
        self._version = -1

    def rounds_ahead(self, capacity: int) -> IntArray:
        """Rounds ahead that are looked at: spread geometrically up to the longest length in question."""
        if self._version != self.survival.version:
            self._version = self.survival.version
            most = max(2, min(capacity, int(self.survival.cells.edges[-1])))
            self._ahead = np.unique(np.geomspace(1, most, HORIZONS).astype(np.int64))
        return self._ahead

    def batch(self, view: WorkerView, candidates: Iterable[int], skip: bool) -> list[int]:
        """Take candidates in their order as long as they fit and the gate lets them pass."""
        left, queue = self.gate.opened(view), iter(candidates)
        load = _Load(self, view)
        taken: list[int] = []
        while left > 0:
            block = list(islice(queue, min(left, BLOCK)))
            fit = load.add(block) if block else 0
            taken += block[:fit]
            left -= fit
            if fit < BLOCK:
                break
        return taken


class _Load:
    """The KV of a worker in the rounds ahead, and the prompt tokens of a batch, as requests are added."""

    def __init__(self, admission: LearnedAdmission, view: WorkerView):
        self.admission, self.view = admission, view
        self.tokens, self.held, self.empty = 0, view.kv_held + view.active, not view.started
        self.checks = (admission.gate.parameters.growth, admission.gate.parameters.reserve) != (0.0, 0.0)
        self.ahead: IntArray | None = None
        self.mean: FloatArray = np.zeros(1)
        self.variance: FloatArray = np.zeros(1)

    def add(self, block: list[int]) -> int:
        """Add as many of the block as fit; their number."""
        admission, requests = self.admission, np.array(block, dtype=np.int64)
        prompts = admission.all_prompts[requests]
        tokens = self.tokens + np.cumsum(prompts)
        fits = np.ones(len(block), dtype=bool)
        if admission.fits is not None:
            fits &= tokens <= admission.fits
        capacity = admission.worker.kv_capacity
        if capacity is not None:
            held = self.held + np.cumsum(prompts + 1)
            fits &= held <= capacity
            if fits[0] and self.checks:
                fits &= self._within(requests, held, capacity)
        fit = len(block) if fits.all() else int(np.argmin(fits))
        if fit == len(block):
            self.tokens, self.empty = int(tokens[-1]), False
            if capacity is not None:
                self.held = int(held[-1])
        return fit

    def _within(self, requests: IntArray, held: IntArray, capacity: int) -> np.ndarray:
        """Whether the KV stays within the capacity with the first 1, 2, ... of the requests, which hold `held` now."""
        parameters = self.admission.gate.parameters
        if self.ahead is None:
            self._begin(capacity)
        mean, variance = self._expected(requests, np.zeros(len(requests), dtype=np.int64))
        means, variances = self.mean + np.cumsum(mean, axis=0), self.variance + np.cumsum(variance, axis=0)
        now = held[:, None]
        counted = now + parameters.growth * (means - now) + parameters.reserve * np.sqrt(variances)
        within = np.all(counted <= capacity, axis=1)
        # Alone on the worker it has to be tried.
        within[0] |= self.empty
        self.mean, self.variance = means[-1], variances[-1]
        return np.asarray(within)

    def _begin(self, capacity: int) -> None:
        """Count what is active."""
        active, made = active_arrays(self.view)
        self.ahead = self.admission.rounds_ahead(capacity)
        mean, variance = self._expected(active, made)
        self.mean, self.variance = mean.sum(axis=0), variance.sum(axis=0)

    def _expected(self, requests: IntArray, made: IntArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the KV of each request in the rounds ahead, shape (requests, ahead)."""
        assert self.ahead is not None
        chance = self.admission.survival.alive(requests, made, self.ahead)
        held = (self.admission.all_prompts[requests] + made)[:, None] + self.ahead
        mean = chance * held
        return mean, mean * (held - mean)


class GatedRefillAdmission(RefillAdmission):
    """`RefillAdmission` behind a `Gate`."""

    def __init__(self, worker: Worker, estimator: SurvivalEstimator, prompts: list[int], gate: Gate):
        super().__init__(worker, estimator, prompts)
        self.gate, self.factor = gate, gate.parameters.reserve

    def batch(self, view: WorkerView, candidates: Iterable[int], skip: bool) -> list[int]:
        """As `RefillAdmission.batch`, at most as many as the gate lets pass."""
        opened = self.gate.opened(view)
        return [] if opened <= 0 else super().batch(view, islice(candidates, opened), skip)


class GatedAdmission(Admission):
    """`Admission`, for lengths that are known, behind a `Gate`."""

    def __init__(self, worker: Worker, estimator: Estimator, prompts: list[int], gate: Gate):
        super().__init__(worker, estimator, prompts)
        self.gate = gate

    def batch(self, view: WorkerView, candidates: Iterable[int], skip: bool) -> list[int]:
        """As `Admission.batch`, at most as many as the gate lets pass."""
        opened = self.gate.opened(view)
        return [] if opened <= 0 else super().batch(view, islice(candidates, opened), skip)


def gated_admission(worker: Worker, estimator: Estimator, prompts: list[int], gate: Gate) -> Admission:
    """The admission that the numbers ask for; of known lengths the exact check."""
    if not isinstance(estimator, SurvivalEstimator):
        return GatedAdmission(worker, estimator, prompts, gate)
    kind = GatedRefillAdmission if gate.parameters.refill > 0.5 else LearnedAdmission
    return kind(worker, estimator, prompts, gate)
