"""The only arithmetic of time and KV use: no other file multiplies a coefficient by a token count.

Symbols follow the model: an iteration of prefill over N prompt tokens lasts ``prefill_time(N)``; a decode
round with |A| active requests that hold K KV tokens lasts ``a + b |A| + c K``.  Over a run of m rounds with
an unchanged active set the KV tokens grow by |A| a round, so all sums below are closed forms.
All times are in seconds, all lengths in tokens, all functions accept scalars or NumPy arrays.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from llmsched_mip.texts import range_text

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]


class Levels(NamedTuple):
    """What one prefill iteration may cost apart from its prompt tokens: arrays over the levels, both increasing.

    Parameters
    ----------
    seconds : float array, shape (L,)
    tokens : float array, shape (L,)
        Most prompt tokens in an iteration of each level; infinite where nothing limits it.
    """

    seconds: FloatArray
    tokens: FloatArray


class PrefillTime(ABC):
    """How long a prefill iteration lasts: seconds of the first level that holds it, and a part for each token."""

    __slots__ = ()

    kind: ClassVar[str]
    affine: ClassVar[bool]
    """Whether an iteration of any size lasts ``fixed_seconds + prompt_seconds(tokens)``."""

    @property
    @abstractmethod
    def max_tokens(self) -> int | None:
        """Most prompt tokens in one iteration, or None."""

    @property
    @abstractmethod
    def fixed_seconds(self) -> float:
        """Seconds that one more iteration costs; of levels an estimate for heuristics, which bounds do not use."""

    @property
    @abstractmethod
    def token_seconds(self) -> float:
        """Seconds of a prompt token in the largest iteration, without the base of an affine time."""

    @property
    def free(self) -> bool:
        """Whether prefill takes no time."""
        return self.token_seconds == 0 and self.fixed_seconds == 0

    @abstractmethod
    def seconds(self, tokens: Any) -> Any:
        """Duration in seconds of an iteration over `tokens` prompt tokens; infinity above the last level."""

    @abstractmethod
    def levels(self, most_tokens: int | None = None) -> Levels:
        """The levels that iterations of at most `most_tokens` can use, the last cut to it; affine: one, the base."""

    @abstractmethod
    def prompt_seconds(self, tokens: Any) -> Any:
        """The part of the duration that is proportional to `tokens`, whatever iterations they are in."""

    @abstractmethod
    def scaled(self, exponent: int) -> PrefillTime:
        """The same with all seconds multiplied by ``2**exponent``."""

    @abstractmethod
    def document(self) -> dict[str, Any]:
        """As plain values, the way an instance file has it."""

    @abstractmethod
    def text(self) -> str:
        """In a few words."""

    def least_seconds(self, tokens: int) -> float:
        """Seconds that prefill of `tokens` prompt tokens takes at least: one iteration of the first level."""
        return float(self.levels().seconds[0] + self.prompt_seconds(tokens))


@dataclass(frozen=True, slots=True)
class AffinePrefill(PrefillTime):
    """Prefill time ``base_s + per_token_s * tokens``; no largest batch."""

    base_s: float
    per_token_s: float

    max_tokens = None
    kind = "affine"
    affine = True

    @property
    def fixed_seconds(self) -> float:
        return self.base_s

    @property
    def token_seconds(self) -> float:
        return self.per_token_s

    def seconds(self, tokens: Any) -> Any:
        return self.base_s + self.per_token_s * tokens

    def levels(self, most_tokens: int | None = None) -> Levels:
        return Levels(np.array([self.base_s]), np.array([math.inf if most_tokens is None else float(most_tokens)]))

    def prompt_seconds(self, tokens: Any) -> Any:
        return self.per_token_s * tokens

    def scaled(self, exponent: int) -> AffinePrefill:
        return AffinePrefill(_scaled(self.base_s, exponent), _scaled(self.per_token_s, exponent))

    def text(self) -> str:
        return f"{self.base_s:g} s + {self.per_token_s:g} s a prompt token"

    def document(self) -> dict[str, Any]:
        return {"kind": self.kind, "base_s": float(self.base_s), "per_token_s": float(self.per_token_s)}


@dataclass(frozen=True, slots=True)
class LevelPrefill(PrefillTime):
    """Prefill time by levels: the seconds of the first level that holds the batch.

    Parameters
    ----------
    tokens : tuple of int
        Level sizes in tokens, strictly increasing.
    level_seconds : tuple of float
        Duration of each level in seconds, strictly increasing.
    """

    tokens: tuple[int, ...]
    level_seconds: tuple[float, ...]

    kind = "levels"
    affine = False

    def __repr__(self) -> str:
        return f"LevelPrefill({self.text()})"

    @property
    def max_tokens(self) -> int:
        """Size of the last level in tokens: a larger batch is not allowed."""
        return self.tokens[-1]

    @property
    def fixed_seconds(self) -> float:
        """The intercept of the least-squares line through the levels, between 0 and the first level."""
        if len(self.tokens) == 1:
            return self.level_seconds[0]
        _, intercept = np.polyfit(self.tokens, self.level_seconds, 1)
        return float(min(max(intercept, 0.0), self.level_seconds[0]))

    @property
    def token_seconds(self) -> float:
        return self.level_seconds[-1] / self.tokens[-1]

    def seconds(self, tokens: Any) -> Any:
        if isinstance(tokens, int):
            level = bisect_left(self.tokens, tokens)
            return self.level_seconds[level] if level < len(self.tokens) else math.inf
        durations = np.append(np.asarray(self.level_seconds, dtype=np.float64), math.inf)
        return durations[np.searchsorted(np.asarray(self.tokens), tokens)]

    def levels(self, most_tokens: int | None = None) -> Levels:
        seconds, tokens = np.array(self.level_seconds, dtype=np.float64), np.array(self.tokens, dtype=np.float64)
        if most_tokens is None:
            return Levels(seconds, tokens)
        usable = int(np.searchsorted(tokens, most_tokens)) + 1
        return Levels(seconds[:usable], np.minimum(tokens[:usable], most_tokens))

    def prompt_seconds(self, tokens: Any) -> Any:
        return 0.0 * tokens

    def scaled(self, exponent: int) -> LevelPrefill:
        return LevelPrefill(self.tokens, tuple(_scaled(seconds, exponent) for seconds in self.level_seconds))

    def text(self) -> str:
        return f"{len(self.tokens)} levels, {range_text(self.tokens)} tokens in {range_text(self.level_seconds)} s"

    def document(self) -> dict[str, Any]:
        pairs = zip(self.tokens, self.level_seconds, strict=True)
        return {"kind": self.kind, "levels": [{"tokens": int(t), "seconds": float(s)} for t, s in pairs]}


def _scaled(seconds: float, exponent: int) -> float:
    return math.ldexp(float(seconds), exponent)


@dataclass(frozen=True, slots=True)
class DecodeTime:
    """Time of a decode round: ``base_s + per_sequence_s * active + per_kv_token_s * kv``."""

    base_s: float
    per_sequence_s: float = 0.0
    per_kv_token_s: float = 0.0

    @property
    def per_request(self) -> DecodeTime:
        """The part that requests cause: the same without the base of a round."""
        return DecodeTime(0.0, self.per_sequence_s, self.per_kv_token_s)

    def base_seconds(self, rounds: Any) -> Any:
        """The part that rounds cause, however many requests decode in them."""
        return self.base_s * rounds

    def scaled(self, exponent: int) -> DecodeTime:
        """The same with all seconds multiplied by ``2**exponent``."""
        return DecodeTime(
            *(_scaled(part, exponent) for part in (self.base_s, self.per_sequence_s, self.per_kv_token_s))
        )

    def round_seconds(self, active: Any, kv: Any) -> Any:
        """Duration of one round with `active` requests that hold `kv` tokens in that round."""
        return self.base_s + self.per_sequence_s * active + self.per_kv_token_s * kv

    def run_seconds(self, rounds: Any, active: Any, kv_before: Any) -> Any:
        """Duration of `rounds` rounds with an unchanged active set.

        Parameters
        ----------
        rounds, active : int or array
            Number of rounds m and of active requests |A|.
        kv_before : int or array
            KV tokens held before the first of these rounds; round j holds ``kv_before + j * active``.
        """
        return rounds * (self.base_s + self.per_sequence_s * active) + self.per_kv_token_s * run_kv_volume(
            rounds, active, kv_before
        )

    def rounds_to_pass(self, seconds: float, active: int, kv_before: int) -> int:
        """Fewest rounds (at least one) whose duration reaches `seconds`.

        A run of zero duration never reaches a positive time: the result is then a very large number.
        """
        linear = self.base_s + self.per_sequence_s * active + self.per_kv_token_s * (kv_before + 0.5 * active)
        square = 0.5 * self.per_kv_token_s * active
        if seconds <= 0:
            return 1
        if square > 0:
            guess = 2 * seconds / (linear + math.sqrt(linear * linear + 4 * square * seconds))
        elif linear > 0:
            guess = seconds / linear
        else:
            return 2**62
        rounds = max(1, min(2**62, math.ceil(guess)))
        while rounds > 1 and self.run_seconds(rounds - 1, active, kv_before) >= seconds:
            rounds -= 1
        while self.run_seconds(rounds, active, kv_before) < seconds:
            rounds += 1
        return rounds


def run_kv_volume(rounds: Any, active: Any, kv_before: Any) -> Any:
    """KV token-rounds of a run: the sum over its rounds of the KV tokens held."""
    return rounds * kv_before + active * (rounds * (rounds + 1) // 2)


def run_kv_peak(rounds: Any, active: Any, kv_before: Any) -> Any:
    """Most KV tokens held in a run of rounds: those of its last round."""
    return kv_before + rounds * active


def rounds_within_kv(active: int, kv_before: int, kv_capacity: int) -> int:
    """Most rounds that an unchanged active set can run before it would hold more than `kv_capacity`."""
    return (kv_capacity - kv_before) // active


def request_kv_peak(prefill_tokens: Any, decode_tokens: Any) -> Any:
    """KV tokens that a request holds in its last round: p + d."""
    return prefill_tokens + decode_tokens


def request_kv_volume(prefill_tokens: Any, decode_tokens: Any) -> Any:
    """KV token-rounds of a whole request: ``p d + d (d + 1) / 2`` (docs/problem.md, section 5)."""
    return run_kv_volume(decode_tokens, 1, prefill_tokens)


def rounds_within_volume(prefill_tokens: int, volume: int) -> int:
    """Most rounds t, at least 1, of a request whose KV volume ``p t + t (t + 1) / 2`` is at most `volume`."""
    middle = 2 * prefill_tokens + 1
    return max(1, (math.isqrt(middle * middle + 8 * volume) - middle) // 2)


def conserved_seconds(
    prefill: PrefillTime, decode: DecodeTime, prefill_tokens: IntArray, decode_tokens: IntArray
) -> float:
    """The part of a one-worker backlog makespan that no plan can change (conserved-work identity).

    ``per_token Σp + b Σd + c Σ(p_i d_i + d_i (d_i + 1) / 2)``; what a plan decides is `varying_seconds`.
    """
    volume = float(np.sum(request_kv_volume(prefill_tokens, decode_tokens), dtype=np.float64))
    prompt_s = prefill.prompt_seconds(float(np.sum(prefill_tokens, dtype=np.float64)))
    return float(prompt_s + decode_work_seconds(decode, float(np.sum(decode_tokens, dtype=np.float64)), volume))


def decode_work_seconds(decode: DecodeTime, decode_tokens: Any, kv_volume: Any) -> Any:
    """Part of the decode time that does not depend on the batching: ``b Σd + c Σvol``."""
    return decode.per_sequence_s * decode_tokens + decode.per_kv_token_s * kv_volume


def varying_seconds(prefill: AffinePrefill, decode: DecodeTime, rounds: Any, prefills: Any) -> Any:
    """The part of a one-worker backlog makespan that a plan decides: ``a R + base P``."""
    return decode.base_s * rounds + prefill.base_s * prefills


def weighted_tail_seconds(
    share: DecodeTime, decode: DecodeTime, prefill_tokens: IntArray, decode_tokens: IntArray
) -> FloatArray:
    """``Σ_k share_k (D_k / 2 + Σ_{m > k} D_m)`` over the rounds k = 1..d of a request that decodes alone.

    D_k is the duration of its k-th round by `decode`, share_k by `share`: the time from the middle of a
    round to the completion, weighted by the shares.
    """
    p, d = np.asarray(prefill_tokens, dtype=np.float64), np.asarray(decode_tokens, dtype=np.float64)
    shares, seconds = (Line(time.round_seconds(1, p + 1), time.per_kv_token_s) for time in (share, decode))
    return weighted_tail_of_lines(shares, seconds, d)


class Line(NamedTuple):
    """What the steps k = 1, 2, ... of requests last or cost: ``first + growth * (k - 1)``; arrays or scalars."""

    first: Any
    growth: Any

    def last(self, steps: FloatArray) -> FloatArray:
        """At k = steps, at least 1."""
        return np.asarray(self.first + self.growth * np.maximum(steps - 1, 0.0))

    def sum(self, steps: FloatArray) -> FloatArray:
        """Over k = 1..steps."""
        return np.asarray(steps * self.first + self.growth * (steps * (steps - 1) / 2))


def weighted_tail_of_lines(share: Line, seconds: Line, steps: FloatArray) -> FloatArray:
    """``Σ_k share_k (D_k / 2 + Σ_{m > k} D_m)`` over k = 1..steps, for shares and seconds D that are lines in k.

    With D_k = α + c k and share_k = γ + κ k the time from the middle of step k to the end is
    ``A - α k - c k² / 2``, A = α (steps + 1/2) + c steps (steps + 1) / 2, and the sum a polynomial in steps.
    """
    alpha, c = seconds.first - seconds.growth, seconds.growth
    gamma, kappa = share.first - share.growth, share.growth
    sum1, sum2 = steps * (steps + 1) / 2, steps * (steps + 1) * (2 * steps + 1) / 6
    whole = alpha * (steps + 0.5) + c * sum1
    fixed, growing = whole * steps - alpha * sum1 - c * sum2 / 2, whole * sum1 - alpha * sum2 - c * sum1**2 / 2
    return np.asarray(gamma * fixed + kappa * growing)


def seconds_at_best_rate(iteration_s: FloatArray) -> FloatArray:
    """Least seconds of k prompt tokens over any number of prefill iterations: k times the least ``iteration_s[m] / m``.

    Parameters
    ----------
    iteration_s : float array, shape (N + 1,)
        Seconds of an iteration over 0..N tokens, N ≥ 1.
    """
    tokens = np.arange(len(iteration_s))
    return np.asarray(tokens * (iteration_s[1:] / tokens[1:]).min())


def work_seconds(
    prefill: PrefillTime,
    decode: DecodeTime,
    prefill_tokens: IntArray,
    decode_tokens: IntArray,
    slots: int | None,
    kv_capacity: int | None,
) -> FloatArray:
    """Seconds of a full worker that each request takes, shape (n,): an estimate for placing requests.

    Its share of the decode rounds by slots or by KV volume, whichever is more, its decode terms, and its
    prompt at the slope of the prefill time.
    """
    volume = request_kv_volume(prefill_tokens, decode_tokens)
    rounds = np.zeros(len(prefill_tokens))
    if slots is not None:
        rounds = decode_tokens / slots
    if kv_capacity is not None:
        rounds = np.maximum(rounds, volume / kv_capacity)
    if slots is None and kv_capacity is None:
        rounds = decode_tokens.astype(np.float64)
    decode_s = decode.base_seconds(rounds) + decode_work_seconds(decode, decode_tokens, volume)
    return np.asarray(decode_s + prefill.token_seconds * prefill_tokens)
