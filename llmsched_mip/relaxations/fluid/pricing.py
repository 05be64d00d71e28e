"""Priced work: multipliers on what the workers offer turn every request into seconds of work that add up.

A pricing has for every worker w multipliers ≥ 0

    μ_w   on its time, Σ_w μ_w ≤ 1
    α_w   on a slot for one round
    β_w   on a KV token for one round
    γ_w   on a prompt token of an iteration
    δ_w   on a place in an iteration

with

    α_w J_w + β_w M_w ≤ μ_w a_w
    γ_w N + δ_w J_w ≤ μ_w f_w(N)     for every number N of prompt tokens that an iteration of w can hold,

f_w(N) the seconds of such an iteration without its per-token time (the base, or the seconds of its level),

and gives request i on worker w the priced work

    π_iw = γ_w p_i + δ_w + μ_w per_token p_i  +  α_w d_i + β_w vol_i + μ_w (b d_i + c vol_i).

The first three terms are paid in its prefill iteration, the others over its decode rounds.

Lemma (rate).  At every moment, the priced work that all workers do is at most 1 per second.
Proof.  A round of worker w with active set A pays Σ_A [α + β (p + k) + μ b + μ c (p + k)]
≤ α J + β M + μ (b |A| + c KV) ≤ μ (a + b |A| + c KV), that is μ_w per second of its duration.  A prefill
iteration of batch B over N tokens pays γ N + δ |B| + μ per_token N ≤ μ prefill_time(N).  Sum over w: Σ μ_w
≤ 1.

So for any set S of requests that arrive at r or later, all S completes no earlier than r + Σ_S min_w π_iw,
over the workers that fit i: every split of the requests among the workers is covered.  This is weak duality
for the linear relaxation "min T: x_iw ≥ 0, Σ_w x_iw = 1, load_w(x) ≤ T" and holds for *any* pricing,
however found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llmsched_mip.instance import Instance, Worker
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.timing import DecodeTime, FloatArray

RESOURCES = ("slots", "kv")
ROUNDING = 1e-13


@dataclass(frozen=True)
class WorkerPrices:
    """Multipliers of one worker, in the letters of the module docstring."""

    mu: float
    alpha: float
    beta: float
    gamma: float
    delta: float

    def scaled(self, factor: float) -> WorkerPrices:
        """All multipliers times `factor`: the conditions are homogeneous, only Σ μ changes."""
        return WorkerPrices(*(factor * x for x in (self.mu, self.alpha, self.beta, self.gamma, self.delta)))

    def round_share(self, worker: Worker) -> DecodeTime:
        """Priced work of one request in one round as a `DecodeTime` of its KV tokens."""
        time = worker.decode_time
        return DecodeTime(self.alpha + self.mu * time.per_sequence_s, 0.0, self.beta + self.mu * time.per_kv_token_s)


NOTHING = WorkerPrices(0.0, 0.0, 0.0, 0.0, 0.0)


def fixed_prefill(limits: Limits) -> list[tuple[float, float]]:
    """Pairs (N, s): an iteration that costs s seconds apart from per-token time holds at most N tokens."""
    seconds, tokens = limits.worker.prefill_time.levels(limits.batch_tokens)
    return list(zip(tokens.tolist(), seconds.tolist(), strict=True))


def least_prefill_seconds(limits: Limits) -> tuple[float, float]:
    """The least fixed seconds of a prefill iteration, and of a prompt token's share of them."""
    iterations = fixed_prefill(limits) if len(limits.p) else [(1.0, 0.0)]
    shares = (seconds / max(tokens, 1.0) for tokens, seconds in iterations)
    return min(seconds for _, seconds in iterations), min(shares)


def extreme_prices(limits: Limits, resource: str, tokens: float, count: float) -> WorkerPrices:
    """Best multipliers of one worker at μ = 1 for a demand of `tokens` prompt tokens and `count` requests.

    The conditions on (α, β) are one inequality, charged to `resource` alone.  Those on (γ, δ) are a polygon
    in the plane: the best of its vertices on the axes and of its crossings that satisfy all conditions is
    taken.
    """
    base_s = limits.worker.decode_time.base_s
    alpha = base_s / limits.slots if resource == "slots" else 0.0
    beta = base_s / limits.kv if resource == "kv" else 0.0
    pairs, J = fixed_prefill(limits), limits.slots
    gammas = [0.0, min(s / n for n, s in pairs)]
    gammas += [(s2 - s1) / (n2 - n1) for k, (n1, s1) in enumerate(pairs) for n2, s2 in pairs[k + 1 :] if n2 > n1]
    best = (-1.0, 0.0, 0.0)
    for gamma in gammas:
        delta = min(s - gamma * n for n, s in pairs) / J
        if delta >= -ROUNDING * pairs[0][1]:
            delta = max(delta, 0.0)
            best = max(best, (gamma * tokens + delta * count, gamma, delta))
    return WorkerPrices(1.0, alpha, beta, best[1], best[2])


def repaired(limits: list[Limits], raw: list[WorkerPrices]) -> list[WorkerPrices]:
    """A solver's multipliers cut down to satisfy the conditions: its tolerances never reach a bound."""
    total = max(1.0, sum(max(prices.mu, 0.0) for prices in raw))
    pricing = []
    for worker, prices in zip(limits, raw, strict=True):
        if not len(worker.p):
            pricing.append(NOTHING)
            continue
        mu = max(prices.mu, 0.0) / total
        alpha, beta, gamma, delta = (
            max(x, 0.0) / total for x in (prices.alpha, prices.beta, prices.gamma, prices.delta)
        )
        rounds = _shrink(alpha * worker.slots + beta * worker.kv, mu * worker.worker.decode_time.base_s)
        batch = min(_shrink(gamma * n + delta * worker.slots, mu * s) for n, s in fixed_prefill(worker))
        pricing.append(WorkerPrices(mu, alpha * rounds, beta * rounds, gamma * batch, delta * batch))
    return pricing


def _shrink(used: float, available: float) -> float:
    return 1.0 if used <= available else available / used


def priced_parts(limits: Limits, prices: WorkerPrices) -> tuple[FloatArray, FloatArray]:
    """Priced work (prefill, decode) of the requests of `limits`, each shape (m,), seconds."""
    p = limits.p.astype(np.float64)
    prefill = prices.gamma * p + prices.delta + prices.mu * limits.worker.prefill_time.prompt_seconds(p)
    return prefill, prices.round_share(limits.worker).run_seconds(limits.d, 1, limits.p)


def priced_work(instance: Instance, pricing: list[WorkerPrices]) -> FloatArray:
    """min_w π_iw over the workers that fit request i: shape (n,), seconds."""
    least = np.full(instance.n, np.inf)
    for w in distinct(instance, pricing):
        fits, prices = instance.fits_worker[:, w], pricing[w]
        if fits.any():
            least[fits] = np.minimum(least[fits], np.add(*priced_parts(Limits.of(instance, w), prices)))
    return least


def distinct(instance: Instance, pricing: list[WorkerPrices]) -> list[int]:
    """Workers of which no earlier one has both the kind and the prices: what is least over these is so over all."""
    seen: dict[object, int] = {}
    for w, prices in enumerate(pricing):
        seen.setdefault((instance.workers[w].kind, prices), w)
    return list(seen.values())
