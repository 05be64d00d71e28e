"""Distribution of decode lengths, learnt from completed and running requests, given the tokens made so far."""

from __future__ import annotations

import numpy as np

from llmsched_mip.policies.parts.estimator import OVERRUN, PRIOR_MEAN, Estimator
from llmsched_mip.policies.protocol import Lengths, WorkerView
from llmsched_mip.timing import FloatArray, IntArray

ATOMS = 64
PRIOR_ATOMS, PRIOR_WEIGHT = 16, 8.0
REFIT_SHARE = 0.05
FARTHEST = 4.0


def kaplan_meier(places: FloatArray, ended: np.ndarray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Product-limit estimate of a survival function (Kaplan and Meier, J. Amer. Statist. Assoc. 53 (1958)).

    Parameters
    ----------
    places : float array, shape (m,)
        Where each observation ended or was lost from sight.
    ended : bool array, shape (m,)
        Whether it ended there; else it is censored: it ends somewhere beyond.
    weight : float array, shape (m,)
        How often each counts.

    Returns
    -------
    points, survival : float arrays
        Distinct places of ends, ascending, and the estimated share that ends beyond each.
    """
    points = np.unique(places[ended])
    order = np.argsort(places, kind="stable")
    reached = np.append(0.0, np.cumsum(weight[order]))
    at_risk = reached[-1] - reached[np.searchsorted(places[order], points, side="left")]
    ends = np.bincount(np.searchsorted(points, places[ended]), weights=weight[ended], minlength=len(points))
    return points, np.cumprod(np.maximum(0.0, 1.0 - ends / at_risk))


class SurvivalEstimator(Estimator):
    """Lengths by their place in the prediction interval, whose distribution is learnt over all requests.

    The place of a length d in [l, u] is z = ln(d / l) / ln(u / l): 0 at l, 1 at u, outside for a wrong prediction.
    Where nothing is visible, z = ln d.  The survival function of z is the Kaplan-Meier estimate over completed
    requests (ends), running and evicted ones (censored at the tokens made) and a prior that weighs as much as eight
    requests: uniform on [0, 1], or exponential lengths of mean 256.  It is kept as 64 equally likely places, and what
    is expected of a request is the mean over those beyond the tokens that it has made.
    """

    def __init__(self, lengths: Lengths):
        super().__init__(lengths)
        self.base: FloatArray | None = None
        if self.low is not None and self.high is not None:
            self.base = np.log(self.low.astype(np.float64))
            self.width = np.maximum(np.log(self.high.astype(np.float64)) - self.base, 1e-3)
        middle = (np.arange(PRIOR_ATOMS) + 0.5) / PRIOR_ATOMS
        self.prior = middle if self.base is not None else np.log(np.maximum(1.0, -PRIOR_MEAN * np.log1p(-middle)))
        self.atoms = np.quantile(self.prior, (np.arange(ATOMS) + 0.5) / ATOMS)
        self.ends: dict[int, int] = {}
        self.censored: dict[int, int] = {}
        self.refit_at = 8
        self.version = 0

    def place(self, request: int | IntArray, length: int | IntArray) -> FloatArray:
        """z of a length of `request` (broadcast)."""
        logs = np.log(np.maximum(length, 1))
        if self.base is None:
            return np.asarray(logs)
        return np.clip((logs - self.base[request]) / self.width[request], -FARTHEST, FARTHEST)

    def lengths_at(self, request: int | IntArray, place: FloatArray) -> FloatArray:
        """Length of `request` at the places (broadcast)."""
        if self.base is None:
            return np.exp(place)
        return np.exp(self.base[request] + self.width[request] * place)

    def learn(self, request: int, length: int, running: dict[int, int]) -> None:
        """Note a completion; `running`: tokens made by the active requests of the same worker."""
        self.ends[request] = length
        self.censored.pop(request, None)
        if len(self.ends) >= self.refit_at:
            self.refit_at = len(self.ends) + max(8, int(REFIT_SHARE * len(self.ends)))
            self._refit(self.censored | running)

    def lose(self, request: int, made: int) -> None:
        """Note an eviction after `made` tokens."""
        self.censored[request] = max(made, self.censored.get(request, 0))

    def _refit(self, censored: dict[int, int]) -> None:
        requests = np.array([*self.ends, *censored], dtype=np.int64)
        lengths = np.array([*self.ends.values(), *censored.values()], dtype=np.int64)
        seen = self.place(requests, lengths)
        places = np.concatenate([seen, self.prior])
        ended = np.ones(len(places), dtype=bool)
        ended[len(self.ends) : len(seen)] = False
        weight = np.ones(len(places))
        weight[len(seen) :] = PRIOR_WEIGHT / PRIOR_ATOMS
        points, survival = kaplan_meier(places, ended, weight)
        levels = 1.0 - (np.arange(ATOMS) + 0.5) / ATOMS
        beyond = np.minimum(np.searchsorted(-survival, -levels, side="left"), len(points) - 1)
        self.atoms = points[beyond]
        self.version += 1

    def length(self, request: int, made: int = 0) -> int:
        """Mean length beyond the tokens made; past all that was ever seen, these times 1.25."""
        if self.exact:
            return super().length(request, made)
        values = self.lengths_at(request, self.atoms)
        values = values[np.searchsorted(values, made, side="right") :]
        return max(made + 1, round(float(values.mean())) if len(values) else round(made * OVERRUN))

    def remaining(self, view: WorkerView) -> tuple[FloatArray, FloatArray]:
        """Of the active requests: mean tokens still to make, and the rate of completion over the next quarter of
        that, per round; both of shape (active,)."""
        requests, made = active_arrays(view)
        values = self.lengths_at(requests[:, None], self.atoms[None, :])
        beyond = values > made[:, None]
        count = beyond.sum(axis=1)
        mean = np.where(beyond, values, 0.0).sum(axis=1) / np.maximum(count, 1)
        left = np.maximum(1.0, np.where(count > 0, mean, made * OVERRUN) - made)
        window = np.maximum(1.0, left / 4)
        soon = (beyond & (values <= (made + window)[:, None])).sum(axis=1) / np.maximum(count, 1)
        return left, np.where(count > 0, soon / window, 1.0 / left)

    def alive(self, requests: IntArray, made: IntArray, ahead: IntArray) -> FloatArray:
        """Chance that each request still runs in the round `ahead` from now: shape (requests, ahead).

        At least one of 64 places is taken to be beyond: a request is never certain to have ended.
        """
        limit = self.place(requests[:, None], made[:, None] + ahead[None, :] - 1)
        beyond = ATOMS - np.searchsorted(self.atoms, limit, side="right")
        now = ATOMS - np.searchsorted(self.atoms, self.place(requests, made), side="right")
        share = np.maximum(beyond, 0) / np.maximum(now, 1)[:, None]
        # Past every place that was seen: the tokens made times 1.25, as in `length`.
        past = np.where(now > 0, 0.0, 1.0)[:, None]
        return np.where(past > 0, made[:, None] * OVERRUN >= made[:, None] + ahead[None, :], share)


def active_arrays(view: WorkerView) -> tuple[IntArray, IntArray]:
    """Active requests of a worker and the tokens they have made, each of shape (active,)."""
    count = len(view.started)
    requests = np.fromiter(view.started.keys(), dtype=np.int64, count=count)
    return requests, view.rounds - np.fromiter(view.started.values(), dtype=np.int64, count=count)
