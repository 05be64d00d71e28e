"""The one-worker backlog as tables: what a prefill iteration and what each round of a request cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from llmsched_mip.instance import Instance
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.models.start_rounds import Start, plan_of
from llmsched_mip.plan import Plan
from llmsched_mip.timing import FloatArray, IntArray, request_kv_peak, seconds_at_best_rate

MOST_REQUESTS = 62
MOST_TABLE = 4_000_000
# Numbers that the search keeps for its depth, 400 MB.
MOST_CELLS = 50_000_000
# A limit that nothing reaches.
UNLIMITED = MOST_LIMIT


class Backlog(NamedTuple):
    """What the compiled search needs of a `StageProblem`, in its letters."""

    makespan: bool
    one_iteration: bool
    at_completions: bool
    ordered: bool
    p: IntArray
    d: IntArray
    twin: IntArray
    slots: int
    capacity: int
    cap: int
    round_s: float
    tail_s: FloatArray
    iteration_s: FloatArray
    cover_s: FloatArray
    fixed_s: float
    prompt_s: FloatArray


@dataclass(frozen=True, eq=False)
class StageProblem:
    """One worker, all requests at hand, equal weights; requests stand in `order`.

    Parameters
    ----------
    makespan : bool
        Else the sum of completion times.
    order : int array, shape (n,)
        Numbers of the requests in the instance: longest first for the makespan, shortest first for the sum.
    p, d : int arrays, shape (n,)
        Prompt tokens and decode rounds.
    slots, capacity, cap : int
        Most requests at once, KV tokens (`UNLIMITED` where it cannot bind), prompt tokens of a prefill iteration.
    round_s : float
        Seconds of a round before the shares of its requests.
    tail_s : float array, shape (n, max d + 1)
        Seconds that the rounds of a request add from its (k + 1)-th on.
    iteration_s : float array
        Seconds of a prefill iteration by prompt tokens.
    cover_s : float array
        Least seconds in which so many prompt tokens can be prefilled, over any number of iterations; proportional.
    fixed_s : float
        Least seconds of an iteration on top of `prompt_s`.
    prompt_s : float array, shape (n,)
        Seconds that a prompt adds to whatever iteration it is in (0 for levels).
    weight : float
        The weight of every request.
    """

    makespan: bool
    order: IntArray
    p: IntArray
    d: IntArray
    slots: int
    capacity: int
    cap: int
    round_s: float
    tail_s: FloatArray
    iteration_s: FloatArray
    cover_s: FloatArray
    fixed_s: float
    prompt_s: FloatArray
    weight: float

    @classmethod
    def of(cls, instance: Instance) -> StageProblem | None:
        """The problem of an instance, or None where the search does not apply."""
        worker, r = instance.workers[0], instance.requests
        if len(instance.workers) > 1 or r.arrival_s.any() or instance.n > MOST_REQUESTS:
            return None
        if instance.objective != "makespan" and len(np.unique(r.weight)) > 1:
            return None
        tokens = worker.most_prefill(int(r.prefill_tokens.sum()))
        if tokens > MOST_TABLE or instance.n * int(r.decode_tokens.max()) > MOST_TABLE:
            return None
        makespan = instance.objective == "makespan"
        sign = -1 if makespan else 1
        order = np.lexsort((sign * r.prefill_tokens, sign * r.decode_tokens))
        p, d = r.prefill_tokens[order], r.decode_tokens[order]
        slots = worker.most_slots(instance.n)
        prefill, decode = worker.prefill_time, worker.decode_time
        iteration_s = np.asarray(prefill.seconds(np.arange(tokens + 1)), dtype=np.float64)
        peak = int(np.sort(request_kv_peak(p, d))[::-1][:slots].sum())
        capacity = worker.most_kv(peak)
        problem = cls(
            makespan,
            order,
            p,
            d,
            slots,
            capacity if capacity < peak else UNLIMITED,
            tokens,
            decode.base_s,
            _tails(p, d, np.asarray(decode.round_seconds(1, p[:, None] + np.arange(1, d.max() + 1))) - decode.base_s),
            iteration_s,
            seconds_at_best_rate(iteration_s),
            float(iteration_s[0]),
            np.where(prefill.prompt_seconds(p) > 0, iteration_s[p] - iteration_s[0], 0.0),
            1.0 if makespan else float(r.weight[0]),
        )
        return problem if problem.depth * (problem.n + 10) <= MOST_CELLS else None

    @property
    def n(self) -> int:
        """Number of requests."""
        return len(self.p)

    @property
    def depth(self) -> int:
        """Most actions on the way from the first to the last completion."""
        return 3 * self.n + 4 if self.at_completions else 2 * self.n + int(self.d.sum()) + 4

    @property
    def one_iteration(self) -> bool:
        """Whether two iterations without a round between them can always be merged at no greater cost."""
        return bool(self.prompt_s.any() or not self.iteration_s[1:].any()) and self.cap >= int(self.p.sum())

    @property
    def at_completions(self) -> bool:
        """Whether prefill iterations need only stand where a request has just completed; see `branch`."""
        share = float((self.tail_s[:, :-1] - self.tail_s[:, 1:]).max())
        return self.capacity == UNLIMITED and (self.makespan or self.round_s >= (self.n - 1) * share)

    @property
    def ordered(self) -> bool:
        """Whether of the active requests only the rounds that they have left matter."""
        return self.makespan and self.capacity == UNLIMITED

    @property
    def backlog(self) -> Backlog:
        """The arrays and marks of the compiled search."""
        return Backlog(*(getattr(self, name) for name in Backlog._fields))

    @property
    def twin(self) -> IntArray:
        """The request before this one that is its equal, or -1: shape (n,)."""
        same = np.diff(self.d) == 0
        if not (self.ordered and self.one_iteration):
            same &= np.diff(self.p) == 0
        return np.concatenate(([-1], np.where(same, np.arange(self.n - 1), -1))).astype(np.int64)

    def plan(self, instance: Instance, actions: IntArray, method: str) -> Plan:
        """The plan of a list of actions (request, rounds): a request joins, or -1 ends its iteration or decodes."""
        starts, now, iteration, open_ = [], 0, 0, False
        for request, rounds in actions.tolist():
            if request >= 0:
                starts.append(Start(0, now + 1, iteration, int(self.order[request])))
                open_ = True
            elif open_:
                iteration, open_ = iteration + 1, False
            else:
                now, iteration = now + rounds, 0
        return plan_of(instance, starts, method)


def _tails(p: IntArray, d: IntArray, seconds: FloatArray) -> FloatArray:
    """Sums of `seconds` from each round to the last: shape (n, max d + 1)."""
    seconds = np.where(np.arange(seconds.shape[1])[None, :] < d[:, None], seconds, 0.0)
    tail = np.zeros((len(p), seconds.shape[1] + 1))
    tail[:, :-1] = np.cumsum(seconds[:, ::-1], axis=1)[:, ::-1]
    return tail
