"""What the learned rule knows of requests that wait, and the order that it makes of it."""

from __future__ import annotations

import numpy as np

from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.learned_parameters import FEATURES, Parameters
from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.parts.ranking import expected_tokens
from llmsched_mip.policies.parts.survival import SurvivalEstimator
from llmsched_mip.policies.protocol import Problem, WorkerView
from llmsched_mip.timing import FloatArray, IntArray, request_kv_volume, work_seconds

POINTS = 40
LONG = 0.9
NEW_SHARE = 16


class LearnedOrder:
    """Gives the waiting requests of a backlog their places, anew when enough has been learnt or has arrived.

    Parameters
    ----------
    problem : Problem
    backlog : Backlog
        Ordered by `key`.
    outlook : Outlook
    parameters : Parameters
    """

    def __init__(self, problem: Problem, backlog: Backlog, outlook: Outlook, parameters: Parameters):
        self.problem, self.backlog, self.outlook, self.parameters = problem, backlog, outlook, parameters
        self.estimator = backlog.estimator
        self.weights = np.array([getattr(parameters, name) for name in FEATURES])
        self.arrival_s: dict[int, float] = {}
        self.mean_length = 0.0
        self.spreads = any((parameters.uncertainty, parameters.tail, parameters.endgame_spread))
        self._new = 0
        self._version = self.estimator.version
        self._ends = False

    def arrived(self, request: int, time: float) -> None:
        """Note a request that waits."""
        self.arrival_s.setdefault(request, time)
        self._new += 1

    def refresh(self, view: WorkerView) -> None:
        """Order the waiting requests where that is due: of new arrivals, of lengths learnt, and at the endgame."""
        queue = self.backlog.queue
        if not queue:
            return
        ends = self._ends or self._near_the_end(view)
        arrived = self._new and self._new * NEW_SHARE >= len(queue)
        if not arrived and self._version == self.estimator.version and ends == self._ends:
            return
        self._new, self._ends, self._version = 0, ends, self.estimator.version
        number = queue.number
        waiting = np.array(sorted(queue, key=number.__getitem__), dtype=np.int64)
        score = self._score(waiting, view.time)
        queue.place({i: (value, number[i]) for i, value in zip(waiting.tolist(), score.tolist(), strict=True)})

    def _near_the_end(self, view: WorkerView) -> bool:
        """Whether the rounds left are few against the longest expected length."""
        endgame = self.parameters.endgame
        return endgame > 0 and self.outlook.rounds_left(view) <= endgame * self.outlook.longest

    def _score(self, waiting: IntArray, now: float) -> FloatArray:
        """Scores of requests, shape (n,), smallest first."""
        mean, spread, tail = self._lengths(waiting)
        self.mean_length = float(mean.mean())
        if self._ends:
            return -(mean + self.parameters.endgame_spread * spread)
        return np.asarray(self._features(waiting, mean, spread, tail, now) @ self.weights)

    def _lengths(self, waiting: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Mean and standard deviation in tokens, and the chance of being longer than nine tenths of them; each of
        shape (n,)."""
        mean = expected_tokens(self.estimator, waiting).astype(np.float64)
        if not self.spreads or not isinstance(self.estimator, SurvivalEstimator):
            return mean, np.zeros(len(mean)), (mean >= np.quantile(mean, LONG)).astype(np.float64)
        ahead = np.unique(np.geomspace(1, self.estimator.cells.edges[-1], POINTS).astype(np.int64))
        alive = self.estimator.alive(waiting, np.zeros(len(waiting), dtype=np.int64), ahead)
        # A request that still runs in round x makes that token: E L² = Σ (2 x - 1) P(L ≥ x).
        between = 0.5 * (alive[:, 1:] + alive[:, :-1]) * np.diff(ahead)
        square = 1.0 + (between * (ahead[1:] + ahead[:-1])).sum(axis=1)
        limit = min(int(np.searchsorted(ahead, np.quantile(mean, LONG))), len(ahead) - 1)
        return mean, np.sqrt(np.maximum(0.0, square - mean**2)), alive[:, limit]

    def _features(
        self, waiting: IntArray, mean: FloatArray, spread: FloatArray, tail: FloatArray, now: float
    ) -> FloatArray:
        """Shape (n, 9), in the order of `FEATURES`."""
        problem, prompts = self.problem, self.problem.prefill_tokens[waiting]
        tokens = np.maximum(1, np.rint(mean)).astype(np.int64)
        machine = np.minimum.reduce(
            [
                work_seconds(w.prefill_time, w.decode_time, prompts, tokens, w.slots, w.kv_capacity)
                for w in problem.workers
            ]
        )
        number, count = self.backlog.queue.number, len(self.backlog.queue.number)
        age = now - np.array([self.arrival_s[i] for i in waiting.tolist()])
        columns = [
            np.log(mean),
            np.log(np.maximum(machine, np.finfo(np.float64).tiny)),
            np.log(request_kv_volume(prompts, tokens)),
            np.log(prompts),
            # Of the largest: all weights twice as large give the same scores to the last digit.
            np.log(problem.weight[waiting] / problem.weight.max()),
            spread / mean,
            tail,
            np.array([number[i] for i in waiting.tolist()]) / count,
            -age / max(float(age.mean()), np.finfo(np.float64).tiny),
        ]
        return np.stack(columns, axis=1)
