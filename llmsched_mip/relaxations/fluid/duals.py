"""What the fluid relaxation prices a slot-second and a KV-token-second of every worker at: for plan files and policies.

At the best pricing (`pricing`) the full worker w earns μ_w a second, α_w for a slot-round and β_w for a KV token-round
of a round that lasts a_w without what its requests add to it.  So a slot-second is worth α_w / a_w = μ_w x / J_w and a
KV-token-second β_w / a_w = μ_w (1 - x) / M_w seconds of makespan, x the share of the round that is charged to slots.
Of total completion every second is worth the weight that is not yet complete, on average over the fluid schedule
Σ ω C over its length.
"""

from __future__ import annotations

from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.plan import Duals
from llmsched_mip.relaxations.fluid.best_pricing import best_pricing
from llmsched_mip.relaxations.fluid.completion import completion_seconds
from llmsched_mip.relaxations.fluid.pricing import WorkerPrices, priced_work
from llmsched_mip.relaxations.limits import Limits


def capacity_duals(instance: Instance, budget: Budget | None = None) -> dict[str, Duals]:
    """Duals of every worker by its name.

    Parameters
    ----------
    instance : Instance
    budget : Budget, optional
        For the LP over workers that differ.
    """
    pricing = best_pricing(instance, budget=budget)
    worth = 1.0
    if instance.objective == "total_completion":
        first_s = float(instance.requests.arrival_s.min())
        seconds = float(priced_work(instance, pricing).sum())
        waited = completion_seconds(instance, pricing) - first_s * float(instance.requests.weight.sum())
        worth = waited / seconds if seconds > 0 else 0.0
    return {worker.name: _duals(Limits.of(instance, w), pricing[w], worth) for w, worker in enumerate(instance.workers)}


def _duals(limits: Limits, prices: WorkerPrices, worth: float) -> Duals:
    base_s = limits.worker.decode_time.base_s
    if not len(limits.p) or base_s <= 0 or prices.mu <= 0:
        return Duals(0.0, 0.0)
    slots = min(1.0, prices.alpha * limits.slots / (prices.mu * base_s))
    kv = min(1.0, prices.beta * limits.kv / (prices.mu * base_s))
    return Duals(abs(worth * prices.mu * slots / limits.slots), abs(worth * prices.mu * kv / limits.kv))
