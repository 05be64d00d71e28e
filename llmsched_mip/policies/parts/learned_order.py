"""What the learned rule knows of requests that wait, and the order that it makes of it."""

from __future__ import annotations

import numpy as np

from llmsched_mip.policies.parts.backlog import Backlog
from llmsched_mip.policies.parts.estimator import Estimator
from llmsched_mip.policies.parts.learned_parameters import FEATURES, Parameters
from llmsched_mip.policies.parts.outlook import Outlook
from llmsched_mip.policies.parts.survival import SurvivalEstimator
from llmsched_mip.policies.protocol import Problem, WorkerView
from llmsched_mip.timing import FloatArray, IntArray, request_kv_volume, work_seconds

POINTS = 40
LONG = 0.9
NEW_SHARE = 16
NEWS = 1 / 8
SHORTEST_HORIZON = 1024


class ExpectedLengths:
    """Mean, spread and tail of the lengths of requests that have not begun.

    Parameters
    ----------
    problem : Problem
    estimator : Estimator
    """

    def __init__(self, problem: Problem, estimator: Estimator):
        self.estimator, self.upper = estimator, problem.lengths.upper
        self.longest_seen = 0

    def observe(self, length: int) -> None:
        """Note a completed length."""
        self.longest_seen = max(self.longest_seen, length)

    def of(self, requests: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Mean and standard deviation in tokens, and the chance of being longer than nine tenths of them; each of
        shape (n,)."""
        if not isinstance(self.estimator, SurvivalEstimator):
            mean = np.array([self.estimator.length(i) for i in requests.tolist()], dtype=np.float64)
            return mean, np.zeros(len(mean)), (mean >= np.quantile(mean, LONG)).astype(np.float64)
        visible = 0 if self.upper is None else 2 * int(self.upper[requests].max())
        most = max(SHORTEST_HORIZON, visible, 2 * self.longest_seen)
        ahead = np.unique(np.geomspace(1, most, POINTS).astype(np.int64))
        alive = self.estimator.alive(requests, np.zeros(len(requests), dtype=np.int64), ahead)
        # A request that still runs in round x makes that token: E L = Σ P(L ≥ x), E L² = Σ (2 x - 1) P(L ≥ x).
        steps = np.diff(ahead)
        between = 0.5 * (alive[:, 1:] + alive[:, :-1])
        mean = 1.0 + (between * steps).sum(axis=1)
        square = 1.0 + (between * steps * (ahead[1:] + ahead[:-1])).sum(axis=1)
        spread = np.sqrt(np.maximum(0.0, square - mean**2))
        limit = int(np.searchsorted(ahead, np.quantile(mean, LONG)))
        return mean, spread, alive[:, min(limit, len(ahead) - 1)]


class LearnedOrder:
    """Gives the waiting requests of a backlog their places, anew when enough has been learnt or has arrived.

    Parameters
    ----------
    problem : Problem
    backlog : Backlog
        Ordered by `key`.
    outlook : Outlook
    lengths : ExpectedLengths
    parameters : Parameters
    """

    def __init__(
        self, problem: Problem, backlog: Backlog, outlook: Outlook, lengths: ExpectedLengths, parameters: Parameters
    ):
        self.problem, self.backlog, self.outlook = problem, backlog, outlook
        self.lengths, self.parameters = lengths, parameters
        self.weights = np.array([getattr(parameters, name) for name in FEATURES])
        self.arrival_s: dict[int, float] = {}
        self.mean_length = 0.0
        self._new = self._seen = 0
        self._look_again = 8
        self._ends = False

    def arrived(self, request: int, time: float) -> None:
        """Note a request that waits."""
        self.arrival_s.setdefault(request, time)
        self._new += 1

    def completed(self, length: int) -> None:
        """Note a completion."""
        self.lengths.observe(length)
        self._seen += 1

    def refresh(self, view: WorkerView) -> None:
        """Order the waiting requests where that is due: of new arrivals, of lengths learnt, and at the endgame."""
        queue = self.backlog.queue
        if not queue:
            return
        ends = self._ends or self._near_the_end(view)
        news = not self.backlog.estimator.exact and self._seen >= self._look_again
        if not (self._new * NEW_SHARE >= len(queue) and self._new) and not news and ends == self._ends:
            return
        self._new, self._ends = 0, ends
        if news:
            self._look_again = self._seen + max(8, int(NEWS * self._seen))
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
        mean, spread, tail = self.lengths.of(waiting)
        self.mean_length = float(mean.mean())
        if self._ends:
            return -(mean + self.parameters.endgame_spread * spread)
        return np.asarray(self._features(waiting, mean, spread, tail, now) @ self.weights)

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
            np.log(problem.weight[waiting]),
            spread / mean,
            tail,
            np.array([number[i] for i in waiting.tolist()]) / count,
            -age / max(float(age.mean()), np.finfo(np.float64).tiny),
        ]
        return np.stack(columns, axis=1)
