"""Requests over workers: fits are kept, load is balanced, plans of the parts make a plan of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import feasible_plan, instances

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker, evaluate
from llmsched_mip.methods.split import parts, planned_apart, split_requests


@settings(max_examples=150)
@given(instances(most_requests=9, most_workers=3))
def test_every_request_goes_to_one_worker_that_it_fits(instance):
    chosen = split_requests(instance)
    assert sorted(np.concatenate(chosen).tolist()) == list(range(instance.n))
    for w, requests in enumerate(chosen):
        assert instance.fits_worker[requests, w].all()


@settings(max_examples=100)
@given(instances(most_requests=9, most_workers=3), st.integers(0, 999))
def test_the_plans_of_the_parts_are_a_plan(instance, seed):
    plan = planned_apart(instance, "apart", lambda part: feasible_plan(part, seed))
    evaluation = evaluate(instance, plan)
    assert evaluation.violations == []
    alone = [evaluate(part, feasible_plan(part, seed)).measures.makespan for _, part in parts(instance) if part]
    assert evaluation.measures.makespan == pytest.approx(max(alone))


def test_without_a_plan_of_one_part_there_is_none_of_the_whole():
    workers = [Worker(name, AffinePrefill(0.0, 0.0), DecodeTime(1.0), slots=1) for name in ("a", "b")]
    instance = Instance("two", Requests(["r0", "r1"], [1, 1], [5, 5]), workers)
    assert planned_apart(instance, "apart", lambda part: None) is None


def test_a_worker_twice_as_fast_takes_about_twice_as_much():
    workers = (
        Worker("fast", AffinePrefill(0.0, 0.0), DecodeTime(1.0), slots=2),
        Worker("slow", AffinePrefill(0.0, 0.0), DecodeTime(2.0), slots=2),
    )
    requests = Requests([str(i) for i in range(30)], [1] * 30, [5] * 30)
    fast, slow = split_requests(Instance("two", requests, workers))
    assert (len(fast), len(slow)) == (20, 10)
