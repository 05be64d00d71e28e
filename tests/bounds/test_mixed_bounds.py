"""No mixed execution is below its bounds: any order, chunks, prefix sharing, evictions and placement; and laws."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from mixed_simulator import Route, simulate

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker, write_instance
from llmsched_mip.bounds import MIXED, compute, mixed_bound
from llmsched_mip.cli import main
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.mixed_engine import Collective, IterationTime, MixedEngine, TokenTable, decode_iteration

OBJECTIVES = ("makespan", "total_completion")


def seconds_of(rng: random.Random, prompt: bool) -> IterationTime:
    table = None
    if rng.random() < 0.4:
        tokens = sorted(rng.sample(range(1, 40), rng.randint(1, 4)))
        table = TokenTable(tuple(tokens), tuple(sorted(rng.choice((0.5, 1.0, 1.2, 3.0, 6.0)) for _ in tokens)))
    return IterationTime(
        rng.choice((0.0, 0.5, 1.0, 2.0)),
        rng.choice((0.0, 0.05, 0.3)) * prompt,
        rng.choice((0.0, 0.002)) * prompt,
        rng.choice((0.0, 0.1)),
        rng.choice((0.0, 0.01, 0.05)),
        table,
        Collective(rng.choice((0.0, 0.4)), 0.02) if rng.random() < 0.2 else None,
    )


def tiny(seed: int, most: int = 7) -> Instance:
    rng = random.Random(seed)
    n, size = rng.randint(1, most), rng.choice((1, 2, 4))
    p, d = [rng.randint(1, 14) for _ in range(n)], [rng.randint(1, rng.choice((3, 12))) for _ in range(n)]
    arrival = [rng.choice((0.0, 1.0, 7.5)) for _ in range(n)] if rng.random() < 0.4 else None
    families = [rng.randint(0, 1) for _ in range(n)]
    blocks = [
        np.array([100 * family + k for k in range(tokens // size)]) for family, tokens in zip(families, p, strict=True)
    ]
    weight = [rng.choice((0.5, 1.0, 3.0)) for _ in range(n)] if rng.random() < 0.4 else None
    requests = Requests([f"r{i}" for i in range(n)], p, d, arrival, weight=weight, prefix_blocks=blocks)
    if rng.random() < 0.4:
        requests = replace(requests, prefix_blocks=None)
    peak = max(-(-(a + b) // size) for a, b in zip(p, d, strict=True)) * size
    workers = []
    for w in range(rng.choice((1, 1, 1, 2))):
        engine = MixedEngine(
            rng.choice((1, 3, 8, 32)),
            size,
            rng.random() < 0.7,
            rng.randint(0, 1),
            seconds_of(rng, False),
            seconds_of(rng, True),
        )
        kv = rng.choice((None, peak, peak + size, 2 * peak))
        workers.append(
            Worker(f"w{w}", AffinePrefill(1.0, 0.1), DecodeTime(1.0), rng.choice((None, 1, 2, 5)), kv, engine=engine)
        )
    if len(workers) == 2 and rng.random() < 0.5:
        workers[1] = replace(workers[0], name="w1")
    return Instance(f"tiny {seed}", requests, tuple(workers), semantics="mixed")


def bounds_of(instance: Instance) -> dict[str, list]:
    return {name: compute(instance.with_objective(name)) for name in OBJECTIVES}


def check(found: dict[str, list], instance: Instance, ends: list[float]) -> None:
    values = {"makespan": max(ends), "total_completion": float(np.dot(instance.requests.weight, ends))}
    for objective, bounds in found.items():
        for bound in bounds:
            assert bound.value <= values[objective] * (1 + 1e-9) + 1e-12, (instance.name, bound)


def random_routes(rng: random.Random) -> Route:
    return lambda _, servers: rng.randrange(len(servers))


@pytest.mark.parametrize("part", range(3))
def test_no_queue_order_is_below(part):
    for seed in range(part * 16, part * 16 + 16):
        instance, rng = tiny(seed), random.Random(seed)
        found = bounds_of(instance)
        small = instance.n <= 3 and len(instance.workers) == 1
        orders = list(permutations(range(instance.n))) if small else [rng.sample(range(instance.n), instance.n)] * 4
        for order in orders:
            jobs = simulate(instance, lambda job, order=order: order[job.index], random_routes(rng))[1]
            check(found, instance, [job.end for job in jobs])


def freely(instance: Instance, rng: random.Random) -> list[float]:
    """Completions where chunks, order, pauses and placement are drawn, nothing is evicted and every block is kept."""
    r, ends = instance.requests, [0.0] * instance.n
    p, d, arrival = r.prefill_tokens.tolist(), r.decode_tokens.tolist(), r.arrival_s.tolist()
    names = [[]] * instance.n if r.prefix_blocks is None else [blocks.tolist() for blocks in r.prefix_blocks]
    placed = [rng.randrange(len(instance.workers)) for _ in range(instance.n)]
    for w, worker in enumerate(instance.workers):
        engine, now, known = worker.engine, 0.0, set()
        size, slots = engine.block_tokens, worker.slots or instance.n
        waiting, done, made = [i for i in range(instance.n) if placed[i] == w], {}, {}
        chosen = decode_iteration(engine, worker.decode_time), engine.mixed
        while waiting or done:
            come = [i for i in waiting if arrival[i] <= now]
            if not come and not done:
                now = min(arrival[i] for i in waiting)
                continue
            for i in rng.sample(come, len(come)):
                blocks = sum(-(-(p[k] + d[k]) // size) for k in (*done, i))
                if len(done) < slots and (worker.kv_capacity is None or blocks <= worker.kv_capacity // size):
                    hit = next((k for k, name in enumerate(names[i]) if name not in known), len(names[i]))
                    done[i], made[i] = min(hit * size, p[i] - 1) if engine.prefix_cache else 0, 0
                    waiting.remove(i)
            budget, chunks, held = engine.token_budget, [], []
            for i in rng.sample(list(done), len(done)):
                if budget and (rng.random() < 0.9 or not chunks + held):
                    count = rng.randint(1, min(budget, p[i] - done[i])) if done[i] < p[i] else 1
                    budget -= count
                    if done[i] < p[i]:
                        chunks.append((i, done[i], count))
                    else:
                        held.append(i)
            attention = sum(count * (before + count / 2) for _, before, count in chunks)
            tokens, kv = sum(count for *_, count in chunks), sum(p[i] + made[i] for i in held)
            now += float(chosen[bool(chunks)].seconds(tokens, attention, len(held), kv))
            for i, before, count in chunks:
                done[i] = before + count
                known.update(names[i][: done[i] // size])
                made[i] = int(done[i] == p[i])
            for i in held:
                made[i] += 1
            for i in [i for i in done if made[i] == d[i]]:
                ends[i] = now
                del done[i], made[i]
    return ends


@pytest.mark.parametrize("part", range(2))
def test_no_chunks_are_below(part):
    for seed in range(part * 50, part * 50 + 50):
        instance, rng = tiny(seed), random.Random(seed)
        found = bounds_of(instance)
        for _ in range(3):
            check(found, instance, freely(instance, rng))


def large(seed: int, prefix: bool = True) -> Instance:
    """A few hundred requests of chat, of which half share prompts' blocks, on a card with little KV cache."""
    rng = np.random.default_rng(seed)
    n = 300
    p, d = rng.integers(40, 1500, n), rng.integers(5, 400, n)
    blocks = [np.arange(k) if i % 2 else 10**6 * (i + 1) + np.arange(k) for i, k in enumerate((p // 16).tolist())]
    requests = Requests([f"r{i}" for i in range(n)], p, d, np.sort(rng.uniform(0, 20, n)), prefix_blocks=blocks)
    decode, mixed = IterationTime(0.017, 0, 0, 4e-5, 1.4e-7), IterationTime(0.018, 7e-5, 5e-9, 5e-5, 3e-7)
    engine = MixedEngine(prefix_cache=prefix, decode=decode, mixed=mixed)
    worker = Worker("card", AffinePrefill(0.015, 7e-5), DecodeTime(0.017, 4e-5, 1.4e-7), 128, 30000, engine=engine)
    return Instance("large", requests, (worker,), semantics="mixed")


def test_close_to_a_full_engine():
    """Where the KV cache is what is scarce, the makespan of a good order is not far above the bound."""
    instance = large(1)
    servers, jobs = simulate(instance, lambda job: -job.length)
    assert servers[0].evictions
    ends = [job.end for job in jobs]
    check(bounds_of(instance), instance, ends)
    assert max(ends) < 1.25 * mixed_bound(instance).value
    ends = [job.end for job in simulate(instance, lambda job: job.prompt * job.length)[1]]
    check(bounds_of(instance), instance, ends)
    assert sum(ends) < 1.6 * mixed_bound(instance, "total_completion").value


def scaled(instance: Instance, exponent: int) -> Instance:
    def times(time: IterationTime) -> IterationTime:
        names = ("base_s", "per_token_s", "per_attention_s", "per_sequence_s", "per_kv_token_s")
        return IterationTime(*(float(np.ldexp(getattr(time, name), exponent)) for name in names))

    worker = instance.workers[0]
    engine = replace(worker.engine, decode=times(worker.engine.decode), mixed=times(worker.engine.mixed))
    requests = replace(instance.requests, arrival_s=np.ldexp(instance.requests.arrival_s, exponent))
    return replace(instance, requests=requests, workers=(replace(worker, engine=engine),))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_laws(objective):
    instance = large(2)
    value = mixed_bound(instance, objective).value
    assert mixed_bound(scaled(instance, 3), objective).value == pytest.approx(8 * value, rel=1e-9)
    assert mixed_bound(instance.take(np.arange(instance.n)[::-1]), objective).value == pytest.approx(value, rel=1e-6)
    assert mixed_bound(instance.take(np.arange(200)), objective).value < value
    assert mixed_bound(large(2, prefix=False), objective).value > value
    shared = replace(instance, workers=(instance.workers[0], replace(instance.workers[0], name="second")))
    assert mixed_bound(shared, objective).value < value


def test_mixed_bounds_are_of_mixed_instances_alone():
    instance = large(3)
    assert {bound.name for bound in compute(instance)} == {"mixed_alone", "mixed_work"}
    assert not {bound.name for bound in compute(instance.exclusive(), names=["alone", *MIXED])} & set(MIXED)
    with pytest.raises(InvalidInputError, match="semantics"):
        mixed_bound(instance.exclusive())


def test_the_command_says_which_is_which(tmp_path, capsys):
    write_instance(large(4), tmp_path / "i.json")
    assert main(["bound", str(tmp_path / "i.json"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["bounds"]) == {"mixed_alone", "mixed_work"} and found["binding"] == "mixed_work"
    assert "area" in found["bounds_of_plans"] and not set(found["bounds_of_plans"]) & set(MIXED)
    assert main(["bound", str(tmp_path / "i.json")]) == 0
    text = capsys.readouterr().out
    assert text.index("mixed_work *") < text.index("makespan of every mixed execution") < text.index("of its plans")
