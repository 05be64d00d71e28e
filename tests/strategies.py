"""Hypothesis strategies: small instances and plans with every feature of the model."""

from __future__ import annotations

import random

from hypothesis import strategies as st

from llmsched_mip import AffinePrefill, Cost, DecodeTime, Instance, LevelPrefill, Plan, Requests, Stage, Worker

COEFFICIENT = st.floats(0.0, 2.0, allow_subnormal=False)
AMOUNT = st.none() | st.floats(0, 50)
BASE = st.floats(0.01, 2.0)


@st.composite
def prefill_times(draw, least_tokens: int):
    """An affine prefill time, or levels of which the last holds at least `least_tokens`."""
    if draw(st.booleans()):
        return AffinePrefill(draw(COEFFICIENT), draw(COEFFICIENT))
    count = draw(st.integers(1, 3))
    tokens, seconds = [], []
    size, time = 0, 0.0
    for _ in range(count):
        size += draw(st.integers(1, 12))
        time += draw(BASE)
        tokens.append(size)
        seconds.append(time)
    tokens[-1] = max(tokens[-1], least_tokens)
    return LevelPrefill(tuple(tokens), tuple(seconds))


@st.composite
def workers(draw, name: str, most_prefill: int, most_total: int, fits: bool):
    """A worker; with `fits` every request fits it."""
    least = most_prefill if fits else 1
    total = most_total if fits else 2
    return Worker(
        name,
        draw(prefill_times(least)),
        DecodeTime(draw(BASE), draw(COEFFICIENT), draw(COEFFICIENT)),
        draw(st.none() | st.integers(1, 4)),
        draw(st.none() | st.integers(total, total + 25)),
        draw(st.none() | st.integers(least, least + 10)),
        draw(st.none() | st.builds(Cost, AMOUNT, st.none() | st.floats(0, 60), st.none() | st.floats(60, 400))),
    )


@st.composite
def instances(draw, most_requests: int = 7, most_workers: int = 2, arrivals: bool = True):
    """A small valid instance; every request fits its first worker."""
    n = draw(st.integers(1, most_requests))
    column = st.lists(st.integers(1, 8), min_size=n, max_size=n)
    prefill, decode = draw(column), draw(column)
    times = st.lists(st.just(0.0) | st.floats(0, 40), min_size=n, max_size=n)
    weights = st.lists(st.just(1.0) | st.floats(0.25, 3), min_size=n, max_size=n)
    totals = [p + d for p, d in zip(prefill, decode, strict=True)]
    home = [draw(workers("w0", max(prefill), max(totals), True))]
    count = draw(st.integers(1, most_workers))
    home += [draw(workers(f"w{k}", max(prefill), max(totals), draw(st.booleans()))) for k in range(1, count)]
    return Instance(
        "random",
        Requests(
            [f"r{i}" for i in range(n)],
            prefill,
            decode,
            draw(times) if arrivals else None,
            weight=draw(weights),
        ),
        tuple(home),
        objective=draw(st.sampled_from(("makespan", "total_completion"))),
    )


@st.composite
def any_plans(draw, instance: Instance):
    """Stages of any kind, most of them infeasible in one way or another."""
    n = instance.n
    order = draw(st.permutations(range(n)))
    if draw(st.integers(0, 4)) == 0:
        order = [*order, draw(st.integers(0, n - 1))]
    if draw(st.integers(0, 6)) == 0:
        order = order[1:]
    stages: list[list[Stage]] = [[] for _ in instance.workers]
    while order:
        size = draw(st.integers(1, len(order)))
        batch, order = list(order[:size]), order[size:]
        w = draw(st.integers(0, len(instance.workers) - 1))
        limit = instance.workers[w].slots
        slots = None
        if limit is not None:
            slots = draw(st.lists(st.integers(-1, limit), min_size=size, max_size=size))
        if draw(st.booleans()) and limit is not None and size <= limit:
            slots = draw(st.permutations(range(limit)))[:size]
        wait = draw(st.just(0.0) | st.floats(0, 60))
        stages[w].append(Stage(batch, slots, draw(st.integers(-1, 12)), wait))
    return Plan.of(instance, "random", stages)


def feasible_plan(instance: Instance, seed: int) -> Plan:
    """A random feasible plan: each request on a worker it fits, batches that reserve their whole KV."""
    rng = random.Random(seed)
    homes = [[] for _ in instance.workers]
    for i, fits in enumerate(instance.fits_worker.tolist()):
        homes[rng.choice([w for w, ok in enumerate(fits) if ok])].append(i)
    stages = []
    for worker, home in zip(instance.workers, homes, strict=True):
        rng.shuffle(home)
        stages.append(_stages(instance, worker, home, rng))
    return Plan.of(instance, "random", stages)


def _stages(instance, worker, waiting, rng):
    p = instance.requests.prefill_tokens.tolist()
    d = instance.requests.decode_tokens.tolist()
    limit = worker.max_prefill_tokens
    active: dict[int, int] = {}
    slot_of: dict[int, int] = {}
    stages: list[Stage] = []

    def admissible(i, batch, held=None):
        together = [*(active if held is None else held), *batch, i]
        if worker.slots is not None and len(together) > worker.slots:
            return False
        if limit is not None and sum(p[j] for j in [*batch, i]) > limit:
            return False
        return worker.kv_capacity is None or sum(p[j] + d[j] for j in together) <= worker.kv_capacity

    while waiting:
        batch: list[int] = []
        for i in list(waiting):
            if admissible(i, batch) and (not batch or rng.random() < 0.7):
                batch.append(i)
                waiting.remove(i)
        slots = None
        if worker.slots is not None:
            free = [s for s in range(min(worker.slots, 2 * instance.n)) if s not in slot_of.values()]
            slots = rng.sample(free, len(batch))
            slot_of.update(zip(batch, slots, strict=True))
        active.update((i, d[i]) for i in batch)
        last_end = max(active.values())
        enough = [
            r
            for r in [0, *active.values()]
            if any(admissible(i, [], [j for j in active if active[j] > r]) for i in waiting)
        ]
        rounds = last_end if not waiting else rng.randint(min(enough), last_end)
        active = {i: left - rounds for i, left in active.items() if left > rounds}
        slot_of = {i: s for i, s in slot_of.items() if i in active}
        wait = rng.choice([0.0, 0.0, rng.uniform(0, 30)])
        stages.append(Stage(batch, slots, rounds, wait))
    return stages
