"""What running a plan costs: worker hours, price and energy, and each of them per million tokens."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched_mip.evaluation import worker_usage
from llmsched_mip.instance import Instance
from llmsched_mip.plan import Plan
from llmsched_mip.worker import Cost

HOUR_S = 3600.0
MILLION = 1e6


@dataclass(frozen=True)
class RunningCost:
    """Of all workers from time 0 to the end of the plan.

    Parameters
    ----------
    gpu_hours : float
        Workers × GPUs of each × makespan.
    busy : float
        Share of that in which an iteration runs.
    price : float or None
        In the currency of ``price_per_hour``; None where no price is known.
    energy_kwh : float or None
        None where idle or busy watts are not known.
    tokens, decode_tokens : int
        Prompt and output tokens together, and output tokens alone.
    """

    gpu_hours: float
    busy: float
    price: float | None
    energy_kwh: float | None
    tokens: int
    decode_tokens: int

    def per_million(self, name: str, decode_only: bool = False) -> float | None:
        """One of the figures by a million tokens, of prompts and outputs or of outputs alone."""
        value = getattr(self, name)
        return None if value is None else value * MILLION / (self.decode_tokens if decode_only else self.tokens)

    def document(self) -> dict[str, object]:
        """Plain values for JSON."""
        names = ("gpu_hours", "price", "energy_kwh")
        totals = {"tokens": self.tokens, "decode_tokens": self.decode_tokens, "busy": self.busy}
        return {
            **totals,
            **{name: getattr(self, name) for name in names},
            "per_million_tokens": {name: self.per_million(name) for name in names},
            "per_million_decode_tokens": {name: self.per_million(name, True) for name in names},
        }


def running_cost(instance: Instance, plan: Plan, cost: Cost, gpus: int = 1) -> RunningCost:
    """Hours, price and energy of a feasible plan whose workers all cost the same.

    Parameters
    ----------
    instance : Instance
    plan : Plan
    cost : Cost
        Of one worker.
    gpus : int
        GPUs of one worker.
    """
    usage = worker_usage(instance, plan)
    busy_s = sum(float((one.end_s - one.start_s).sum()) for one in usage)
    makespan = max((float(one.end_s[-1]) for one in usage), default=0.0)
    all_s = len(instance.workers) * makespan
    price = None if cost.price_per_hour is None else cost.price_per_hour * all_s / HOUR_S
    energy = None
    if cost.watts_idle is not None and cost.watts_busy is not None:
        energy = (busy_s * cost.watts_busy + (all_s - busy_s) * cost.watts_idle) / HOUR_S / 1000.0
    prefill, decode = int(instance.requests.prefill_tokens.sum()), int(instance.requests.decode_tokens.sum())
    return RunningCost(gpus * all_s / HOUR_S, busy_s / all_s if all_s else 0.0, price, energy, prefill + decode, decode)
