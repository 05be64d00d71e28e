"""Random small instances of mixed semantics: tight KV caches, shared prefixes, small budgets, tables, arrivals."""

from __future__ import annotations

import numpy as np

from llmsched_mip.instance import Instance, Requests, Worker
from llmsched_mip.mixed_engine import Collective, IterationTime, MixedEngine, TokenTable
from llmsched_mip.timing import AffinePrefill, DecodeTime


def drawn(seed: int, workers: int | None = None) -> Instance:
    """An instance in which every request fits every worker."""
    g = np.random.default_rng(seed)
    n, block = int(g.integers(1, 25)), int(g.choice([1, 2, 3, 4, 16]))
    p, d = g.integers(1, 40, n), g.integers(1, 30, n)
    if g.random() < 0.2:
        d[g.random(n) < 0.5] = 1
    arrival = g.exponential(g.choice([0.01, 0.3, 3.0]), n).cumsum() if g.random() < 0.7 else np.zeros(n)
    if g.random() < 0.3:
        arrival = g.permutation(arrival)
    blocks = _prefixes(g, p, block) if g.random() < 0.7 else None
    need = int((-(-(p + d - 1) // block)).max())
    count = int(g.choice([1, 1, 1, 2, 3])) if workers is None else workers
    made = tuple(_worker(g, f"w{w}", block, need) for w in range(count))
    requests = Requests([f"r{i}" for i in range(n)], p, d, arrival, prefix_blocks=blocks)
    return Instance(f"drawn-{seed}", requests, made, semantics="mixed")


def _prefixes(g: np.random.Generator, prompts: np.ndarray, block: int) -> list[np.ndarray]:
    """Chained ids of prompts that share their beginnings; some without the ids of their last blocks."""
    families = [g.integers(0, 3, 60) for _ in range(3)]
    numbers: dict[tuple[int, ...], int] = {}
    lists = []
    for i, prompt in enumerate(prompts.tolist()):
        family, shared = families[g.integers(3)], int(g.integers(0, 50))
        whole = prompt // block
        count = whole if g.random() < 0.8 else int(g.integers(0, whole + 1))
        content = [int(family[k]) if k < shared else 1000 * (i + 1) + k for k in range(count)]
        lists.append(np.array([numbers.setdefault(tuple(content[: k + 1]), len(numbers)) for k in range(count)], int))
    return lists


def _worker(g: np.random.Generator, name: str, block: int, need: int) -> Worker:
    limited, slots = g.random() > 0.15, None if g.random() < 0.2 else int(g.integers(1, 12))
    blocks = need + int(g.integers(0, int(need * g.choice([0.5, 2, 6])) + 1))
    times = [_time(g, mixed) if g.random() < 0.8 else None for mixed in (False, True)]
    engine = MixedEngine(int(g.integers(1, 60)), block, bool(g.random() < 0.8), int(g.integers(2)), *times)
    capacity = blocks * block + int(g.integers(0, block)) if limited else None
    prefill, decode = AffinePrefill(g.random(), 0.01), DecodeTime(0.1, 0.01, 0.001)
    return Worker(name, prefill, decode, slots, capacity, engine=engine)


def _time(g: np.random.Generator, mixed: bool) -> IterationTime:
    table = collective = None
    if g.random() < 0.3:
        tokens = np.unique(g.integers(1, 60, 4))
        table = TokenTable(tuple(tokens.tolist()), tuple(np.sort(g.random(len(tokens))).tolist()))
    if g.random() < 0.3:
        collective = Collective(g.random() * 0.1, g.random() * 0.01)
    per_token, per_attention = (g.random() * 0.1, g.random() * 0.001) if mixed else (0.0, 0.0)
    per_kv = g.random() * 0.01 if g.random() < 0.8 else 0.0
    return IterationTime(g.random(), per_token, per_attention, g.random() * 0.05, per_kv, table, collective)
