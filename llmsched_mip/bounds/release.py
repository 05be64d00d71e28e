"""Bound "release": the work of all requests that arrive late, from the moment they arrive."""

from __future__ import annotations

import numpy as np

from llmsched_mip import clock
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.lower_bound import Bound
from llmsched_mip.relaxations.fluid.best_pricing import best_pricing
from llmsched_mip.relaxations.fluid.pricing import extreme_prices, fixed_prefill, priced_parts, priced_work
from llmsched_mip.relaxations.limits import Limits
from llmsched_mip.timing import FloatArray

CUTS = 200
ROUNDING = 1e-12


def release(instance: Instance, budget: Budget) -> Bound | None:
    """Latest, over the arrivals r, of r plus a bound on the work of the requests that arrive at r or later.

    Proof.  Take a plan, drop all requests that arrive before r and all iterations without one of the others.
    What is left starts at r or later, does not take longer (durations do not grow when requests are
    dropped) and keeps within the same limits.  One worker: `suffix_seconds`, and at some arrivals what is
    left of earlier requests too (`seconds_from`).  Several: the priced work of those requests.  Makespan only,
    and None when all requests arrive together.
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
    if len(instance.workers) == 1:
        for first in _cuts(ends):
            ends[first] = max(ends[first], late.requests.arrival_s[first] + seconds_from(late, first))
    first = int(np.argmax(ends))
    certificate = {"from_s": float(late.requests.arrival_s[first]), "requests": instance.n - first}
    return Bound("release", float(ends[first]), clock.now() - began, certificate)


def _cuts(ends: FloatArray) -> list[int]:
    """Positions from which on more is counted: the most promising, and some of all."""
    likely = np.argsort(-ends, kind="stable")[:CUTS]
    return sorted({*likely.tolist(), *np.linspace(0, len(ends) - 1, min(CUTS, len(ends))).astype(np.int64).tolist()})


def seconds_from(late: Instance, first: int) -> float:
    """Least seconds from the arrival of position `first` on, of one worker with requests in the order of arrival.

    Proof.  Let r be that arrival.  The iterations that begin at r or later follow one another: the makespan is at least
    r plus their durations.  Of a request j with r_j < r at most so many rounds begin before r as its prefill and all
    but the last of them, each at least as long as alone and without a token of its output, fit between r_j and r.
    The others, its last e_j, begin at r or later; those that arrive at r or later run all of theirs, and are prefilled
    then.  So there are at least max e_j, ⌈Σe / J⌉ and ⌈Σv / M⌉ such rounds, with v_j the KV token-rounds of the last
    e_j, and besides a for each they take b Σe + c Σv.
    """
    (worker,), limits, r = late.workers, Limits.of(late, 0), late.requests
    p, d, decode, prefill = r.prefill_tokens, r.decode_tokens, worker.decode_time, worker.prefill_time
    since_s = r.arrival_s[first] - r.arrival_s
    round_s = decode.base_s + decode.per_sequence_s + decode.per_kv_token_s * p
    left_s = (since_s - prefill.seconds(p)) * (1 + ROUNDING) + ROUNDING * float(r.arrival_s[first])
    with np.errstate(divide="ignore", invalid="ignore"):
        begun = np.where((since_s > 0) & (left_s >= 0), np.floor(left_s / round_s) + 1, 0.0)
    rest = np.maximum(d - np.where(np.isnan(begun), np.inf, begun), 0.0)
    volume = rest * (p + d) - rest * (rest - 1) / 2
    shares = np.array([rest.sum() / limits.slots, volume.sum() / limits.kv])
    rounds_s = decode.base_s * float(max(rest.max(), *_ceil(shares)))
    rounds_s += decode.per_sequence_s * float(rest.sum()) + decode.per_kv_token_s * float(volume.sum())
    return rounds_s * (1 - ROUNDING) + _prefill_seconds(late, limits, first)


def _prefill_seconds(late: Instance, limits: Limits, first: int) -> float:
    """Least seconds of the prefill iterations of the positions from `first` on."""
    tokens, count = float(late.requests.prefill_tokens[first:].sum()), late.n - first
    iterations = max(1.0, float(_ceil(np.array(count / limits.slots))))
    least_s = min(seconds for _, seconds in fixed_prefill(limits))
    token_s = min(seconds / max(most, 1.0) for most, seconds in fixed_prefill(limits))
    fixed_s = max(iterations * least_s, token_s * tokens)
    return fixed_s * (1 - ROUNDING) + float(limits.worker.prefill_time.prompt_seconds(tokens))


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
