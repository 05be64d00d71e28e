"""An engine with chunked prefill, as a mixed replay executes it (docs/problem.md, section 2).

An iteration is given by its prompt tokens, what these attend to, the requests in decode and the KV tokens that they
hold; `execution.mixed_clock` has the sums over runs of them.  Seconds and tokens throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.limits import MOST_LIMIT
from llmsched_mip.timing import DecodeTime, LevelPrefill, PrefillTime
from llmsched_mip.values import is_integer

PER = ("base_s", "per_token_s", "per_attention_s", "per_sequence_s", "per_kv_token_s")
DECODE_PER = ("base_s", "per_sequence_s", "per_kv_token_s")
MOST_LAG = 1


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Seconds by the tokens of an iteration: linear between its points.

    Below the first point its seconds hold, above the last the slope of the last two goes on.

    Parameters
    ----------
    tokens : tuple of int
        Increasing, ≥ 1.
    seconds : tuple of float
        ≥ 0, not decreasing.
    """

    tokens: tuple[int, ...]
    seconds: tuple[float, ...]

    def __call__(self, tokens: Any) -> Any:
        """Seconds of an iteration of `tokens` tokens; a scalar or an array."""
        x, y = self.tokens, self.seconds
        inside = np.interp(tokens, x, y)
        if len(x) == 1:
            return inside
        slope = (y[-1] - y[-2]) / (x[-1] - x[-2])
        return inside + slope * np.maximum(np.asarray(tokens) - x[-1], 0)


@dataclass(frozen=True, slots=True)
class Collective:
    """What all collectives of an iteration last together, over all layers: ``base_s + per_token_s * tokens``.

    Under tensor parallelism these are two all-reduces a layer, which tables of kernels leave out.
    """

    base_s: float = 0.0
    per_token_s: float = 0.0

    def __call__(self, tokens: Any) -> Any:
        """Seconds of an iteration of `tokens` tokens."""
        return self.base_s + self.per_token_s * tokens


@dataclass(frozen=True, slots=True)
class IterationTime:
    """How long an iteration lasts: one of the two regimes of an engine, without and with prompt tokens.

    With N prompt tokens in chunks, A = Σ chunk · (context before it + chunk / 2), and B requests in decode that hold KV
    tokens: base_s + per_token_s·N + per_attention_s·A + per_sequence_s·B + per_kv_token_s·KV seconds; with a table
    its value at N + B in place of the first two; and the collectives of N + B tokens.

    Parameters
    ----------
    base_s, per_token_s, per_attention_s, per_sequence_s, per_kv_token_s : float
        Seconds, ≥ 0.
    table : TokenTable, optional
        In place of base_s and per_token_s.
    collective : Collective, optional
    """

    base_s: float = 0.0
    per_token_s: float = 0.0
    per_attention_s: float = 0.0
    per_sequence_s: float = 0.0
    per_kv_token_s: float = 0.0
    table: TokenTable | None = None
    collective: Collective | None = None

    def seconds(self, prompt_tokens: Any, attention: Any, sequences: Any, kv_tokens: Any) -> Any:
        """Duration of an iteration; scalars or arrays.

        Parameters
        ----------
        prompt_tokens : tokens of prompts, N
        attention : A, in tokens squared
        sequences : requests in decode, B
        kv_tokens : KV tokens that these hold
        """
        tokens = prompt_tokens + sequences
        first = self.base_s + self.per_token_s * prompt_tokens if self.table is None else self.table(tokens)
        rest = self.per_attention_s * attention + self.per_sequence_s * sequences + self.per_kv_token_s * kv_tokens
        return first + rest if self.collective is None else first + rest + self.collective(tokens)

    def text(self) -> str:
        """In words."""
        units = {
            "per_token_s": "a prompt token",
            "per_attention_s": "a prompt token and token before it",
            "per_sequence_s": "a request in decode",
            "per_kv_token_s": "a KV token",
        }
        parts = [f"{self.base_s:g} s"] if self.table is None else [f"a table of {len(self.table.tokens)} points"]
        names = [name for name in units if getattr(self, name) and not (self.table and name == "per_token_s")]
        parts += [f"{getattr(self, name):g} s {units[name]}" for name in names]
        if self.collective is not None:
            parts.append(f"collectives {self.collective.base_s:g} s + {self.collective.per_token_s:g} s a token")
        return " + ".join(parts)

    def document(self, names: tuple[str, ...]) -> dict[str, Any]:
        """As plain values, those of `names` that the form has."""
        document: dict[str, Any] = {name: float(getattr(self, name)) for name in names}
        if self.table is not None:
            document = {k: v for k, v in document.items() if k not in ("base_s", "per_token_s")}
            points = zip(self.table.tokens, self.table.seconds, strict=True)
            document["table"] = [{"tokens": int(x), "seconds": float(y)} for x, y in points]
        if self.collective is not None:
            document["collective"] = {
                "base_s": float(self.collective.base_s),
                "per_token_s": float(self.collective.per_token_s),
            }
        return document


@dataclass(frozen=True, slots=True)
class MixedEngine:
    """What a mixed replay knows of a worker beside its slots and KV cache.

    Parameters
    ----------
    token_budget : int
        Most tokens in an iteration, of prompts and of decodes.
    block_tokens : int
        KV tokens of a block.
    prefix_cache : bool
        Whether blocks whose id is known and that are still there are not computed again.
    async_lag : int
        1: an iteration is scheduled before the results of the one before it are known; 0: after.
    decode, mixed : IterationTime, optional
        Iterations without and with prompt tokens; by default the worker's decode round, and the same with the prompt
        tokens of its prefill time added, which is only roughly what engines do.
    """

    token_budget: int = 2048
    block_tokens: int = 16
    prefix_cache: bool = True
    async_lag: int = 1
    decode: IterationTime | None = None
    mixed: IterationTime | None = None

    def rows(self) -> list[tuple[str, str]]:
        """All of it in words, name and text."""
        times = (("iteration without prompt tokens", self.decode), ("iteration with prompt tokens", self.mixed))
        return [
            ("tokens in an iteration", str(self.token_budget)),
            ("KV block", f"{self.block_tokens} tokens"),
            ("prefix cache", "yes" if self.prefix_cache else "no"),
            ("asynchronous scheduling", "yes" if self.async_lag else "no"),
            *((name, time.text()) for name, time in times if time is not None),
        ]

    def document(self) -> dict[str, Any]:
        """As plain values; the two times only where they are given."""
        times = {
            name: time.document(names)
            for name, time, names in (("decode", self.decode, DECODE_PER), ("mixed", self.mixed, PER))
            if time is not None
        }
        return {
            "token_budget": int(self.token_budget),
            "block_tokens": int(self.block_tokens),
            "prefix_cache": bool(self.prefix_cache),
            "async_lag": int(self.async_lag),
            **times,
        }


def decode_iteration(engine: MixedEngine, decode_time: DecodeTime) -> IterationTime:
    """Iterations without prompt tokens: the engine's, or the decode rounds of its worker."""
    if engine.decode is not None:
        return engine.decode
    d = decode_time
    return IterationTime(d.base_s, per_sequence_s=d.per_sequence_s, per_kv_token_s=d.per_kv_token_s)


def mixed_iteration(engine: MixedEngine, prefill_time: PrefillTime, decode_time: DecodeTime) -> IterationTime:
    """Iterations with prompt tokens: the engine's, or by the prefill and the decode time of its worker."""
    if engine.mixed is not None:
        return engine.mixed
    table = None
    if isinstance(prefill_time, LevelPrefill):
        table = TokenTable(tuple(prefill_time.tokens), tuple(prefill_time.level_seconds))
    return IterationTime(
        prefill_time.fixed_seconds,
        prefill_time.token_seconds,
        per_sequence_s=decode_time.per_sequence_s,
        per_kv_token_s=decode_time.per_kv_token_s,
        table=table,
    )


def validate_engine(where: str, engine: MixedEngine) -> None:
    """Raise `InvalidInputError` for a value out of its range; field names begin with `where`."""
    for name in ("token_budget", "block_tokens"):
        value = getattr(engine, name)
        if not (is_integer(value) and 1 <= value <= MOST_LIMIT):
            raise InvalidInputError(f"{where}.{name}", f"expected an integer from 1 to {MOST_LIMIT}, got {value!r}")
    if not isinstance(engine.prefix_cache, bool | np.bool_):
        raise InvalidInputError(f"{where}.prefix_cache", f"expected true or false, got {engine.prefix_cache!r}")
    if not (is_integer(engine.async_lag) and 0 <= engine.async_lag <= MOST_LAG):
        raise InvalidInputError(f"{where}.async_lag", f"expected 0 or 1, got {engine.async_lag!r}")
    for name in ("decode", "mixed"):
        time = getattr(engine, name)
        if time is not None:
            _validate_time(f"{where}.{name}", time)


def _validate_time(where: str, time: IterationTime) -> None:
    values = {name: getattr(time, name) for name in PER}
    if time.collective is not None:
        values |= {f"collective.{name}": getattr(time.collective, name) for name in ("base_s", "per_token_s")}
    for name, value in values.items():
        if not (np.isfinite(value) and value >= 0):
            raise InvalidInputError(f"{where}.{name}", f"expected a finite number of seconds ≥ 0, got {value}")
    if time.table is None:
        return
    if not time.table.tokens or len(time.table.tokens) != len(time.table.seconds):
        raise InvalidInputError(f"{where}.table", "expected points of tokens and seconds, at least one")
    last_tokens, last_s = 0, 0.0
    for k, (tokens, seconds) in enumerate(zip(time.table.tokens, time.table.seconds, strict=True)):
        if not (is_integer(tokens) and last_tokens < tokens <= MOST_LIMIT):
            raise InvalidInputError(f"{where}.table[{k}].tokens", f"expected integers that increase, got {tokens!r}")
        if not (np.isfinite(seconds) and seconds >= last_s):
            raise InvalidInputError(
                f"{where}.table[{k}].seconds", f"expected finite seconds that do not decrease, got {seconds}"
            )
        last_tokens, last_s = tokens, seconds
