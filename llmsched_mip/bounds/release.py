"""Bound "release": the work of all requests that arrive late, from the moment they arrive."""

from __future__ import annotations

import numpy as np

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.fluid.best_pricing import best_pricing
from llmsched_mip.relaxations.fluid.pricing import extreme_prices, priced_parts, priced_work
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.timing import FloatArray


def release(instance: Instance, budget: Budget) -> Bound | None:
    """Latest, over the arrivals r, of r plus a bound on the work of the requests that arrive at r or later.

    Proof.  Take a plan, drop all requests that arrive before r and all iterations without one of the others.
    What is left starts at r or later, does not take longer (durations do not grow when requests are
    dropped) and keeps within the same limits.  One worker: `suffix_seconds`.  Several: the priced work of
    those requests. Makespan only, and None when all requests arrive together.
    """
    began = clock.now()
    arrival = instance.requests.arrival_s
    if instance.objective != "makespan" or arrival.min() == arrival.max():
        return None
    order = np.lexsort((instance.requests.decode_tokens, instance.requests.prefill_tokens, arrival))
    late = instance.take(order)
    if len(instance.workers) == 1:
        work_s = suffix_seconds(late)
    else:
        work_s = _suffix_sum(priced_work(late, best_pricing(late, budget=budget)))
    ends = late.requests.arrival_s + work_s
    first = int(np.argmax(ends))
    certificate = {"from_s": float(late.requests.arrival_s[first]), "requests": instance.n - first}
    return Bound("release", float(ends[first]), clock.now() - began, certificate)


def _suffix_sum(values: FloatArray) -> FloatArray:
    return np.cumsum(values[::-1])[::-1]


def suffix_seconds(late: Instance) -> FloatArray:
    """Least seconds that one worker needs for the requests from each position on: shape (n,).

    Proof.  The conserved-work identity (`makespan_from_rounds`) for every suffix, with R the largest of ⌈Σd / J⌉,
    ⌈Σvol / M⌉ and max d.  The fixed part of the prefill is base times the largest of 1, ⌈Σp / N⌉ and ⌈m / J⌉
    iterations, or by levels the priced prefill work.  The limits J, M, N of all requests hold for a part of
    them.
    """
    worker, limits = late.workers[0], Limits.of(late, 0)
    d, volume = _suffix_sum(limits.d.astype(np.float64)), _suffix_sum(late.kv_volume.astype(np.float64))
    tokens, count = _suffix_sum(limits.p.astype(np.float64)), np.arange(late.n, 0, -1)
    longest = np.maximum.accumulate(limits.d[::-1])[::-1]
    rounds = np.maximum(np.maximum(_ceil(d / limits.slots), _ceil(volume / limits.kv)), longest)
    decode_s: FloatArray = worker.decode_time.run_seconds(rounds, 0, 0) + _suffix_sum(
        worker.decode_time.run_seconds(limits.d, 1, limits.p) - worker.decode_time.run_seconds(limits.d, 0, 0)
    )
    prefill = worker.prefill_time
    if prefill.affine:
        iterations = np.maximum(_ceil(tokens / limits.batch_tokens), _ceil(count / limits.slots))
        fixed_s = (np.maximum(iterations, 1.0) - 1.0) * prefill.fixed_seconds
        prefill_s: FloatArray = prefill.seconds(tokens)
        return decode_s + prefill_s + fixed_s
    prices = extreme_prices(limits, "slots", float(tokens[0]), late.n)
    return decode_s + _suffix_sum(priced_parts(limits, prices)[0])


def _ceil(values: FloatArray) -> FloatArray:
    return np.ceil(values * (1 - 1e-12))
