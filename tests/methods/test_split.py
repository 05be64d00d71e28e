"""Requests over workers: fits are kept, load is balanced, plans of the parts make a plan of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import feasible_plan, instances

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker, evaluate
from llmsched_mip.methods.split import joined, part, split_requests


@settings(max_examples=150)
@given(instances(most_requests=9, most_workers=3))
def test_every_request_goes_to_one_worker_that_it_fits(instance):
    parts = split_requests(instance)
    assert sorted(np.concatenate(parts).tolist()) == list(range(instance.n))
    for w, requests in enumerate(parts):
        assert instance.fits_worker[requests, w].all()


@settings(max_examples=100)
@given(instances(most_requests=9, most_workers=3), st.integers(0, 999))
def test_joined_plans_of_the_parts_are_a_plan(instance, seed):
    parts = [
        (own, feasible_plan(part(instance, w, own), seed) if len(own) else None)
        for w, own in enumerate(split_requests(instance))
    ]
    plan = joined(instance, "joined", "makespan", parts)
    evaluation = evaluate(instance, plan)
    assert evaluation.violations == []
    own = [
        evaluate(part(instance, w, requests), p).measures.makespan
        for w, (requests, p) in enumerate(parts)
        if p is not None
    ]
    assert evaluation.measures.makespan == pytest.approx(max(own))


def test_a_worker_twice_as_fast_takes_about_twice_as_much():
    workers = (
        Worker("fast", AffinePrefill(0.0, 0.0), DecodeTime(1.0), slots=2),
        Worker("slow", AffinePrefill(0.0, 0.0), DecodeTime(2.0), slots=2),
    )
    requests = Requests([str(i) for i in range(30)], [1] * 30, [5] * 30)
    fast, slow = split_requests(Instance("two", requests, workers))
    assert (len(fast), len(slow)) == (20, 10)
