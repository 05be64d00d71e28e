"""The forward KV check on a distribution of the lengths, compiled, for many candidates that may be passed over."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.special import ndtri

from llmsched_mip.compiled import routine
from llmsched_mip.instance import Worker
from llmsched_mip.policies.parts.admission import Admission
from llmsched_mip.policies.parts.rolling_lives import Lives
from llmsched_mip.policies.parts.survival import active_arrays
from llmsched_mip.policies.protocol import WorkerView

LARGE = 2**62


class RollingAdmission(Admission):
    """As `ChanceAdmission`: in each of the rounds ahead, the mean of the KV held plus a multiple of its standard
    deviation stays within the capacity.  What waits is looked up in a table (`Lives`), and all are checked in one go.

    Parameters
    ----------
    worker : Worker
    lives : Lives
        Chances that the requests still run, for hidden lengths.
    prompts : list of int
    risk : float
        Accepted risk of an overflow in a round ahead, above 0 and at most 0.5.
    """

    def __init__(self, worker: Worker, lives: Lives, prompts: list[int], risk: float):
        super().__init__(worker, lives.estimator, prompts)
        self.profile = None
        self.lives = lives
        self.factor = float(ndtri(1.0 - risk))

    def batch(self, view: WorkerView, candidates: Iterable[int], skip: bool) -> list[int]:
        """As `Admission.batch`."""
        waiting = np.fromiter(candidates, dtype=np.int64)
        if not len(waiting):
            return []
        lives, cap = self.lives, self.fits
        prompts, room = lives.prompts[waiting], min(view.free_slots, len(waiting))
        capacity = LARGE if self.worker.kv_capacity is None else self.worker.kv_capacity
        mean, variance = lives.load(*active_arrays(view))
        limits = (capacity, LARGE if cap is None else cap, self.factor, skip)
        held, load = view.kv_held + view.active, lives.waiting_load(waiting)
        chosen = np.empty(room, dtype=np.int64)
        count = _choose(prompts, load, (mean.sum(axis=0), variance.sum(axis=0)), held, limits, chosen)
        return [int(i) for i in waiting[chosen[:count]]]


@routine
def _choose(prompts, load, sums, held, limits, chosen):  # type: ignore[no-untyped-def]
    """Positions of the candidates that fit together, in their order; how many."""
    capacity, cap, factor, skip = limits
    mean, variance = sums
    means, variances = load
    tokens, count = 0, 0
    for k in range(len(prompts)):
        if count == len(chosen):
            break
        prompt = prompts[k]
        fits = tokens + prompt <= cap and held + prompt + 1 <= capacity
        if fits and held > 0:
            for h in range(len(mean)):
                if mean[h] + means[k, h] + factor * np.sqrt(variance[h] + variances[k, h]) > capacity:
                    fits = False
                    break
        if fits:
            for h in range(len(mean)):
                mean[h] += means[k, h]
                variance[h] += variances[k, h]
            chosen[count] = k
            count += 1
            tokens += prompt
            held += prompt + 1
        elif not skip:
            break
    return count
