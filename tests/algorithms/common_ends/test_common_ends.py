"""Common ends against a simulation round by round, against `evaluate`, and exchanges between workers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from llmsched_mip import Plan, evaluate
from llmsched_mip.algorithms.common_ends.exchange import Exchange
from llmsched_mip.algorithms.common_ends.planner import Planner, Rule, random_rule, searched
from llmsched_mip.algorithms.common_ends.stages import worker_plan
from llmsched_mip.methods.split import split_requests
from llmsched_mip.normal_form import scaled_worker
from llmsched_mip.workload import generate


def planner_of(instance):
    return Planner(instance.workers[0], instance.requests.prefill_tokens, instance.requests.decode_tokens)


def by_rounds(worker, p, d, rule):
    """The rule without noise, each round on its own: starts as `Planner.run` has them."""
    p, d = p.tolist(), d.tolist()
    n, horizon = len(p), sum(d) + 2
    kv, slots, cap = worker.most_kv(sum(p) + sum(d)), worker.most_slots(n), worker.max_prefill_tokens
    held, active, starts = [0] * (horizon + 1), [0] * (horizon + 1), {}
    z = np.random.default_rng(rule.seed).standard_normal(n)
    longest_first = sorted(range(n), key=lambda i: (-d[i], i))
    drawn = sorted(range(n), key=lambda i: (-d[i], z[i]))
    now = 0
    while True:
        tokens, ends = 0, sorted({starts[i] + d[i] for i in starts if starts[i] + d[i] > now}, reverse=True)
        lists = [(e, drawn) for e in ends] + [(None, longest_first)]
        for end, order in lists:
            for i in order:
                if i in starts:
                    continue
                if end is not None and not (end - now) - int(rule.slack * (end - now)) <= d[i] <= end - now:
                    continue
                rounds = range(now + 1, now + d[i] + 1)
                fits = all(held[t] + p[i] + t - now <= kv and active[t] < slots for t in rounds)
                if fits and (cap is None or tokens + p[i] <= cap):
                    starts[i], tokens = now, tokens + p[i]
                    for t in rounds:
                        held[t] += p[i] + t - now
                        active[t] += 1
        if len(starts) == n:
            return [starts[i] for i in range(n)]
        idle = 0.0
        while idle <= rule.patience * worker.prefill_time.fixed_seconds:
            now = min(starts[i] + d[i] for i in starts if starts[i] + d[i] > now)
            if active[now + 1] == 0:
                break
            following = range(now + 1, min(starts[i] + d[i] for i in starts if starts[i] + d[i] > now) + 1)
            kv_idle = 1.0 - sum(held[t] for t in following) / len(following) / kv
            free = min(kv_idle, 1.0 - active[now + 1] / slots)
            idle += worker.decode_time.base_s * len(following) * free


@settings(max_examples=80, deadline=None)
@given(instances(most_requests=9, most_workers=1, arrivals=False), st.sampled_from((0.0, 0.3)), st.integers(0, 99))
def test_against_a_simulation_round_by_round(instance, slack, seed):
    rule = Rule(patience=1.03, slack=slack, seed=seed)
    r = instance.requests
    expected = by_rounds(instance.workers[0], r.prefill_tokens, r.decode_tokens, rule)
    assert planner_of(instance).run(rule).starts.tolist() == expected


@settings(max_examples=100, deadline=None)
@given(instances(most_requests=9, most_workers=1, arrivals=False), st.integers(0, 999))
def test_the_plan_is_feasible_and_ends_when_the_planner_says(instance, seed):
    instance = replace(instance, objective="makespan")
    instance = instance.with_requests(replace(instance.requests, arrival_s=None))
    found = planner_of(instance).run(random_rule(np.random.default_rng(seed)))
    d = instance.requests.decode_tokens
    stages = worker_plan(instance.workers[0], np.arange(instance.n), found.starts, d)
    evaluation = evaluate(instance, Plan(instance.name, instance.digest, "makespan", "test", (stages,)))
    assert evaluation.violations == []
    assert evaluation.measures.makespan == pytest.approx(found.seconds, rel=1e-9, abs=1e-12)


def test_times_in_another_unit_give_the_same_starts():
    instance = generate("azure-conv", 300, worker="llama2-70b-a100-tp2")
    scaled = replace(instance, workers=(scaled_worker(instance.workers[0], -20),))
    for seed in range(5):
        rule = random_rule(np.random.default_rng(seed))
        assert planner_of(instance).run(rule).starts.tolist() == planner_of(scaled).run(rule).starts.tolist()


def test_a_search_is_repeated_by_its_seed_and_never_worse():
    planner = planner_of(generate("azure-conv", 300, worker="llama2-70b-a100-tp2"))
    first = planner.run(Rule())
    found = [searched(planner, first, 40, np.random.default_rng(1)) for _ in range(2)]
    assert found[0].seconds == found[1].seconds < first.seconds


@settings(max_examples=30, deadline=None)
@given(instances(most_requests=9, most_workers=3, arrivals=False), st.integers(0, 999))
def test_exchanges_keep_every_request_where_it_fits_and_end_no_later(instance, seed):
    exchange = Exchange(instance, split_requests(instance), seed)
    prices = np.ones(len(instance.workers))
    for _ in range(10 if len(instance.workers) > 1 else 0):
        before = exchange.seconds
        exchange.step()
        between = exchange.seconds
        exchange.trade(prices)
        assert between.max() <= before.max()
        assert exchange.seconds.sum() <= between.sum() * (1 + 1e-12) and exchange.seconds.max() <= between.max()
    placed = np.concatenate([part.requests for part in exchange.parts])
    assert sorted(placed.tolist()) == list(range(instance.n))
    for w, part in enumerate(exchange.parts):
        assert instance.fits_worker[part.requests, w].all()
