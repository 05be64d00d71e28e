"""Durations of the iterations of one worker under mixed execution, in plain numbers: a call costs well under 1 µs."""

from __future__ import annotations

import math

from llmsched_mip.mixed_engine import IterationTime, MixedEngine, decode_iteration, mixed_iteration
from llmsched_mip.worker import Worker

MOST_KEPT = 2**16


class _Regime:
    """One of the two iteration times: all that depends on the count of tokens is looked up once."""

    __slots__ = ("_by_tokens", "per_attention_s", "per_kv_token_s", "time")

    def __init__(self, time: IterationTime):
        self.time = time
        self.per_attention_s, self.per_kv_token_s = time.per_attention_s, time.per_kv_token_s
        self._by_tokens: dict[tuple[int, int], float] = {}

    def fixed(self, prompt_tokens: int, sequences: int) -> float:
        """Seconds but for attention and KV tokens."""
        key = (prompt_tokens, sequences)
        seconds = self._by_tokens.get(key)
        if seconds is None:
            seconds = float(self.time.seconds(prompt_tokens, 0, sequences, 0))
            if len(self._by_tokens) < MOST_KEPT:
                self._by_tokens[key] = seconds
        return seconds


class IterationClock:
    """How long iterations of a worker last, seconds.

    Parameters
    ----------
    worker : Worker
    """

    def __init__(self, worker: Worker):
        engine = worker.engine or MixedEngine()
        self._decode = _Regime(decode_iteration(engine, worker.decode_time))
        self._mixed = _Regime(mixed_iteration(engine, worker.prefill_time, worker.decode_time))

    def mixed(self, prompt_tokens: int, attention: float, sequences: int, kv_tokens: int) -> float:
        """An iteration with prompt tokens."""
        regime = self._mixed
        return (
            regime.fixed(prompt_tokens, sequences)
            + regime.per_attention_s * attention
            + regime.per_kv_token_s * kv_tokens
        )

    def run(self, iterations: int, sequences: int, kv_tokens: int) -> float:
        """So many iterations of the same decodes, which hold `kv_tokens` in the first of them."""
        regime = self._decode
        per_kv = regime.per_kv_token_s
        first = regime.fixed(0, sequences) + per_kv * kv_tokens
        return iterations * first + per_kv * sequences * (iterations * (iterations - 1) / 2)

    def iterations_to_pass(self, seconds: float, sequences: int, kv_tokens: int, most: int) -> int:
        """Fewest iterations, at most `most`, of a run that together last at least so long."""
        if seconds <= 0 or most <= 0:
            return 0
        regime = self._decode
        per_kv = regime.per_kv_token_s
        first, half = regime.fixed(0, sequences) + per_kv * kv_tokens, per_kv * sequences / 2
        # half k² + (first - half) k = seconds, then to the whole number by the sums themselves.
        linear = first - half
        root = linear + math.sqrt(linear * linear + 4 * half * seconds)
        guess = 2 * seconds / root if root > 0 else most
        count = int(min(max(guess, 0.0), most))
        while count > 0 and self.run(count - 1, sequences, kv_tokens) >= seconds:
            count -= 1
        while count < most and self.run(count, sequences, kv_tokens) < seconds:
            count += 1
        return count
