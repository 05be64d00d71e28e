"""How large an instance may be so that every sum over it is exact and every time finite.

Let V = Σ vol_i, vol_i = p_i d_i + d_i (d_i + 1) / 2, the KV token-rounds of all requests.  An instance with V < 2**53
is accepted, any other refused.  Then all integer sums of a plan are exact, in int64 and as float64:

- Σ p + Σ d ≤ V, since p + d ≤ p d + d (d + 1) / 2 for p, d ≥ 1: token counts, rounds and slot-rounds.
- A run of m rounds of an unchanged active set A holds ``m kv_before + |A| m (m + 1) / 2`` = Σ_A Σ_k (p + k) over the
  rounds k that its members make in it: a part of V, and so are its two terms.
- KV held in a round is at most Σ (p + d) ≤ V.
- n requests times R rounds: R ≤ Σ d ≤ sqrt(n Σ d²) ≤ sqrt(2 n V), so n R < 2**63 for n < 2**24, and `MOST_REQUESTS` is
  less.  (Where differences of such products are taken in int64, wrapping would not matter: the result is small.)

Limits of a worker (slots, KV capacity, prefill cap: up to `MOST_LIMIT`) stay out of such products: `limits`,
`relaxations.limits` and the models cut them down to what the requests can use.
One million requests with 100,000 prompt and 50,000 output tokens each are within the limit.

Times are accepted where no plan without idle time lasts longer than `MOST_SECONDS`, weighted or not: squares of times
and products with token counts stay finite then.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.limits import MOST_REQUESTS
from llmsched_mip.requests import Requests
from llmsched_mip.timing import request_kv_volume
from llmsched_mip.worker import Worker

MOST_TOKEN_ROUNDS = 2**53 - 1
MOST_SECONDS = 1e100


def require_exact_sums(requests: Requests) -> None:
    """Raise `InvalidInputError` where Σ (p d + d (d + 1) / 2) is 2**53 or more, or for too many requests."""
    if len(requests) > MOST_REQUESTS:
        raise InvalidInputError("requests", f"expected at most {MOST_REQUESTS} requests, got {len(requests)}")
    # Each is below 2**63, as p and d are below 2**31; their sum need not be.
    volume = request_kv_volume(requests.prefill_tokens, requests.decode_tokens)
    total = float(np.sum(volume, dtype=np.float64))
    if total < 2.0**54 and int(np.sum(volume)) <= MOST_TOKEN_ROUNDS:
        return
    worst = int(np.argmax(volume))
    raise InvalidInputError(
        f"requests.decode_tokens[{worst}]",
        f"expected at most {MOST_TOKEN_ROUNDS} KV token-rounds (p d + d (d + 1) / 2) over all requests, so that sums"
        f" are exact, got {total:.4g}; this request alone has {int(volume[worst])}",
        requests.id[worst],
    )


def require_finite_times(requests: Requests, workers: Sequence[Worker]) -> None:
    """Raise `InvalidInputError` where a plan without idle time could take more than `MOST_SECONDS`, weighted or not."""
    with np.errstate(over="ignore"):
        arrival, weight = float(requests.arrival_s.max()), float(requests.weight.sum())
    _require(arrival, f"requests.arrival_s[{int(np.argmax(requests.arrival_s))}]", "an arrival")
    _require(weight, f"requests.weight[{int(np.argmax(requests.weight))}]", "the sum of the weights", "")
    tokens, rounds = (float(np.sum(x, dtype=np.float64)) for x in (requests.prefill_tokens, requests.decode_tokens))
    volume = float(np.sum(request_kv_volume(requests.prefill_tokens, requests.decode_tokens), dtype=np.float64))
    for k, worker in enumerate(workers):
        decode = worker.decode_time
        # Σ d rounds bound R, and levels increase: n iterations of the last one bound the prefill.
        decode_s = decode.run_seconds(rounds, 0.0, 0.0) + decode.run_seconds(1.0, rounds, volume - rounds)
        most = worker.prefill_time.max_tokens
        prefill_s = worker.prefill_time.seconds(tokens if most is None else most)
        _require(float(decode_s), f"workers[{k}].decode_time", "all decode rounds one after the other take")
        _require(float(prefill_s) * len(requests), f"workers[{k}].prefill_time", "all prefill iterations take")


def _require(value: float, field: str, what: str, unit: str = " s") -> None:
    if not (math.isfinite(value) and value <= MOST_SECONDS):
        raise InvalidInputError(field, f"expected at most {MOST_SECONDS:g}{unit}, {what} {value:.4g}{unit}")
