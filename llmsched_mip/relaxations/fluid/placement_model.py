"""Which share of every type of request each kind of worker takes, so that all end soonest: a fluid relaxation.

The primal of `work_prices`, with workers of one kind put together and the load of each kind stretched by what its plans
lose.

Sets
    K     kinds of workers
    T     request types; (t, k) in F when type t fits kind k
Parameters
    n_t          requests of type t
    p_t, d_t, v_t   its mean prompt tokens, decode rounds and KV token-rounds
    k_tk         seconds that a request of type t adds to a worker of kind k however it is batched
    c_k          workers of kind k
    e_k          seconds that a plan of kind k takes, as a multiple of its fluid load
    a_k, f_k     seconds of a round, of a prefill iteration, that do not depend on its requests
    J_k, M_k, N_k   most requests in service, KV tokens in a round, prompt tokens in a prefill iteration
Variables (≥ 0)
    x_tk   requests of type t that go to kind k
    R_k, P_k   decode rounds and prefill iterations of kind k
    S      seconds until all have ended
Objective
    min  S
Constraints
    Σ_k x_tk = n_t                                              for t in T   (all)
    Σ_t d_t x_tk ≤ J_k R_k,   Σ_t v_t x_tk ≤ M_k R_k            for k in K   (rounds)
    Σ_t p_t x_tk ≤ N_k P_k,   Σ_t x_tk ≤ J_k P_k                for k in K   (prefills)
    e_k (Σ_t k_tk x_tk + a_k R_k + f_k P_k) ≤ c_k S             for k in K   (load)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from llmsched_mip.solvers import ArrayModel
from llmsched_mip.timing import FloatArray, IntArray


@dataclass(frozen=True)
class PlacementData:
    """The parameters above; arrays of shape (T,) and (T, K), lists over K; `fits` is F, `stretch` e."""

    count: FloatArray
    prefill_tokens: FloatArray
    decode_tokens: FloatArray
    kv_volume: FloatArray
    request_s: FloatArray
    fits: np.ndarray
    workers: Sequence[int]
    stretch: Sequence[float]
    round_s: Sequence[float]
    iteration_s: Sequence[float]
    slots: Sequence[float]
    kv: Sequence[float]
    batch_tokens: Sequence[float]


def build(data: PlacementData) -> ArrayModel:
    """Build the model; columns: x of the pairs in F, type by type, then R and P by kind, then S."""
    types, kinds = data.request_s.shape
    t, k = np.nonzero(data.fits)
    pairs, size = len(t), len(t) + 2 * kinds + 1
    all_placed = sparse.csc_array((np.ones(pairs), (t, np.arange(pairs))), shape=(types, size))
    limits = np.vstack([_limits(data, kind, np.flatnonzero(k == kind), t) for kind in range(kinds)])
    cost = np.zeros(size)
    cost[-1] = 1.0
    return ArrayModel(
        cost,
        sparse.vstack([all_placed, sparse.csc_array(limits)], format="csc"),
        np.concatenate([data.count, np.full(len(limits), -np.inf)]),
        np.concatenate([data.count, np.zeros(len(limits))]),
        np.zeros(size),
        np.full(size, np.inf),
        np.zeros(size, dtype=bool),
    )


def _limits(data: PlacementData, k: int, pairs: IntArray, of_type: IntArray) -> FloatArray:
    """Rows of kind k, at most 0: rounds, prefills, load; `pairs` are its columns, `of_type` the type of each."""
    kinds, t = len(data.workers), of_type[pairs]
    first = len(of_type)
    rounds, prefills, end = first + k, first + kinds + k, first + 2 * kinds
    rows = np.zeros((5 if len(pairs) else 0, end + 1))
    if not len(pairs):
        return rows
    rows[0, pairs], rows[0, rounds] = data.decode_tokens[t], -data.slots[k]
    rows[1, pairs], rows[1, rounds] = data.kv_volume[t], -data.kv[k]
    rows[2, pairs], rows[2, prefills] = data.prefill_tokens[t], -data.batch_tokens[k]
    rows[3, pairs], rows[3, prefills] = 1.0, -data.slots[k]
    rows[4, pairs], rows[4, end] = data.stretch[k] * data.request_s[t, k], -data.workers[k]
    rows[4, [rounds, prefills]] = data.stretch[k] * data.round_s[k], data.stretch[k] * data.iteration_s[k]
    return rows


def extract(data: PlacementData, solution: FloatArray) -> FloatArray:
    """The placement x in a solution of the model: shape (T, K), 0 where a type does not fit."""
    shares = np.zeros(data.request_s.shape)
    shares[np.nonzero(data.fits)] = np.maximum(solution[: int(data.fits.sum())], 0.0)
    return shares
