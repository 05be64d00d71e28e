"""One engine, as the optimizer sees it (docs/problem.md, section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.limits import MOST_LIMIT, MOST_WORKERS, finite
from llmsched_mip.mixed_engine import MixedEngine, validate_engine
from llmsched_mip.requests import MAX_TOKENS
from llmsched_mip.texts import html_table, limit_text
from llmsched_mip.timing import DecodeTime, IntArray, LevelPrefill, PrefillTime, request_kv_peak
from llmsched_mip.values import is_integer, is_number, require_text


@dataclass(frozen=True, slots=True)
class Cost:
    """What running a worker costs; each figure may be missing.  Plans and digests do not depend on it.

    Parameters
    ----------
    price_per_hour : float, optional
        Price of one hour of the worker, all of its GPUs together, in any one currency.
    watts_idle, watts_busy : float, optional
        Power drawn while no iteration runs and while one does, watts, all GPUs together.
    """

    price_per_hour: float | None = None
    watts_idle: float | None = None
    watts_busy: float | None = None

    def document(self) -> dict[str, float]:
        """The figures that are known, as plain values."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: float(value) for name, value in values if value is not None}


@dataclass(frozen=True, slots=True)
class Worker:
    """One engine: slots, KV cache, and measured iteration times.

    Parameters
    ----------
    name : str
    prefill_time : AffinePrefill or LevelPrefill
        Duration of a prefill iteration, seconds.
    decode_time : DecodeTime
        Duration of a decode round, seconds.
    slots : int or None
        Most requests in decode at once; None: no limit.
    kv_capacity : int or None
        KV-cache size in tokens; None: no limit.
    prefill_token_cap : int or None
        Most prompt tokens in one prefill iteration; None: no limit.
    cost : Cost, optional
        Price and power, of no effect on plans.
    engine : MixedEngine, optional
        What a mixed replay knows beside these, of no effect on plans.
    """

    name: str
    prefill_time: PrefillTime
    decode_time: DecodeTime
    slots: int | None = None
    kv_capacity: int | None = None
    prefill_token_cap: int | None = None
    cost: Cost | None = None
    engine: MixedEngine | None = None

    def __repr__(self) -> str:
        kv, slots = limit_text(self.kv_capacity, "tokens"), limit_text(self.slots)
        return f"Worker({self.name!r}, slots {slots}, KV cache {kv}, {self.prefill_time!r}, {self.decode_time!r})"

    def rows(self) -> list[tuple[str, str]]:
        """All of it in words, name and text."""
        decode = self.decode_time
        cost = {} if self.cost is None else self.cost.document()
        return [
            ("slots", limit_text(self.slots)),
            ("KV cache", limit_text(self.kv_capacity, "tokens")),
            ("prefill tokens in one iteration", limit_text(self.max_prefill_tokens)),
            ("prefill iteration", self.prefill_time.text()),
            (
                "decode round",
                f"{decode.base_s:g} s + {decode.per_sequence_s:g} s a request + {decode.per_kv_token_s:g} s a KV token",
            ),
            *((name.replace("_", " "), f"{value:g}") for name, value in cost.items()),
            *([] if self.engine is None else self.engine.rows()),
        ]

    def _repr_html_(self) -> str:
        return html_table(f"Worker {self.name}", self.rows())

    @property
    def max_prefill_tokens(self) -> int | None:
        """Most prompt tokens that one prefill iteration may hold: the cap or the last level."""
        limits = [m for m in (self.prefill_token_cap, self.prefill_time.max_tokens) if m is not None]
        return min(limits) if limits else None

    @property
    def kind(self) -> tuple[Any, ...]:
        """All that plans depend on but the name: workers of one kind can stand for each other."""
        return self.prefill_time, self.decode_time, self.slots, self.kv_capacity, self.prefill_token_cap

    def most_slots(self, requests: int) -> int:
        """Most of so many requests in decode at once: finite, and no more than there are."""
        return finite(self.slots, requests)

    def most_kv(self, tokens: int) -> int:
        """KV tokens that can be held, of `tokens` that could ever be: finite, never more than these."""
        return finite(self.kv_capacity, tokens)

    def most_prefill(self, tokens: int) -> int:
        """Prompt tokens of one prefill iteration, of `tokens` that there are: finite, never more than these."""
        return finite(self.max_prefill_tokens, tokens)

    def fits(self, prefill_tokens: IntArray, decode_tokens: IntArray) -> np.ndarray:
        """Whether each request alone fits: shape (n,), bool."""
        fits = np.ones(len(prefill_tokens), dtype=bool)
        if self.kv_capacity is not None:
            fits &= request_kv_peak(prefill_tokens, decode_tokens) <= self.kv_capacity
        if self.max_prefill_tokens is not None:
            fits &= prefill_tokens <= self.max_prefill_tokens
        return fits

    def fits_mixed(self, prefill_tokens: IntArray, decode_tokens: IntArray) -> np.ndarray:
        """Whether each request alone fits with chunked prefill, in whole blocks of KV: shape (n,), bool."""
        if self.kv_capacity is None:
            return np.ones(len(prefill_tokens), dtype=bool)
        block = (self.engine or MixedEngine()).block_tokens
        held = np.asarray(prefill_tokens, dtype=np.int64) + np.asarray(decode_tokens, dtype=np.int64) - 1
        return np.asarray(-(-held // block) <= self.kv_capacity // block)


def copies(worker: Worker, count: int) -> tuple[Worker, ...]:
    """So many workers of one kind, numbered in their names: ``NAME-1``, ``NAME-2``, ...; a single one keeps its name.

    Raises
    ------
    InvalidInputError
        Not an integer from 1 to `limits.MOST_WORKERS`.
    """
    if not (is_integer(count) and 1 <= count <= MOST_WORKERS):
        raise InvalidInputError("workers", f"expected an integer from 1 to {MOST_WORKERS}, got {count!r}")
    if count == 1:
        return (worker,)
    return tuple(replace(worker, name=numbered_name(worker.name, k + 1)) for k in range(count))


def numbered_name(name: str, number: int) -> str:
    """The name of a copy, counted from 1."""
    return f"{name}-{number}"


def base_name(workers: Sequence[Worker]) -> str:
    """The name of the worker whose `copies` these are; that of the first where they are no copies."""
    first = workers[0].name
    base = first.removesuffix("-1")
    numbered = [numbered_name(base, k + 1) for k in range(len(workers))]
    return base if len(workers) > 1 and [worker.name for worker in workers] == numbered else first


def validate_worker(where: str, worker: Worker) -> None:
    """Raise `InvalidInputError` for a value out of its range; field names begin with `where`."""
    if not worker.name:
        raise InvalidInputError(f"{where}name", "a worker needs a name")
    require_text(f"{where}name", worker.name)
    for name in ("slots", "kv_capacity", "prefill_token_cap"):
        value = getattr(worker, name)
        if value is not None and not (is_integer(value) and value >= 1):
            raise InvalidInputError(f"{where}{name}", f"expected an integer ≥ 1 or null, got {value!r}")
        if value is not None and value > MOST_LIMIT:
            raise InvalidInputError(f"{where}{name}", f"expected at most {MOST_LIMIT}, got {value}")
    for part in ("prefill_time", "decode_time"):
        timing = getattr(worker, part)
        for name in ("base_s", "per_token_s", "per_sequence_s", "per_kv_token_s"):
            value = getattr(timing, name, 0.0)
            if not (np.isfinite(value) and value >= 0):
                raise InvalidInputError(
                    f"{where}{part}.{name}", f"expected a finite number of seconds ≥ 0, got {value}"
                )
    if isinstance(worker.prefill_time, LevelPrefill):
        _validate_levels(f"{where}prefill_time.levels", worker.prefill_time)
    if worker.cost is not None:
        _validate_cost(f"{where}cost", worker.cost)
    if worker.engine is not None:
        validate_engine(f"{where}engine", worker.engine)


def _validate_cost(where: str, cost: Cost) -> None:
    for field in fields(cost):
        value = getattr(cost, field.name)
        if value is not None and not (is_number(value) and np.isfinite(value) and value >= 0):
            raise InvalidInputError(f"{where}.{field.name}", f"expected a finite number ≥ 0 or null, got {value!r}")
    if cost.watts_idle is not None and cost.watts_busy is not None and cost.watts_busy < cost.watts_idle:
        raise InvalidInputError(
            f"{where}.watts_busy", f"expected at least watts_idle, {cost.watts_idle:g}, got {cost.watts_busy:g}"
        )


def _validate_levels(where: str, prefill: LevelPrefill) -> None:
    if not prefill.tokens:
        raise InvalidInputError(where, "expected at least one level")
    if len(prefill.tokens) != len(prefill.level_seconds):
        raise InvalidInputError(where, "expected as many seconds as token counts")
    for values, name, least in ((prefill.tokens, "tokens", 1), (prefill.level_seconds, "seconds", 0)):
        for j, value in enumerate(values):
            if not (np.isfinite(value) and value >= least):
                raise InvalidInputError(f"{where}[{j}].{name}", f"expected a finite number ≥ {least}, got {value}")
            if name == "tokens" and not (is_integer(value) and value <= MAX_TOKENS):
                raise InvalidInputError(
                    f"{where}[{j}].{name}", f"expected an integer from 1 to {MAX_TOKENS}, got {value!r}"
                )
            if j and value <= values[j - 1]:
                raise InvalidInputError(
                    f"{where}[{j}].{name}",
                    f"expected more than {values[j - 1]}, got {value}: levels increase in tokens and in seconds",
                )


def _plain(limit: int | None) -> int | None:
    return None if limit is None else int(limit)


def worker_document(worker: Worker) -> dict[str, Any]:
    """A worker as plain values, defaults filled in, times as floats; ``cost`` is left out where nothing is known."""
    cost = {} if worker.cost is None else {"cost": worker.cost.document()}
    return {**digested_document(worker), **cost}


def digested_document(worker: Worker) -> dict[str, Any]:
    """What enters an instance's digest of a worker: all that plans depend on."""
    decode = worker.decode_time
    engine = {} if worker.engine is None else {"engine": worker.engine.document()}
    return {
        "name": worker.name,
        "slots": _plain(worker.slots),
        "kv_capacity": _plain(worker.kv_capacity),
        "prefill_token_cap": _plain(worker.prefill_token_cap),
        "prefill_time": worker.prefill_time.document(),
        "decode_time": {
            "base_s": float(decode.base_s),
            "per_sequence_s": float(decode.per_sequence_s),
            "per_kv_token_s": float(decode.per_kv_token_s),
        },
        **engine,
    }
