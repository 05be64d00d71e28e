"""Distribution of hidden decode lengths, learnt from completed and running requests, given the tokens made so far."""

from __future__ import annotations

import numpy as np

from llmsched_mip.policies.parts.estimator import OVERRUN, PRIOR_MEAN, Estimator
from llmsched_mip.policies.parts.life_table import Cells, life_table, lomax, spread_edges
from llmsched_mip.policies.parts.places import Places
from llmsched_mip.policies.protocol import Lengths, Problem, WorkerView
from llmsched_mip.timing import FloatArray, IntArray

CELLS = 96
PRIOR_WEIGHT, CLASS_WEIGHT = 8.0, 32.0
MOST_CLASSES, CLASS_SIZE = 6, 100
FIRST_FIT, REFIT_SHARE = 8, 0.1
WINDOW, CACHED, BLOCK = 8192, 4096, 256
FLAT = 0.02
LONGEST = 0.8

INTERVAL_EXPERTS = (6.0, 1.0, 2.0, 0.5, 2.0, 0.5, 0.2)
UNKNOWN_EXPERTS = (4.0, 1.0)
"""How much each expert counts before anything is seen, in requests: right (of all, of those with such a prompt),
calibrated (the same), place, population (the same)."""


def estimator_for(problem: Problem) -> Estimator:
    """The estimator of a policy's lengths: they themselves where they are known, else `SurvivalEstimator`."""
    if problem.lengths.visible == "known":
        return Estimator(problem.lengths)
    return SurvivalEstimator(problem.lengths, problem.prefill_tokens)


class SurvivalEstimator(Estimator):
    """The distribution of every hidden length, which narrows while requests run and complete.

    It is a mixture of what these experts expect of a request:

    - right: the lengths of this run, of requests with a prompt like this one, as far as they lie in the interval (what
      is left of a population when it is known in which of the intervals around a length this one lies);
    - calibrated: the same, weighted by how often lengths have been found at each place of their interval (`Places`),
      so that predictions may be too short, too long or wrong;
    - place: the place alone;
    - population: the lengths of this run, of all requests, and of those with a prompt like this one.

    Without intervals only the last two remain.  The shares of the experts are those that make the most of the lengths
    that have been seen likely, by what each expert expected before (stacking: Wolpert, Neural Networks 5 (1992)): by
    expectation maximization, over the later half of the completions (their cells) and the running requests (that they
    have come so far).  Lengths of this run are a life table over cells, half of them at quantiles of what was seen:
    completed requests (ends), running and evicted ones (lost from sight at the tokens made) and a prior of a few
    requests.  Prompts are classed by quantiles, and each class is drawn to the whole by 24 requests.

    All is fitted anew when a tenth more requests have completed or been evicted; `version` counts the fits.

    Parameters
    ----------
    lengths : Lengths
        Not known.
    prompts : int array, shape (n,), optional
        Prompt lengths, tokens.
    """

    def __init__(self, lengths: Lengths, prompts: IntArray | None = None):
        super().__init__(lengths)
        self.prompts = prompts
        self.places: Places | None = None
        self.prior = np.array(UNKNOWN_EXPERTS)
        if self.low is not None and self.high is not None:
            self.places = Places(self.low, self.high)
            self.prior = np.array(INTERVAL_EXPERTS)
        self.ends: dict[int, int] = {}
        self.lost: dict[int, int] = {}
        self.views: dict[int, WorkerView] = {}
        self.new: list[int] = []
        self.scores = np.empty((0, len(self.prior)))
        self.until_fit = FIRST_FIT
        self.version = 0
        self.class_edges: FloatArray = np.empty(0)
        empty: IntArray = np.empty(0, dtype=np.int64)
        self._set_cells(empty, empty)
        logs = np.diff(np.log(np.maximum(self.cells.edges, 0.5)))
        flat = logs / logs.sum() if self.places else lomax(self.cells.edges.astype(np.float64), PRIOR_MEAN)
        self.population = flat[None, :]
        self.shares = self.prior * np.array([*[1.0] * (len(self.prior) - 2), 1e-3, 1e-3])
        self.shares /= self.shares.sum()
        self._forget()

    # What is learnt.

    def note(self, request: int, length: int, view: WorkerView) -> None:
        """Note a completion on the worker of `view`."""
        self.views[view.index] = view
        self.learn(request, length, {})

    def learn(self, request: int, length: int, running: dict[int, int]) -> None:
        """Note a completion; `running`: tokens made by active requests, besides those of the workers of `note`."""
        if request not in self.ends:
            self.new.append(request)
        self.ends[request] = length
        self.lost.pop(request, None)
        self._count(running)

    def lose(self, request: int, made: int, view: WorkerView | None = None) -> None:
        """Note an eviction after `made` tokens, from the worker of `view`."""
        if view is not None:
            self.views[view.index] = view
        self.lost[request] = max(made, self.lost.get(request, 0))
        self._count({})

    def _count(self, running: dict[int, int]) -> None:
        """Count one more observation, and fit anew where that is due."""
        self.until_fit -= 1
        if self.until_fit > 0:
            return
        for view in self.views.values():
            running = running | {i: view.rounds - start for i, start in view.started.items()}
        self._refit(
            {i: max(made, self.lost.get(i, 0)) for i, made in (self.lost | running).items() if i not in self.ends}
        )
        self.until_fit = max(FIRST_FIT, int(REFIT_SHARE * len(self.ends)))

    def _refit(self, running: dict[int, int]) -> None:
        requests, lengths = _arrays(self.ends)
        others, made = _arrays(running)
        self._weigh(others, made)
        for old in list(self.ends)[: max(0, len(self.ends) - WINDOW)]:
            del self.ends[old]
        self._set_cells(lengths, made)
        ends, lost = self.cells.of(lengths), self.cells.of(made + 1)
        mean = (lengths.sum() + made.sum() + PRIOR_WEIGHT * PRIOR_MEAN) / (len(lengths) + PRIOR_WEIGHT)
        whole = life_table(ends, lost, PRIOR_WEIGHT * lomax(self.cells.edges.astype(np.float64), float(mean)) + 1e-12)
        tables = [whole]
        count = min(MOST_CLASSES, len(requests) // CLASS_SIZE)
        if self.prompts is not None and count > 1:
            inner = np.arange(1, count) / count
            self.class_edges = np.unique(np.quantile(self.prompts[requests], inner))
            of, of_lost = self._class(requests), self._class(others)
            near = CLASS_WEIGHT * whole + 1e-12
            classes = range(len(self.class_edges) + 1)
            tables += [life_table(ends[of == k], lost[of_lost == k], near) for k in classes]
        self.population = np.array(tables)
        if self.places is not None:
            self.places.learn(requests, lengths, others, made)
        self.version += 1
        self._forget()

    def _set_cells(self, lengths: IntArray, made: IntArray) -> None:
        """Cells for the lengths that were seen and what may come."""
        most = 2 * int(
            max([8 * PRIOR_MEAN, *lengths.max(initial=0, keepdims=True), *made.max(initial=0, keepdims=True)])
        )
        least = 1
        if self.high is not None and self.low is not None:
            most = max(most if len(lengths) else 0, int(self.high.max()) + 1)
            least = int(min(self.low.min(), lengths.min(initial=2**31)))
        self.cells = Cells(spread_edges(max(1, least - 1), most, CELLS, lengths), lengths)

    def _weigh(self, running: IntArray, made: IntArray) -> None:
        """Fit the shares of the experts by what they expected of the requests that have been seen since."""
        done = np.array(self.new, dtype=np.int64)
        lengths = np.array([self.ends[i] for i in self.new], dtype=np.int64)
        self.new = []
        flat = np.full(len(self.cells.at), 1.0 / len(self.cells.at))
        cell = self.cells.of(lengths)
        ended = [(1 - FLAT) * rows[np.arange(len(done)), cell] + FLAT * flat[cell] for rows in self._experts(done)]
        self.scores = np.concatenate([self.scores, np.stack(ended, axis=1)])
        later = min(WINDOW, max(CLASS_SIZE, len(self.scores) // 2))
        beyond = np.arange(len(self.cells.at)) >= self.cells.of(made + 1)[:, None]
        alive = np.stack([(rows * beyond).sum(axis=1) for rows in self._experts(running)], axis=1)
        likely = np.concatenate([self.scores[-later:], (1 - FLAT) * alive + FLAT])
        self.scores = self.scores[-2 * WINDOW :]
        shares = self.prior / self.prior.sum()
        for _ in range(20):
            joint = likely * shares
            joint /= joint.sum(axis=1, keepdims=True)
            shares = joint.sum(axis=0) + self.prior
            shares /= shares.sum()
        self.shares = shares

    # What is expected.

    def _class(self, requests: IntArray) -> IntArray:
        if self.prompts is None or not len(self.class_edges):
            return np.zeros(len(requests), dtype=np.int64)
        return np.searchsorted(self.class_edges, self.prompts[requests], side="right")

    def _experts(self, requests: IntArray) -> list[FloatArray]:
        """Of each expert: the chance that the length lies in each cell, shape (m, K)."""
        last = self.population.shape[0] - 1
        like = self.population[np.minimum(self._class(requests) + 1, last)]
        whole = np.broadcast_to(self.population[0], like.shape)
        if self.places is None or self.low is None or self.high is None:
            return [whole, like]
        edges = self.cells.edges
        low, high = self.low[requests, None] - 1, self.high[requests, None]
        overlap = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
        right = np.maximum(overlap, 0) / np.diff(edges)
        ends = self.places.place(requests[:, None], edges + 0.5)
        there = np.diff(self.places.share_below(ends), axis=1)
        calibrated = there / np.maximum(np.diff(ends, axis=1), 1e-9)
        rows = [whole * right, like * right, whole * calibrated, like * calibrated, there + 1e-12]
        return [*(each / np.maximum(each.sum(axis=1, keepdims=True), 1e-300) for each in rows), whole, like]

    def _rows(self, requests: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
        """Of each request and cell: the chance to end there or later, the mean of what that contributes to the length,
        each with a 0 at the end, shape (m, K + 1), and the length that the cell stands for, (m, K)."""
        share = sum(weight * rows for weight, rows in zip(self.shares, self._experts(requests), strict=True))
        at = np.broadcast_to(self.cells.at, share.shape)
        if self.places is not None:
            low, high = (np.rint(self.places.length(requests, z))[:, None] for z in self.places.core)
            edges = self.cells.edges
            at = np.clip(np.clip(at, low, high), edges[:-1] + 1, edges[1:]).astype(np.int64)
        beyond = np.zeros((len(share), share.shape[1] + 1))
        mass = np.zeros_like(beyond)
        beyond[:, :-1] = np.cumsum(share[:, ::-1], axis=1)[:, ::-1]
        mass[:, :-1] = np.cumsum((share * at)[:, ::-1], axis=1)[:, ::-1]
        return beyond, mass, at

    def _forget(self) -> None:
        """Drop what was kept of an earlier fit."""
        self._kept: dict[int, int] = {}
        self._beyond, self._mass = (np.empty((0, len(self.cells.at) + 1)) for _ in range(2))
        self._at = np.empty((0, len(self.cells.at)), dtype=np.int64)
        self._first: dict[int, tuple[FloatArray, IntArray]] = {}

    def _of(self, requests: IntArray) -> IntArray:
        """Where the rows of requests are kept, shape (m,)."""
        missing = [i for i in requests.tolist() if i not in self._kept]
        if missing:
            if len(self._kept) + len(missing) > max(CACHED, len(requests)):
                self._forget()
                missing = requests.tolist()
            used = len(self._kept)
            room = used + len(missing)
            if room > len(self._beyond):
                size = max(room, 2 * used, 64) - len(self._beyond)
                self._beyond, self._mass, self._at = (
                    np.concatenate([kept, np.zeros((size, kept.shape[1]), dtype=kept.dtype)])
                    for kept in (self._beyond, self._mass, self._at)
                )
            rows = self._rows(np.array(missing, dtype=np.int64))
            self._beyond[used:room], self._mass[used:room], self._at[used:room] = rows
            self._kept.update(zip(missing, range(used, room), strict=True))
        kept = self._kept
        return np.fromiter((kept[i] for i in requests.tolist()), dtype=np.int64, count=len(requests))

    def _passed(self, rows: IntArray, length: IntArray) -> IntArray:
        """How many cells of a row stand for no more than a length."""
        rows = rows.reshape(rows.shape + (1,) * (length.ndim - rows.ndim))
        cell = self.cells.of(length)
        return cell + (self._at[rows, cell] <= length)

    def length(self, request: int, made: int = 0) -> int:
        """Mean length beyond the tokens made; past all that was ever seen, these times 1.25."""
        if made == 0:
            return int(self._at_the_start(request)[0][request % BLOCK])
        one, tokens = np.array([request]), np.array([made])
        return max(made + 1, round(float(self._mean(one, tokens)[0])))

    def longest(self, request: int, made: int = 0) -> int:
        """Length to set KV aside for: exceeded with a chance of 1/5."""
        if made == 0:
            return max(self.length(request), int(self._at_the_start(request)[1][request % BLOCK]))
        return max(self.length(request, made), self.quantile(request, made, LONGEST))

    def _at_the_start(self, request: int) -> tuple[FloatArray, IntArray]:
        """Means and high quantiles of a block of requests that have made no token."""
        block = request // BLOCK
        if block not in self._first:
            end = (block + 1) * BLOCK
            if self.low is not None:
                end = min(end, len(self.low))
            elif self.prompts is not None:
                end = min(end, len(self.prompts))
            beyond, mass, at = self._rows(np.arange(block * BLOCK, end))
            mean = np.maximum(1, np.rint(mass[:, 0] / beyond[:, 0]))
            high = (beyond[:, 1:] > (1 - LONGEST) * beyond[:, :1]).sum(axis=1)
            self._first[block] = mean, at[np.arange(len(at)), np.minimum(high, at.shape[1] - 1)]
        return self._first[block]

    def _mean(self, requests: IntArray, made: IntArray) -> FloatArray:
        rows = self._of(requests)
        passed = self._passed(rows, made)
        beyond = self._beyond[rows, passed]
        mean = self._mass[rows, passed] / np.where(beyond > 0, beyond, 1.0)
        return np.where(beyond > 0, mean, made * OVERRUN)

    def remaining(self, view: WorkerView) -> tuple[FloatArray, FloatArray]:
        """Of the active requests: mean tokens still to make, and the rate of completion over the next quarter of
        that, per round; both of shape (active,)."""
        requests, made = active_arrays(view)
        left = np.maximum(1.0, self._mean(requests, made) - made)
        window = np.maximum(1, (left / 4).astype(np.int64))
        rows = self._of(requests)
        now = self._beyond[rows, self._passed(rows, made)]
        then = self._beyond[rows, self._passed(rows, made + window)]
        soon = 1.0 - then / np.where(now > 0, now, 1.0)
        return left, np.where(now > 0, soon / window, 1.0 / left)

    def alive(self, requests: IntArray, made: IntArray, ahead: IntArray) -> FloatArray:
        """Chance that each request still runs in the round `ahead` from now: shape (requests, ahead)."""
        rows = self._of(requests)
        until = made[:, None] + ahead[None, :] - 1
        now = self._beyond[rows, self._passed(rows, made)][:, None]
        then = self._beyond[rows[:, None], self._passed(rows, until)]
        past = np.maximum(made + 1, np.rint(made * OVERRUN))[:, None] > until
        return np.where(now > 0, then / np.where(now > 0, now, 1.0), past)

    def quantile(self, request: int, made: int, share: float) -> int:
        """The least length that the request, which has made `made` tokens, exceeds with a chance of 1 - `share`."""
        row = self._of(np.array([request]))
        passed = int(self._passed(row, np.array([made]))[0])
        beyond = self._beyond[row[0]]
        if beyond[passed] <= 0:
            return max(made + 1, round(made * OVERRUN))
        k = passed + int(np.sum(beyond[passed + 1 :] > (1 - share) * beyond[passed]))
        return int(self._at[row[0], min(k, self._at.shape[1] - 1)])

    def sample(self, rng: np.random.Generator, requests: IntArray, made: IntArray, count: int) -> IntArray:
        """Draw `count` times the lengths of requests that have made so many tokens: shape (count, m), each > `made`."""
        drawn = rng.random((count, len(requests)))
        lengths = np.empty((count, len(requests)), dtype=np.int64)
        for start in range(0, len(requests), CACHED // 4):
            part = slice(start, start + CACHED // 4)
            rows = self._of(requests[part])
            passed = self._passed(rows, made[part])
            for k, row in enumerate(rows.tolist()):
                beyond, m = self._beyond[row], start + k
                if beyond[passed[k]] <= 0:
                    lengths[:, m] = max(made[m] + 1, round(made[m] * OVERRUN))
                    continue
                level = (1.0 - drawn[:, m]) * beyond[passed[k]]
                cell = np.searchsorted(-beyond, -level, side="right") - 1
                lengths[:, m] = self._at[row, np.clip(cell, passed[k], self._at.shape[1] - 1)]
        return lengths


def _arrays(tokens: dict[int, int]) -> tuple[IntArray, IntArray]:
    """Requests and their tokens."""
    return np.array([*tokens], dtype=np.int64), np.array([*tokens.values()], dtype=np.int64)


def active_arrays(view: WorkerView) -> tuple[IntArray, IntArray]:
    """Active requests of a worker and the tokens they have made, each of shape (active,)."""
    count = len(view.started)
    requests = np.fromiter(view.started.keys(), dtype=np.int64, count=count)
    return requests, view.rounds - np.fromiter(view.started.values(), dtype=np.int64, count=count)
