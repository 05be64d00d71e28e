"""Windows around completions that only m requests can share: what the KV capacity says beyond each round.

Rounds are integers.  Let request i complete at the end of round c_i; it holds h_i = p_i + d_i tokens then, and
h_i - (c_i - τ) in each round τ with c_i - d_i < τ ≤ c_i.  Choose m ≥ 1, a threshold θ, and a reach L ≥ 0, and let

    after_i  = min(⌊(h_i + m (θ + 1) - M - 1) / m⌋, L)
    before_i = min(h_i - θ, d_i - L)

Request i *covers* the rounds τ with c_i - before_i < τ ≤ c_i + after_i.

Lemma.  In a feasible schedule no round is covered by more than m requests.
Proof.  Let m + 1 requests cover τ, and let i be one of them that completes first.  For any other, j, c_i ≤ c_j,
c_i ≥ τ - after_i and c_j ≤ τ + before_j - 1, so c_j - c_i ≤ after_i + before_j - 1 ≤ L + d_j - L - 1 < d_j: j is
active in round c_i and holds at least h_j - (after_i + before_j - 1) ≥ θ + 1 - after_i there.  All of them
together hold at least h_i + m (θ + 1 - after_i) ≥ h_i - (h_i + m (θ + 1) - M - 1) + m (θ + 1) = M + 1 tokens in
round c_i, more than M: a contradiction.

With m = 1 a request with h_i > M / 2 keeps the others out of 2 h_i - M rounds, about twice the rounds of the
capacity that it fills; that is what the linear relaxation over start times does not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from llmsched_mip.timing import IntArray, request_kv_peak

REACHES = 3


class Windows(NamedTuple):
    """Rounds c - before < τ ≤ c + after of every request around its completion c; at most `share` cover a round.

    A request with before + after ≤ 0 covers none.
    """

    before: IntArray
    after: IntArray
    share: int


def completion_windows(
    prefill_tokens: IntArray, decode_tokens: IntArray, capacity: int, shares: Sequence[int] = (1, 2)
) -> list[Windows]:
    """Windows for every m in `shares`, with up to `REACHES` reaches L each; those that bind nobody are left out.

    θ only shifts all windows together, so one is enough: ⌊M / (m + 1)⌋.
    """
    peak = request_kv_peak(prefill_tokens, decode_tokens)
    found: list[Windows] = []
    for m in shares:
        theta = capacity // (m + 1)
        after = (peak + m * (theta + 1) - capacity - 1) // m
        before = peak - theta
        inside = before + after >= 1
        if not inside.any():
            continue
        least = max(0, int((decode_tokens - before)[inside].min()))
        most = max(0, int(after[inside].max()))
        for reach in np.unique(np.linspace(min(least, most), most, REACHES).astype(np.int64)).tolist():
            afterwards = np.minimum(after, reach)
            earlier = np.minimum(before, decode_tokens - reach)
            if int((earlier + afterwards >= 1).sum()) > m:
                found.append(Windows(earlier, afterwards, m))
    return found
