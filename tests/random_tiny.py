"""Tiny random instances with every feature of the problem, for tests against enumeration."""

from __future__ import annotations

import random

from llmsched_mip import AffinePrefill, DecodeTime, Instance, LevelPrefill, Requests, Worker


def tiny_instance(seed: int, objective: str) -> Instance:
    """2 to 5 requests on one or two workers; caps, levels, KV, slots, arrivals and weights come and go."""
    rng = random.Random(seed)
    n = rng.choice((2, 2, 2, 3, 3, 4, 5))
    workers = 2 if rng.random() < 0.4 and n <= 3 else 1
    longest = 4 if n == 2 else 3 if n == 3 and workers == 1 else 2
    p = [rng.randint(1, 3 if n > 3 else 5) for _ in range(n)]
    d = [rng.randint(1, longest) for _ in range(n)]
    if rng.random() < 0.4:
        p[1:], d[1:] = [p[0]] * (n - 1), [d[0]] * (n - 1)
        j = rng.randrange(n)
        p[j], d[j] = rng.randint(1, 3), rng.randint(1, longest)
    unit = rng.random() < 0.2
    times = (0.0, 1.0, 2.0, 5.0) if unit else (0.0, 0.7, 3.0, 8.0)
    arrival = (
        [rng.choice(times[:2] if n > 3 else times) for _ in range(n)]
        if rng.random() < (0.2 if n > 3 else 0.4)
        else None
    )
    weight = [rng.choice((0.5, 1.0, 3.0)) for _ in range(n)] if rng.random() < 0.5 else None
    made = [_worker(rng, f"w{k}", max(p), max(a + b for a, b in zip(p, d, strict=True)), unit) for k in range(workers)]
    if workers == 2 and rng.random() < 0.3:
        first = made[0]
        made[1] = Worker(
            "w1", first.prefill_time, first.decode_time, first.slots, first.kv_capacity, first.prefill_token_cap
        )
    requests = Requests([f"r{i}" for i in range(n)], p, d, arrival, weight=weight)
    return Instance(f"tiny {seed}", requests, tuple(made), objective=objective)


def _worker(rng: random.Random, name: str, p: int, peak: int, unit: bool) -> Worker:
    prefill: AffinePrefill | LevelPrefill = AffinePrefill(rng.choice((0.0, 0.5, 2.0)), rng.choice((0.0, 0.1, 0.5)))
    decode = DecodeTime(rng.choice((0.0, 0.5, 1.0)), rng.choice((0.0, 0.2)), rng.choice((0.0, 0.05)))
    if unit:
        prefill, decode = AffinePrefill(0.0, 0.0), DecodeTime(1.0)
    elif rng.random() < 0.4:
        tokens = sorted({*rng.sample(range(1, 3 * p + 3), 2), rng.randint(p, 3 * p)})
        tokens[-1] = max(tokens[-1], p)
        seconds, now = [], 0.0
        for _ in tokens:
            now += rng.choice((0.2, 0.5, 2.0))
            seconds.append(now)
        prefill = LevelPrefill(tuple(tokens), tuple(seconds))
    return Worker(
        name,
        prefill,
        decode,
        rng.choice((None, 1, 2, 3)),
        rng.choice((None, peak, peak + 3, 2 * peak)),
        rng.choice((None, None, p, p + 2)),
    )
