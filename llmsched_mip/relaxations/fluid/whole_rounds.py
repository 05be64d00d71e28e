"""The fluid relaxation where a worker runs at least as many rounds as its longest request: a small MIP.

Fluid bounds let a worker of many slots take a long request for a small share of each round, as if there were always
others to share it with.  Where few waves of requests run, a worker that takes a long request runs rounds for it whether
or not anything shares them, and which worker that is decides the makespan.

Sets
    C          types of requests; (c, k) in F where type c fits kind k
    K          kinds of workers
    L          levels of decode tokens; l(c) the level of type c
Parameters
    n_c, p_c, d_c     requests of type c, the least prompt and decode tokens among them
    v_c               p_c d_c + d_c (d_c + 1) / 2, KV token-rounds
    D_l               least decode tokens of level l, rising;  D_0 = 0
    o_ck              seconds of p_c, d_c and v_c on kind k however they are batched
    m_k, a_k          workers of kind k, seconds of one of their rounds
    J_k, M_k          most requests in service, KV tokens in a round (`Limits`)
    s_k, g_k          least fixed seconds of a prefill iteration, and of a prompt token's share of them
    e_k               1; above it what plans of kind k take more than this relaxation says (for placements alone)
Variables (≥ 0)
    y_ck   requests of type c on kind k
    u_kl   workers of kind k that run a request of level l or above; whole
    R_k, P_k   rounds, and fixed seconds of prefill iterations, of all workers of kind k
    T      seconds from the first arrival to the last completion
Objective
    min  T
Constraints
    Σ_k y_ck = n_c                                                    c in C
    y_ck ≤ n_c u_{k, l(c)},   u_kl ≤ u_{k, l-1},   u_kl ≤ m_k         (c, k) in F, l in L
    R_k ≥ Σ_l (D_l - D_{l-1}) u_kl,   M_k R_k ≥ Σ_c v_c y_ck,   J_k R_k ≥ Σ_c d_c y_ck      k in K
    P_k ≥ s_k u_k1,   P_k ≥ (s_k / J_k) Σ_c y_ck,   P_k ≥ g_k Σ_c p_c y_ck                  k in K
    e_k (a_k R_k + P_k + Σ_c o_ck y_ck) ≤ m_k T                                             k in K

Proof that T is at most the makespan of every schedule, less the first arrival.  Let y count its requests and u its
workers.  A worker that runs a request of level l runs at least D_l rounds: the rounds of a kind are at least the first
sum, whose terms add up to D_l for each worker whose topmost level is l.  Its rounds hold all KV token-rounds, at most
M_k each, and make all output tokens, at most J_k each.  A worker with a request has a prefill iteration; one holds at
most J_k requests, and takes g_k a token at least.  All this, and what each request adds by itself, happens one after
the other on each worker, after the first arrival; the sum over the m_k workers of a kind is at most m_k T.  The least
tokens of a type stand for those of each of its requests: every term only falls.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from llmsched_mip.alone import alone_seconds
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.relaxations.fluid.like_requests import like_requests
from llmsched_mip.relaxations.fluid.placement import by_kind
from llmsched_mip.relaxations.fluid.pricing import least_prefill_seconds
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.solvers import ArrayModel, SolveResult, solve_arrays
from llmsched_mip.timing import FloatArray, IntArray, decode_work_seconds, request_kv_volume

MOST_CELLS = 20_000
"""Types times kinds."""
NEAR = 3e-3
"""Relative gap at which a placement is good enough."""
TOLERANCE = 1e-5
"""By how much a solution's value may fall because HiGHS takes 1e-6 for nothing, as a share."""


class Size(NamedTuple):
    """Most types and levels: more prove more, and take longer."""

    types: int
    levels: int


SIZES = (Size(60, 12), Size(120, 16), Size(250, 24), Size(1000, 32))
PLACING = Size(200, 20)


@dataclass(frozen=True, eq=False)
class WholeRounds:
    """The relaxation of an instance with several workers.

    Parameters
    ----------
    instance : Instance
    types : list of int arrays
        Indices of the requests of each type.
    size : Size
        At most so many levels.
    placing : bool
        Whether the means of a type stand for its requests, not the least tokens: for placements, nothing is proven.
    """

    instance: Instance
    types: list[IntArray]
    size: Size
    placing: bool = False

    @classmethod
    def of(cls, instance: Instance, size: Size, placing: bool = False) -> WholeRounds | None:
        """The relaxation of about this size, or None where there are too many kinds of workers for it."""
        types = like_requests(instance, size.types)
        return cls(instance, types, size, placing) if len(types) * len(instance.worker_kinds) <= MOST_CELLS else None

    @cached_property
    def limits(self) -> list[Limits]:
        """Of a worker of each kind, for all requests that fit it."""
        return [Limits.of(self.instance, int(workers[0])) for workers in self.instance.worker_kinds]

    @cached_property
    def lengths(self) -> tuple[FloatArray, FloatArray]:
        """Prompt and decode tokens of each type, shape (C,) each."""
        r, of = self.instance.requests, np.mean if self.placing else np.min
        columns = (r.prefill_tokens, r.decode_tokens)
        p, d = (np.array([float(of(column[group])) for group in self.types]) for column in columns)
        return p, d

    @cached_property
    def levels(self) -> FloatArray:
        """Least decode tokens of each level, rising: shape (L,)."""
        known = np.unique(self.lengths[1])
        wanted = np.geomspace(known[0], known[-1], self.size.levels)
        return np.unique(known[np.minimum(np.searchsorted(known, wanted * (1 - 1e-12)), len(known) - 1)])

    @cached_property
    def level(self) -> IntArray:
        """Level of each type, from 0: shape (C,)."""
        return np.searchsorted(self.levels, self.lengths[1], side="right") - 1

    @cached_property
    def unit(self) -> int:
        """Exponent of the unit of time, in which one request alone takes about one."""
        return math.frexp(float(alone_seconds(self.instance).max()))[1]

    def solve(self, stretch: list[float], budget: Budget) -> SolveResult:
        """Solve it with HiGHS; with a stretch of 1 for each kind `bound` is proven."""
        gap = NEAR if self.placing else 0.0
        return solve_arrays(self._model(stretch), budget=budget, threads=1, mip_rel_gap=gap)

    def bound(self, result: SolveResult) -> float:
        """Seconds that no makespan is below, of a result without stretch; 0 where there is none."""
        if self.placing or not math.isfinite(result.bound):
            return 0.0
        first_s = float(self.instance.requests.arrival_s.min())
        return first_s + math.ldexp(max(0.0, result.bound) * (1.0 - TOLERANCE), self.unit)

    def _model(self, stretch: list[float]) -> ArrayModel:
        """The model; columns y by type, then u by kind, R, P, and T; R in units of the longest request."""
        kinds, types = len(self.limits), len(self.types)
        at = _Columns.of(types, kinds, len(self.levels))
        count = np.array([float(len(group)) for group in self.types])
        firsts = [int(workers[0]) for workers in self.instance.worker_kinds]
        fits = self.instance.fits_worker[np.ix_([group[0] for group in self.types], firsts)]
        upper = np.full(at.end + 1, math.inf)
        upper[at.y] = np.where(fits, count[:, None], 0.0)
        upper[at.u] = np.array([len(workers) for workers in self.instance.worker_kinds])[:, None]
        rows = _Rows()
        for c in range(types):
            rows.add(at.y[c].tolist(), np.ones(kinds), count[c], count[c])
        for k in range(kinds):
            for c in range(types):
                rows.add([at.y[c, k], at.u[k, self.level[c]]], [1.0, -count[c]])
            for lower, higher in pairwise(at.u[k].tolist()):
                rows.add([higher, lower], [1.0, -1.0])
            self._limit(rows, at, k)
            self._load(rows, at, k, stretch[k])
        cost, integer = np.zeros(at.end + 1), np.zeros(at.end + 1, dtype=bool)
        cost[at.end], integer[at.u] = 1.0, True
        return rows.model(cost, upper, integer)

    def _limit(self, rows: _Rows, at: _Columns, k: int) -> None:
        """Rounds and fixed prefill seconds of a kind, at least."""
        (p, d), limit, here = self.lengths, self.limits[k], at.y[:, k].tolist()
        slots, kv, longest = float(max(limit.slots, 1)), float(max(limit.kv, 1)), float(d.max())
        least_s, token_s = (math.ldexp(seconds, -self.unit) for seconds in least_prefill_seconds(limit))
        steps = np.diff(np.concatenate(([0.0], self.levels))) / longest
        rows.add([at.rounds[k], *at.u[k]], [-1.0, *steps])
        rows.add([at.rounds[k], *here], [-1.0, *(request_kv_volume(p, d) / kv / longest)])
        rows.add([at.rounds[k], *here], [-1.0, *(d / slots / longest)])
        rows.add([at.fixed[k], at.u[k, 0]], [-1.0, least_s])
        rows.add([at.fixed[k], *here], [-1.0, *np.full(len(p), least_s / slots)])
        rows.add([at.fixed[k], *here], [-1.0, *(token_s * p)])

    def _load(self, rows: _Rows, at: _Columns, k: int, stretch: float) -> None:
        """What the workers of a kind do in their time."""
        (p, d), worker = self.lengths, self.limits[k].worker
        alone_s = worker.prefill_time.prompt_seconds(p)
        alone_s = alone_s + decode_work_seconds(worker.decode_time, d, request_kv_volume(p, d))
        round_s = math.ldexp(worker.decode_time.base_s * float(d.max()), -self.unit)
        load = np.concatenate(([round_s, 1.0], np.ldexp(alone_s, -self.unit))) * stretch
        workers = float(len(self.instance.worker_kinds[k]))
        rows.add([at.rounds[k], at.fixed[k], *at.y[:, k], at.end], [*load, -workers])

    def parts(self, result: SolveResult) -> list[IntArray] | None:
        """Requests of each worker as in a solution; None where there is none."""
        if result.x is None:
            return None
        kinds = self.instance.worker_kinds
        at = _Columns.of(len(self.types), len(kinds), len(self.levels))
        y, u = np.maximum(result.x[at.y], 0.0), np.rint(result.x[at.u])
        parts: list[IntArray] = [np.empty(0, dtype=np.int64)] * len(self.instance.workers)
        for k, (workers, found) in enumerate(zip(kinds, by_kind(self.types, y), strict=True)):
            for w, dealt in zip(workers.tolist(), self._dealt(found, k, u[k]), strict=True):
                parts[w] = dealt
        return parts

    def _dealt(self, requests: IntArray, k: int, running: FloatArray) -> list[IntArray]:
        """The requests of a kind dealt to its workers: those of a level to as many of them as run it.

        Longest first, each to the worker with the least work so far, the rounds of its longest request included.
        """
        workers, d = self.instance.worker_kinds[k], self.instance.requests.decode_tokens[requests]
        work = self.instance.work_seconds[requests, workers[0]]
        level = np.clip(np.searchsorted(self.levels, d, side="right") - 1, 0, None)
        open_at = np.clip(running[level], 1, len(workers)).astype(np.int64)
        round_s = self.limits[k].worker.decode_time.base_s
        to, loads = np.empty(len(requests), dtype=np.int64), list[tuple[float, int]]()
        for i in np.lexsort((-work, -d)).tolist():
            while len(loads) < open_at[i]:
                heapq.heappush(loads, (round_s * float(d[i]), len(loads)))
            load, w = loads[0]
            to[i] = w
            heapq.heapreplace(loads, (load + float(work[i]), w))
        return [requests[to == w] for w in range(len(workers))]


class _Columns(NamedTuple):
    """Numbers of the columns: of y, shape (C, K), of u, shape (K, L), of R and of P, shape (K,), and of T."""

    y: IntArray
    u: IntArray
    rounds: IntArray
    fixed: IntArray
    end: int

    @classmethod
    def of(cls, types: int, kinds: int, levels: int) -> _Columns:
        """One after the other."""
        y = np.arange(types * kinds).reshape(types, kinds)
        u = y.size + np.arange(kinds * levels).reshape(kinds, levels)
        rounds = y.size + u.size + np.arange(kinds)
        return cls(y, u, rounds, rounds + kinds, y.size + u.size + 2 * kinds)


class _Rows:
    """Rows of a model as they come; those without limits are at most 0."""

    def __init__(self) -> None:
        self.columns: list[Any] = []
        self.values: list[Any] = []
        self.sizes: list[int] = []
        self.lower: list[float] = []
        self.upper: list[float] = []

    def add(self, columns: list[int], values: Any, lower: float = -math.inf, upper: float = 0.0) -> None:
        """Another row."""
        self.columns += columns
        self.values += list(values)
        self.sizes.append(len(columns))
        self.lower.append(lower)
        self.upper.append(upper)

    def model(self, cost: FloatArray, upper: FloatArray, integer: np.ndarray) -> ArrayModel:
        """The model that minimises the cost over these rows; columns from 0 on."""
        at = np.repeat(np.arange(len(self.sizes)), self.sizes)
        matrix = sparse.csc_array((self.values, (at, self.columns)), shape=(len(self.sizes), len(cost)), dtype=float)
        limits = np.array(self.lower), np.array(self.upper)
        return ArrayModel(cost, matrix, *limits, np.zeros(len(cost)), upper, integer)
