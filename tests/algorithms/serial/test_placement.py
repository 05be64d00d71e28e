"""Serial placement against an array of rounds: every start is the earliest, or that of a prefill near enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from llmsched_mip import evaluate
from llmsched_mip.algorithms.serial.placement import Jobs, descend, placed
from llmsched_mip.budget import Budget
from llmsched_mip.methods.serial import applies, serial_plans

SIZES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=1, max_size=12)


def fits(load, count, capacity, slots, p, d, s):
    rounds = slice(s, s + d)
    return (load[rounds] + p + np.arange(1, d + 1) <= capacity).all() and (count[rounds] < slots).all()


@settings(max_examples=200)
@given(
    SIZES,
    st.integers(21, 40),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(0, 6),
    st.integers(0, 3),
    st.integers(0, 99),
)
def test_every_start_is_the_earliest_that_is_allowed(sizes, capacity, slots, step, patience, pace, seed):
    p, d = (np.array(column) for column in zip(*sizes, strict=True))
    order = np.random.default_rng(seed).permutation(len(p))
    jobs = Jobs(p, d, np.full(len(p), patience), step, slots, capacity, pace / 64)
    rounds, prefills, starts = placed(jobs, order)
    load, count = np.zeros(len(p) * 50, dtype=int), np.zeros(len(p) * 50, dtype=int)
    known: set[int] = set()
    for k, i in enumerate(order):
        before = sum((p[j] + r) * pace for j in order[:k] for r in range(1, d[j] + 1)) // 64
        places = [s for s in range(before, len(load) - 12) if s % step == 0]
        allowed = [s for s in places if fits(load, count, capacity, slots, p[i], d[i], s)]
        near = [s for s in allowed if s in known and s <= allowed[0] + patience]
        expected = near[0] if near else allowed[0]
        assert starts[i] == expected
        known.add(expected)
        load[expected : expected + d[i]] += p[i] + np.arange(1, d[i] + 1)
        count[expected : expected + d[i]] += 1
    assert (rounds, prefills) == ((starts + d).max(), len(known))


@settings(max_examples=200)
@given(
    SIZES,
    st.integers(21, 40),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(0, 6),
    st.integers(0, 99),
)
def test_backwards_every_end_is_the_latest_that_is_allowed(sizes, capacity, slots, step, patience, seed):
    p, d = (np.array(column) for column in zip(*sizes, strict=True))
    order = np.random.default_rng(seed).permutation(len(p))
    jobs = Jobs(p, d, np.full(len(p), patience), step, slots, capacity, backward=True)
    rounds, prefills, starts = placed(jobs, order)
    # Counted from the end: a request that ends e rounds before it holds p + d in round e, then one less in each.
    load, count = np.zeros(len(p) * 50, dtype=int), np.zeros(len(p) * 50, dtype=int)
    known: set[int] = set()
    for i in order:
        allowed = [
            e
            for e in range(len(load) - 12)
            if (e + d[i]) % step == 0
            and (load[e : e + d[i]] + p[i] + np.arange(d[i], 0, -1) <= capacity).all()
            and (count[e : e + d[i]] < slots).all()
        ]
        near = [e for e in allowed if e + d[i] in known and e <= allowed[0] + patience]
        expected = near[0] if near else allowed[0]
        assert starts[i] == rounds - expected - d[i]
        known.add(expected + d[i])
        load[expected : expected + d[i]] += p[i] + np.arange(d[i], 0, -1)
        count[expected : expected + d[i]] += 1
    assert (rounds, prefills) == (max(known), len(known))


def test_backwards_what_would_overflow_together_ends_a_few_rounds_apart():
    p, d = np.full(33, 68), np.full(33, 512)
    jobs, order = Jobs(p, d, np.zeros(33, dtype=np.int64), 1, 33, 16492), np.arange(33)
    # 28 of them hold 16,240 tokens at their ends.
    assert placed(jobs, order)[0] > 840
    assert placed(jobs._replace(backward=True), order)[0] < 640


def test_local_search_repeats_and_never_gets_worse():
    random = np.random.default_rng(5)
    p, d = random.integers(1, 60, 80), random.integers(1, 40, 80)
    jobs = Jobs(p, d, np.zeros(80, dtype=np.int64), 1, 80, 200)
    order = np.arange(80)
    rounds, prefills, _ = placed(jobs, order)
    value, better = descend(jobs, order, (1.0, 0.25), 400, np.random.default_rng(1))
    again, same = descend(jobs, order, (1.0, 0.25), 400, np.random.default_rng(1))
    assert (value, better.tolist()) == (again, same.tolist())
    found = placed(jobs, better)
    assert value == found[0] + 0.25 * found[1] < rounds + 0.25 * prefills


@settings(max_examples=60)
@given(instances(most_requests=9, most_workers=1, arrivals=False))
def test_plans_are_feasible_and_get_better(instance):
    instance = instance.with_objective("makespan")
    if not applies(instance):
        return
    values = []
    for plan in serial_plans(instance, Budget(), 0, most_passes=1):
        evaluation = evaluate(instance, plan)
        assert evaluation.violations == []
        values.append(evaluation.measures.makespan)
    assert values
    if instance.workers[0].prefill_time.affine and instance.workers[0].max_prefill_tokens is None:
        assert values == pytest.approx(sorted(values, reverse=True))


def test_of_all_ages_at_any_time():
    """Equal requests whose KV grows: started together they fill half of it, one after the other nearly all."""
    p, d = np.full(60, 10), np.full(60, 300)
    jobs, order = Jobs(p, d, np.zeros(60, dtype=np.int64), 1, 60, 3100), np.arange(60)
    together, _, _ = placed(jobs, order)
    paced, _, _ = placed(jobs._replace(pace=1.05 / 3100), order)
    least = 60 * (10 * 300 + 300 * 301 / 2) / 3100
    assert together == 6 * 300 and least < paced < 0.85 * together
