"""Make a failing instance small while the same check by the same parts still fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from fuzzing.change import in_unit
from llmsched_mip.errors import SchedulingError
from llmsched_mip.instance import Instance, Requests, Worker
from llmsched_mip.timing import AffinePrefill, LevelPrefill

Fails = Callable[[Instance], bool]


def shrink(instance: Instance, fails: Fails, go_on: Callable[[], bool]) -> Instance:
    """The first smaller instance that still fails, again and again, until none does or `go_on` says no."""
    smaller = True
    while smaller:
        smaller = False
        for make in candidates(instance):
            if not go_on():
                return instance
            try:
                other = make()
            except SchedulingError:
                continue
            if fails(other):
                instance, smaller = other, True
                break
    return instance


def candidates(instance: Instance) -> Iterator[Callable[[], Instance]]:
    """Smaller instances, the largest steps first."""
    yield from _fewer(instance)
    yield from _plainer_requests(instance)
    yield from _plainer_workers(instance)
    yield from _other_times(instance)


def _fewer(instance: Instance) -> Iterator[Callable[[], Instance]]:
    n, kept = instance.n, instance.workers
    half = n // 2
    while half >= 1:
        for first in range(0, n, half):
            rest = [i for i in range(n) if not first <= i < first + half]
            if rest:
                yield lambda rest=rest: instance.take(rest)
        half //= 2
    for k in range(len(kept)):
        if len(kept) > 1:
            yield lambda k=k: replace(instance, workers=kept[:k] + kept[k + 1 :])


def _with(requests: Requests, **columns: Any) -> Requests:
    return replace(requests, **columns)


def _plainer_requests(instance: Instance) -> Iterator[Callable[[], Instance]]:
    """No intervals, arrivals or weights; then one column after the other, whole or one request at a time."""
    r, n = instance.requests, instance.n
    if r.decode_lower is not None:
        yield lambda: instance.with_requests(_with(r, decode_lower=None, decode_upper=None))
    for name, plain in (("arrival_s", 0.0), ("weight", 1.0)):
        if (getattr(r, name) != plain).any():
            yield lambda name=name, plain=plain: instance.with_requests(_with(r, **{name: np.full(n, plain)}))
    if r.arrival_s.min() > 0:
        yield lambda: instance.with_requests(_with(r, arrival_s=r.arrival_s - r.arrival_s.min()))
    for name in ("prefill_tokens", "decode_tokens", "arrival_s", "weight"):
        values = getattr(r, name)
        whole = values.dtype.kind == "i"
        for i in range(n):
            for other in _smaller_tokens(int(values[i])) if whole else _rounder(float(values[i]), name == "arrival_s"):
                column = values.copy()
                column[i] = other
                yield lambda name=name, column=column: instance.with_requests(_with(r, **{name: column}))


def _smaller_tokens(value: int) -> list[int]:
    return [other for other in dict.fromkeys((1, value // 1000, value // 2, value - 1)) if 1 <= other < value]


def _rounder(value: float, may_be_zero: bool) -> list[float]:
    """Zero, the next power of ten, and one or two figures; nothing that is already as round."""
    if value == 0:
        return []
    exponent = math.floor(math.log10(value))
    found = [0.0] if may_be_zero else []
    found += [float(f"1e{exponent}"), float(f"{value:.0e}"), float(f"{value:.1e}")]
    figures = len(f"{value!r}".replace(".", "").split("e")[0].strip("0"))
    return [other for other in dict.fromkeys(found) if len(f"{other:.3g}".strip("0")) < figures and other != value]


def _plainer_workers(instance: Instance) -> Iterator[Callable[[], Instance]]:
    for k, worker in enumerate(instance.workers):
        for other in _plainer_worker(worker):
            kept = (*instance.workers[:k], other, *instance.workers[k + 1 :])
            yield lambda kept=kept: replace(instance, workers=kept)


def _plainer_worker(worker: Worker) -> Iterator[Worker]:
    for name in ("slots", "kv_capacity", "prefill_token_cap"):
        value = getattr(worker, name)
        if value is not None:
            yield replace(worker, **{name: None})
            for other in _smaller_tokens(value):
                yield replace(worker, **{name: other})
    prefill, decode = worker.prefill_time, worker.decode_time
    if isinstance(prefill, LevelPrefill):
        yield replace(worker, prefill_time=AffinePrefill(prefill.level_seconds[-1], 0.0))
        for j in range(len(prefill.tokens) - 1):
            keep = [i for i in range(len(prefill.tokens)) if i != j]
            level = LevelPrefill(tuple(prefill.tokens[i] for i in keep), tuple(prefill.level_seconds[i] for i in keep))
            yield replace(worker, prefill_time=level)
    else:
        for other in _plainer_times(prefill, ("base_s", "per_token_s")):
            yield replace(worker, prefill_time=other)
    for other in _plainer_times(decode, ("base_s", "per_sequence_s", "per_kv_token_s")):
        yield replace(worker, decode_time=other)


def _plainer_times(time: Any, names: tuple[str, ...]) -> Iterator[Any]:
    for name in names:
        for value in _rounder(getattr(time, name), True):
            yield replace(time, **{name: value})


def _other_times(instance: Instance) -> Iterator[Callable[[], Instance]]:
    """All times in another unit, in which the decode round of the first worker is of order one."""
    decode = instance.workers[0].decode_time
    scale = max(decode.base_s, decode.per_sequence_s, decode.per_kv_token_s)
    if scale > 0 and not 0.3 < scale < 3.0:
        yield lambda: in_unit(instance, 10.0 ** -round(math.log10(scale)))
