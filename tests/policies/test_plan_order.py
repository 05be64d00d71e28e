"""A plan's order, and plans for lengths that are only estimated."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched_mip.evaluation import evaluate
from llmsched_mip.execution import replay
from llmsched_mip.methods import solve
from llmsched_mip.methods.estimates import estimated, solve_estimated
from llmsched_mip.policies.parts.plan_times import start_order
from llmsched_mip.workload import generate

VISIBLE = ("interval", "unknown")


def instance(seed=0, requests=30, **options):
    return generate("gsm8k-65b", requests, seed, slots=5, intervals=4.0, **options)


def test_places_are_those_of_the_stages():
    case = instance()
    plan = solve(case, method="mmbpp").plan
    places = start_order(plan, case.n)
    assert sorted(places) == list(range(case.n))
    worker_plan = plan.workers[0]
    begin = {}
    for k in range(len(worker_plan.rounds)):
        for request in worker_plan.requests[worker_plan.offsets[k] : worker_plan.offsets[k + 1]]:
            begin[int(request)] = int(worker_plan.rounds[:k].sum())
    taken = sorted(range(case.n), key=lambda i: places[i])
    assert all(begin[i] <= begin[j] for i, j in pairwise(taken))
    assert len(set(begin.values())) > 3


@given(st.integers(0, 1000), st.sampled_from(VISIBLE), st.sampled_from(("lists", "mmbpp")))
def test_a_plan_for_estimates_gives_a_feasible_replay_and_claims_nothing(seed, visible, method):
    case = instance(seed)
    plan = solve_estimated(case, visible, method=method, time_limit_s=5)
    assert plan.instance_digest == case.digest
    assert plan.claims.value is None and plan.claims.bound is None and not plan.claims.bounds
    for policy in ("plan-order", "lagrangian"):
        outcome = replay(case, policy, plan=plan, lengths=visible)
        assert not evaluate(case, outcome.to_plan(case, policy)).violations


def test_the_estimates_do_not_know_the_lengths():
    case = instance()
    lower, upper = case.requests.decode_lower, case.requests.decode_upper
    lengths = estimated(case, "interval").requests.decode_tokens
    assert np.all((lengths >= lower) & (lengths <= upper))
    assert np.any(lengths != case.requests.decode_tokens)
    assert len(set(estimated(case, "unknown").requests.decode_tokens.tolist())) == 1
    assert estimated(case, "known").requests.decode_tokens.tolist() == case.requests.decode_tokens.tolist()


def test_without_a_plan_the_order_is_that_of_arrival():
    case = instance(requests=60)
    assert replay(case, "plan-order").measures == replay(case, "fcfs").measures


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_a_longest_first_plan_is_longest_first(seed):
    case = instance(seed, requests=60)
    length = case.requests.decode_tokens
    plan = replay(case, "longest-first").to_plan(case, "longest-first")
    places = np.array(start_order(plan, case.n))
    taken = length[np.argsort(places)]
    assert np.all(np.diff(taken) <= 0)
    assert replay(case, "plan-order", plan=plan).measures.makespan == pytest.approx(
        replay(case, "longest-first").measures.makespan
    )
