"""An endless stream of random instances: what comes k-th depends on the seed and on k alone."""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import isqrt

from llmsched_mip.instance import MAX_TOKENS, Instance, Requests, Worker
from llmsched_mip.names import OBJECTIVES
from llmsched_mip.timing import AffinePrefill, DecodeTime, LevelPrefill, PrefillTime

TINY, SMALL, HUGE = "tiny", "small", "huge"
MOST_LIMIT = 2**62
MOST_VOLUME = 2**53 - 1
TIMESTAMP = 1.7e9


@dataclass(frozen=True)
class Size:
    """Ranges of one kind of instance: of a tiny one every plan can be tried."""

    kind: str
    requests: int
    workers: int
    prefill: int
    decode: int


def draw(seed: int, k: int) -> Instance:
    """The k-th instance of the stream `seed`.

    Raises
    ------
    InvalidInputError
        The toolkit refuses token counts or limits of this size.
    """
    rng = random.Random(f"{seed}/{k}")
    size = _size(rng)
    n = rng.randint(1 if rng.random() < 0.1 else 2, size.requests)
    if size.kind == SMALL:
        n = rng.randint(10, size.requests)
    p, d = _tokens(rng, n, size.prefill), _tokens(rng, n, size.decode)
    if size.kind == HUGE and rng.random() < 0.9:
        d = _within_sums(p, d)
    unit = rng.choice((1.0, 1.0, 2.0 ** rng.randint(-26, 20), 10.0 ** rng.randint(-8, 6), 10 ** rng.uniform(-8, 6)))
    workers = _workers(rng, size, p, d, unit)
    requests = Requests(
        [f"r{i}" for i in range(n)],
        p,
        d,
        _arrivals(rng, n, unit, size),
        weight=_weights(rng, n) if rng.random() < 0.5 else None,
        **(_intervals(rng, d) if rng.random() < 0.7 else {}),
    )
    return Instance(f"fuzz {seed} {k} {size.kind}", requests, workers, rng.choice(OBJECTIVES))


def _size(rng: random.Random) -> Size:
    chance = rng.random()
    if chance < 0.1:
        return Size(HUGE, 4, 2, MAX_TOKENS, MAX_TOKENS)
    if chance < 0.22:
        return Size(SMALL, 60 if chance < 0.13 else 20, 4, 60, 40)
    return rng.choice(
        (
            Size(TINY, 2, 4, 8, 8),
            Size(TINY, 3, 3, 6, 5),
            Size(TINY, 4, 1, 6, 5),
            Size(TINY, 4, 2, 5, 4),
            Size(TINY, 5, 1, 4, 4),
            Size(TINY, 5, 2, 4, 3),
            Size(TINY, 6, 1, 3, 3),
        )
    )


def _tokens(rng: random.Random, n: int, most: int) -> list[int]:
    """Token counts up to `most`: all alike, or any, or (where they may be huge) of any order of magnitude."""
    if rng.random() < 0.2:
        return [_count(rng, most)] * n
    return [_count(rng, most) for _ in range(n)]


def _within_sums(prefill: list[int], decode: list[int]) -> list[int]:
    """Decode tokens cut to what the toolkit accepts: all KV token-rounds p d + d (d + 1) / 2 below 2^53."""
    room = MOST_VOLUME // len(prefill)
    return [max(1, min(d, isqrt(p * p + 2 * room) - p - 1)) for p, d in zip(prefill, decode, strict=True)]


def _count(rng: random.Random, most: int) -> int:
    if most <= 100:
        return rng.randint(1, most)
    return max(1, min(most, rng.choice((most, int(most ** rng.random()), rng.randint(1, 3)))))


def _workers(rng: random.Random, size: Size, p: list[int], d: list[int], unit: float) -> tuple[Worker, ...]:
    """One to `size.workers` workers, all requests fit the first; now and then they are equal."""
    count = rng.choice((1, 1, *range(1, size.workers + 1)))
    drawn = [_worker(rng, "w0", size, max(p), max(a + b for a, b in zip(p, d, strict=True)), unit)]
    equal = rng.random() < 0.35
    for k in range(1, count):
        first = drawn[0]
        if equal:
            same = (first.prefill_time, first.decode_time, first.slots, first.kv_capacity, first.prefill_token_cap)
            drawn.append(Worker(f"w{k}", *same))
        else:
            some = rng.randrange(len(p))
            drawn.append(_worker(rng, f"w{k}", size, p[some], p[some] + d[some], unit))
    return tuple(drawn)


def _worker(rng: random.Random, name: str, size: Size, prefill: int, peak: int, unit: float) -> Worker:
    limit = MOST_LIMIT if size.kind == HUGE else 10**9
    slots = rng.choice((None, 1, 2, 3, rng.randint(2, 12), limit if rng.random() < 0.3 else 2))
    capacity = rng.choice((None, peak, peak + rng.randint(0, 5), 2 * peak, 3 * peak + 2, limit))
    cap = rng.choice((None, None, prefill, prefill + rng.randint(0, 4), 3 * prefill, limit))
    capacity = None if capacity is None else min(capacity, MOST_LIMIT)
    return Worker(name, _prefill_time(rng, prefill, unit), _decode_time(rng, unit), slots, capacity, cap)


def _seconds(rng: random.Random, unit: float) -> float:
    """A coefficient: often zero, sometimes round, sometimes any."""
    return unit * rng.choice((0.0, 0.0, 1.0, 0.5, 3.0, rng.random(), 10 ** rng.uniform(-3, 1)))


def _prefill_time(rng: random.Random, prefill: int, unit: float) -> PrefillTime:
    if rng.random() < 0.6:
        return AffinePrefill(_seconds(rng, unit), _seconds(rng, unit) * rng.choice((1.0, 0.1, 1e-3)))
    most = min(MAX_TOKENS, 3 * prefill)
    tokens = sorted({rng.randint(1, most) for _ in range(rng.randint(0, 3))} | {rng.randint(prefill, most)})
    seconds, now = [], rng.choice((0.0, 0.2 * unit))
    for _ in tokens:
        seconds.append(now)
        now += unit * rng.choice((0.1, 0.5, 1.0, 2.0, rng.random() + 0.01))
    return LevelPrefill(tuple(tokens), tuple(seconds))


def _decode_time(rng: random.Random, unit: float) -> DecodeTime:
    if rng.random() < 0.15:
        return DecodeTime(unit)
    base = _seconds(rng, unit) or (unit if rng.random() < 0.7 else 0.0)
    return DecodeTime(base, _seconds(rng, unit) * 0.1, _seconds(rng, unit) * rng.choice((0.1, 0.01, 1e-4)))


def _arrivals(rng: random.Random, n: int, unit: float, size: Size) -> list[float] | None:
    if rng.random() < 0.45:
        return None
    spread = rng.choice((2.0, 10.0, 100.0)) * unit
    drawn = [rng.choice((0.0, rng.randint(0, 10) * unit, rng.random() * spread)) for _ in range(n)]
    if rng.random() < 0.25:
        offset = rng.choice((TIMESTAMP, 1e5 * unit, 1e3 * unit, 1e7 * unit))
        drawn = [offset + at for at in drawn]
    return drawn


def _weights(rng: random.Random, n: int) -> list[float]:
    scale = rng.choice((1.0, 1.0, 1e-6, 1e6))
    return [scale * rng.choice((0.5, 1.0, 3.0, rng.random() + 1e-3)) for _ in range(n)]


def _intervals(rng: random.Random, decode: list[int]) -> dict[str, list[int]]:
    """Prediction intervals, of which some miss the length on either side."""
    lower, upper = [], []
    for d in decode:
        middle = max(1, min(MAX_TOKENS, rng.choice((d, d, d + rng.randint(1, 6), d - rng.randint(1, 6), 1, 3 * d))))
        low = max(1, middle - rng.randint(0, 3))
        lower.append(low)
        upper.append(min(MAX_TOKENS, max(low, middle + rng.randint(0, 3))))
    return {"decode_lower": lower, "decode_upper": upper}
