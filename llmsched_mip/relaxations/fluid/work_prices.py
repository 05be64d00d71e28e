"""Prices of worker time, slots, KV tokens and prefill places under which the cheapest split of the work costs most.

The dual of the fluid relaxation "split every request freely over the workers, minimise the largest load".

Sets
    W     workers, or kinds of workers that share their prices
    T     request types; (t, w) in F when type t fits worker w
    G_w   ways to run a prefill iteration on w (one for an affine time, one per level otherwise)
Parameters
    n_t          requests of type t
    c_w          workers that w stands for
    k_tw         seconds that a request of type t adds to worker w however it is batched (per-token prefill,
                 per-sequence and per-KV-token decode)
    p_t, d_t, v_t   its prompt tokens, decode rounds, KV token-rounds
    a_w          seconds of a round that do not depend on its requests
    J_w, M_w     most requests in service at once, most KV tokens in a round
    N_wg, s_wg   most prompt tokens and fixed seconds of a prefill iteration of kind g
Variables (≥ 0)
    mu_w, alpha_w, beta_w   prices of time, slot-rounds and KV token-rounds
    gamma_w, delta_w        prices of prompt tokens and of places in a prefill iteration
    u_t                     priced work of one request of type t
Objective
    max  Σ_t n_t u_t
Constraints
    u_t ≤ mu_w k_tw + alpha_w d_t + beta_w v_t + gamma_w p_t + delta_w   for (t, w) in F
    alpha_w J_w + beta_w M_w ≤ a_w mu_w                                 for w in W
    gamma_w N_wg + delta_w J_w ≤ s_wg mu_w                              for w in W, g in G_w
    Σ_w c_w mu_w ≤ 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from llmsched_mip.solvers import ArrayModel
from llmsched_mip.timing import FloatArray

PRICES = 5
"""Of each worker: mu, alpha, beta, gamma, delta, in this order."""


@dataclass(frozen=True)
class PriceData:
    """The parameters above; arrays of shape (T,) and (T, W), lists over W; `fits` is F, `workers` is c."""

    count: FloatArray
    prefill_tokens: FloatArray
    decode_tokens: FloatArray
    kv_volume: FloatArray
    request_s: FloatArray
    fits: np.ndarray
    round_base_s: Sequence[float]
    slots: Sequence[int]
    kv: Sequence[float]
    prefill: Sequence[Sequence[tuple[float, float]]]
    workers: Sequence[int]


def build(data: PriceData, resources: Sequence[str] = ("slots", "kv")) -> ArrayModel:
    """Build the model; only the decode prices of `resources` may be positive.

    Columns: the `PRICES` of each worker, worker by worker, then u by type.
    """
    types, workers = data.request_s.shape
    t, w = np.nonzero(data.fits)
    ones, first = np.ones(len(t)), PRICES * w
    columns = np.stack([PRICES * workers + t, first, first + 1, first + 2, first + 3, first + 4], axis=1)
    priced = (data.request_s[t, w], data.decode_tokens[t], data.kv_volume[t], data.prefill_tokens[t], ones)
    cheapest = np.stack([ones, *(-column for column in priced)], axis=1)
    limits = np.array([row for w in range(workers) for row in _limits(data, w)])
    time = np.zeros((1, PRICES * workers))
    time[0, ::PRICES] = data.workers
    size = PRICES * workers + types
    rows = np.repeat(np.arange(len(t)), PRICES + 1)
    matrix = sparse.vstack(
        [
            sparse.csc_array((cheapest.reshape(-1), (rows, columns.reshape(-1))), shape=(len(t), size)),
            sparse.hstack([sparse.csc_array(np.vstack([limits, time])), sparse.csc_array((len(limits) + 1, types))]),
        ],
        format="csc",
    )
    upper = np.full((workers, PRICES), np.inf)
    upper[:, 1] = np.inf if "slots" in resources else 0.0
    upper[:, 2] = np.inf if "kv" in resources else 0.0
    return ArrayModel(
        np.concatenate([np.zeros(PRICES * workers), data.count]),
        matrix,
        np.full(matrix.shape[0], -np.inf),
        np.concatenate([np.zeros(matrix.shape[0] - 1), [1.0]]),
        np.zeros(size),
        np.concatenate([upper.reshape(-1), np.full(types, np.inf)]),
        np.zeros(size, dtype=bool),
        maximise=True,
    )


def _limits(data: PriceData, w: int) -> list[FloatArray]:
    """What the prices of worker w may be, by the fixed seconds of its rounds and prefill iterations."""
    rows = np.zeros((1 + len(data.prefill[w]), PRICES * len(data.workers)))
    mu, alpha, beta, gamma, delta = range(PRICES * w, PRICES * (w + 1))
    rows[0, [mu, alpha, beta]] = -data.round_base_s[w], data.slots[w], data.kv[w]
    for row, (most, seconds) in zip(rows[1:], data.prefill[w], strict=True):
        row[[mu, gamma, delta]] = -seconds, most, data.slots[w]
    return list(rows)


def extract(solution: FloatArray, workers: int) -> list[tuple[float, float, float, float, float]]:
    """Prices (mu, alpha, beta, gamma, delta) of every worker in a solution of the model.

    Those of a worker that no request fits are of no meaning.
    """
    prices = solution[: PRICES * workers].reshape(workers, PRICES)
    return [(mu, alpha, beta, gamma, delta) for mu, alpha, beta, gamma, delta in prices.tolist()]
