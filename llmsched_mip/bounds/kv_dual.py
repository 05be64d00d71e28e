"""Bound "kv_dual": the time-indexed relaxation under prices on the KV tokens of every round."""

from __future__ import annotations

import numpy as np

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.time_indexed.kv_prices import KVPrices, ascend_prices, unpriced
from llmsched_mip.relaxations.time_indexed.relaxation import blocks

DEFAULT_TIME_LIMIT_S = 10.0


def kv_dual(instance: Instance, budget: Budget) -> Bound | None:
    """L(λ) for the best prices found; total completion only, None where a round may take no time.

    Proof.  L(λ) is a bound for each block (`relaxations.time_indexed.kv_prices`), and so is their total
    (`relaxations.time_indexed.relaxation`).  Without a time limit a block stops after `MOST_PASSES` passes, and all
    after `DEFAULT_TIME_LIMIT_S`.
    """
    began = clock.now()
    found = blocks(instance) if instance.objective == "total_completion" else None
    if found is None:
        return None
    whole = budget.or_default(DEFAULT_TIME_LIMIT_S)
    work = np.array([float(part.n) * part.horizon for part in found.parts])
    shares = work / np.cumsum(work[::-1])[::-1]
    priced: list[KVPrices] = []
    for part, share in zip(found.parts, shares.tolist(), strict=True):
        late = bool(priced) and whole.spent()
        priced.append(unpriced(part) if late else ascend_prices(part, whole.slice(share=share)))
    certificate = {
        "rounds": sum(len(part.prices) for part in priced),
        "passes": sum(part.passes for part in priced),
        "price_of_round_1": float(priced[0].prices[0]),
        "blocks": len(priced),
    }
    value = found.total([part.value for part in priced])
    return Bound("kv_dual", value, clock.now() - began, certificate)
