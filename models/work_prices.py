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
from typing import TYPE_CHECKING

import numpy as np

from llmsched_mip.timing import FloatArray

if TYPE_CHECKING:
    import pyomo.environ as pyo


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


def build(data: PriceData, resources: Sequence[str] = ("slots", "kv")) -> pyo.ConcreteModel:
    """Build the model; only the decode prices of `resources` may be positive."""
    import pyomo.environ as pyo

    types, workers = data.request_s.shape
    model = pyo.ConcreteModel("work_prices")
    model.W, model.T = pyo.RangeSet(0, workers - 1), pyo.RangeSet(0, types - 1)
    for name in ("mu", "alpha", "beta", "gamma", "delta"):
        setattr(model, name, pyo.Var(model.W, domain=pyo.NonNegativeReals))
    model.u = pyo.Var(model.T, domain=pyo.NonNegativeReals)
    for w in model.W:
        if "slots" not in resources:
            model.alpha[w].fix(0.0)
        if "kv" not in resources:
            model.beta[w].fix(0.0)
    model.work = pyo.Objective(expr=sum(float(data.count[t]) * model.u[t] for t in model.T), sense=pyo.maximize)
    model.cheapest = pyo.ConstraintList()
    for t, w in np.argwhere(data.fits).tolist():
        model.cheapest.add(
            model.u[t]
            <= float(data.request_s[t, w]) * model.mu[w]
            + float(data.decode_tokens[t]) * model.alpha[w]
            + float(data.kv_volume[t]) * model.beta[w]
            + float(data.prefill_tokens[t]) * model.gamma[w]
            + model.delta[w]
        )
    model.limits = pyo.ConstraintList()
    for w in model.W:
        model.limits.add(
            data.slots[w] * model.alpha[w] + data.kv[w] * model.beta[w] <= data.round_base_s[w] * model.mu[w]
        )
        for most, seconds in data.prefill[w]:
            model.limits.add(most * model.gamma[w] + data.slots[w] * model.delta[w] <= seconds * model.mu[w])
    model.limits.add(sum(data.workers[w] * model.mu[w] for w in model.W) <= 1)
    return model


def extract(model: pyo.ConcreteModel) -> list[tuple[float, float, float, float, float]]:
    """Prices (mu, alpha, beta, gamma, delta) of every worker in the solution that the model holds.

    A price that no constraint names (of a worker that no request fits) has no value there and is 0.
    """
    import pyomo.environ as pyo

    def price(name: str, w: int) -> float:
        value = pyo.value(getattr(model, name)[w], exception=False)
        return 0.0 if value is None else float(value)

    return [
        (price("mu", w), price("alpha", w), price("beta", w), price("gamma", w), price("delta", w)) for w in model.W
    ]
