"""No bound lies above a brute-force optimum or a random plan; the order of the requests changes no bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from brute_force import optimum
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip import AffinePrefill, DecodeTime, Instance, LevelPrefill, Plan, Requests, Stage, Worker, clock
from llmsched_mip.bounds import BOUNDS, compute
from llmsched_mip.budget import Budget
from llmsched_mip.evaluation import evaluate

TIMES = st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5])
OBJECTIVES = st.sampled_from(["makespan", "total_completion"])


@st.composite
def workers(draw, name: str, p_max: int, d_max: int) -> Worker:
    if draw(st.booleans()):
        prefill = AffinePrefill(draw(TIMES), draw(TIMES))
    else:
        tokens = sorted(draw(st.sets(st.integers(1, 3 * p_max), min_size=1, max_size=3)) | {4 * p_max})
        steps = draw(st.lists(st.sampled_from([0.1, 0.3, 1.0, 4.0]), min_size=4, max_size=4))
        seconds = np.cumsum(steps)[: len(tokens)].tolist()
        prefill = LevelPrefill(tuple(tokens), tuple(seconds))
    return Worker(
        name,
        prefill,
        DecodeTime(draw(TIMES), draw(TIMES), draw(st.sampled_from([0.0, 0.05, 0.3]))),
        draw(st.none() | st.integers(1, 3)),
        draw(st.none() | st.integers(p_max + d_max, 2 * (p_max + d_max) + 3)),
        draw(st.none() | st.integers(p_max, 2 * p_max + 1)),
    )


@st.composite
def instances(draw, n_max: int = 4, most_workers: int = 2, p_max: int = 4, d_max: int = 4) -> Instance:
    n = draw(st.integers(1, n_max))
    p = draw(st.lists(st.integers(1, p_max), min_size=n, max_size=n))
    d = draw(st.lists(st.integers(1, d_max), min_size=n, max_size=n))
    arrival = draw(st.just([0.0] * n) | st.lists(st.sampled_from([0.0, 0.7, 3.0, 8.0]), min_size=n, max_size=n))
    weight = draw(st.just([1.0] * n) | st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=n, max_size=n))
    count = draw(st.integers(1, most_workers))
    chosen = tuple(draw(workers(f"w{k}", p_max, d_max)) for k in range(count))
    requests = Requests([f"r{i}" for i in range(n)], np.array(p), np.array(d), np.array(arrival), weight=weight)
    return Instance("tiny", requests, chosen)


def at_most(bound: float, value: float) -> bool:
    return bound <= value * (1 + 1e-9) + 1e-9


@settings(max_examples=150, deadline=None)
@given(instances(n_max=4, most_workers=1), OBJECTIVES)
def test_no_bound_above_the_optimum_of_one_worker(instance, objective):
    value = optimum(instance, objective)
    assert math.isfinite(value)
    for bound in compute(instance.with_objective(objective)):
        assert at_most(bound.value, value), bound


@settings(max_examples=80, deadline=None)
@given(instances(n_max=3, most_workers=2), OBJECTIVES)
def test_no_bound_above_the_optimum_of_two_workers(instance, objective):
    value = optimum(instance, objective)
    for bound in compute(instance.with_objective(objective)):
        assert at_most(bound.value, value), bound


def sequential_batches(instance: Instance, rng: np.random.Generator) -> Plan:
    """A random plan: random worker, random order, batches as large as a coin allows, each run to its end."""
    r, fits = instance.requests, instance.fits_worker
    stages: list[list[Stage]] = [[] for _ in instance.workers]
    chosen = [int(rng.choice(np.flatnonzero(fits[i]))) for i in range(instance.n)]
    for w, worker in enumerate(instance.workers):
        batch: list[int] = []
        for i in [int(i) for i in rng.permutation(instance.n) if chosen[i] == w]:
            both = [*batch, i]
            p, d = r.prefill_tokens[both], r.decode_tokens[both]
            fit = (
                (worker.slots is None or len(both) <= worker.slots)
                and (worker.max_prefill_tokens is None or p.sum() <= worker.max_prefill_tokens)
                and (worker.kv_capacity is None or (p + d).sum() <= worker.kv_capacity)
            )
            if fit and rng.random() < 0.8:
                batch = both
                continue
            if batch:
                stages[w].append(stage(instance, worker, batch))
            batch = [i]
        if batch:
            stages[w].append(stage(instance, worker, batch))
    return Plan.of(instance, "random", stages)


def stage(instance: Instance, worker: Worker, batch: list[int]) -> Stage:
    slots = list(range(len(batch))) if worker.slots is not None else None
    return Stage(batch, slots, int(instance.requests.decode_tokens[batch].max()))


@settings(max_examples=100, deadline=None)
@given(instances(n_max=25, most_workers=3, p_max=30, d_max=40), OBJECTIVES, st.integers(0, 2**32 - 1))
def test_no_bound_above_a_random_plan(instance, objective, seed):
    result = evaluate(instance, sequential_batches(instance, np.random.default_rng(seed)))
    assert not result.violations
    for bound in compute(instance.with_objective(objective)):
        assert at_most(bound.value, result.measures.objective(objective)), bound


@settings(max_examples=25, deadline=None)
@given(instances(n_max=12, most_workers=2, p_max=30, d_max=40), OBJECTIVES, st.randoms(use_true_random=False))
def test_permuting_the_requests_changes_no_bound(instance, objective, random):
    order = list(range(instance.n))
    random.shuffle(order)
    # Limits are limits of work: bounds that time cuts short may differ.
    with clock.counting():
        before = compute(instance.with_objective(objective))
    with clock.counting():
        after = compute(instance.take(order).with_objective(objective))
    assert [b.name for b in before] == [b.name for b in after]
    assert [b.value for b in before] == pytest.approx([b.value for b in after], rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(instances(n_max=8, most_workers=1, p_max=30, d_max=40))
def test_one_more_request_lowers_neither_alone_nor_longest(instance):
    if instance.n == 1 or instance.requests.arrival_s.max() > 0:
        return
    for name in ("alone", "longest"):
        fewer = BOUNDS[name](instance.take(np.arange(instance.n - 1)).with_objective("makespan"), Budget())
        more = BOUNDS[name](instance.with_objective("makespan"), Budget())
        assert fewer is not None and more is not None
        assert at_most(fewer.value, more.value)


def test_shortening_a_request_lowers_every_bound_or_leaves_it():
    requests = Requests(list("abcd"), [5, 6, 7, 8], [4, 9, 2, 5])
    worker = Worker("w", AffinePrefill(1.0, 0.5), DecodeTime(1.0, 0.1, 0.01), slots=2, kv_capacity=40)
    shorter = Requests(list("abcd"), [5, 6, 7, 8], [4, 7, 2, 5])
    for objective in ("makespan", "total_completion"):
        before = compute(Instance("i", requests, (worker,)).with_objective(objective))
        after = compute(Instance("i", shorter, (worker,)).with_objective(objective))
        assert all(b.value >= a.value - 1e-9 for b, a in zip(before, after, strict=True))
