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
from typing import TYPE_CHECKING

import numpy as np

from llmsched_mip.timing import FloatArray

if TYPE_CHECKING:
    import pyomo.environ as pyo


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


def build(data: PlacementData) -> pyo.ConcreteModel:
    """Build the model."""
    import pyomo.environ as pyo

    types, kinds = data.request_s.shape
    model = pyo.ConcreteModel("placement")
    model.T, model.K = pyo.RangeSet(0, types - 1), pyo.RangeSet(0, kinds - 1)
    model.F = pyo.Set(dimen=2, initialize=[tuple(pair) for pair in np.argwhere(data.fits).tolist()])
    model.x = pyo.Var(model.F, domain=pyo.NonNegativeReals)
    model.R, model.P = (pyo.Var(model.K, domain=pyo.NonNegativeReals) for _ in range(2))
    model.S = pyo.Var(domain=pyo.NonNegativeReals)
    model.end = pyo.Objective(expr=model.S)
    on = [np.flatnonzero(data.fits[:, k]).tolist() for k in range(kinds)]

    def total(k: int, column: FloatArray) -> pyo.Expression:
        return sum(float(column[t]) * model.x[t, k] for t in on[k])

    @model.Constraint(model.T)
    def all_placed(model, t):  # type: ignore[no-untyped-def]
        return sum(model.x[t, k] for k in np.flatnonzero(data.fits[t]).tolist()) == float(data.count[t])

    model.limits = pyo.ConstraintList()
    for k in range(kinds):
        if not on[k]:
            continue
        model.limits.add(total(k, data.decode_tokens) <= data.slots[k] * model.R[k])
        model.limits.add(total(k, data.kv_volume) <= data.kv[k] * model.R[k])
        model.limits.add(total(k, data.prefill_tokens) <= data.batch_tokens[k] * model.P[k])
        model.limits.add(total(k, np.ones(types)) <= data.slots[k] * model.P[k])
        fixed_s = data.round_s[k] * model.R[k] + data.iteration_s[k] * model.P[k]
        model.limits.add(data.stretch[k] * (total(k, data.request_s[:, k]) + fixed_s) <= data.workers[k] * model.S)
    return model


def extract(model: pyo.ConcreteModel) -> FloatArray:
    """The placement x in the solution that the model holds: shape (T, K), 0 where a type does not fit."""
    import pyomo.environ as pyo

    shares = np.zeros((len(model.T), len(model.K)))
    for t, k in model.F:
        shares[t, k] = max(0.0, float(pyo.value(model.x[t, k], exception=False) or 0.0))
    return shares
