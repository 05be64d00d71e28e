"""evaluate() against the round-by-round reference simulator."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_simulator import measures, simulate
from strategies import any_plans, feasible_plan, instances

from llmsched_mip import evaluate

STAGE_KINDS = ("kv", "prefill", "incomplete", "rounds", "slots", "request")


def close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) or (math.isinf(a) and math.isinf(b))


def assert_same_schedule(instance, plan):
    evaluation, reference = evaluate(instance, plan), simulate(instance, plan)
    schedule = evaluation.schedule
    for array, expected in (
        (schedule.prefill_start_s, reference.prefill_start),
        (schedule.decode_start_s, reference.decode_start),
        (schedule.first_token_s, reference.first_token),
        (schedule.completion_s, reference.completion),
    ):
        for i in range(instance.n):
            if i in expected:
                assert close(array[i], expected[i]), (i, array[i], expected[i])
            else:
                assert math.isnan(array[i])
    for i in range(instance.n):
        assert schedule.worker[i] == reference.worker_of.get(i, (-1,))[0]
        slot = reference.slot_of.get(i)
        assert schedule.slot[i] == (-1 if slot is None else slot)
    assert_same_measures(instance, evaluation, reference)
    return evaluation, reference


def assert_same_measures(instance, evaluation, reference):
    expected = measures(instance, reference)
    assert evaluation.measures.kv_peak == max(reference.kv_peak)
    assert evaluation.measures.decode_rounds == reference.rounds
    assert evaluation.measures.prefill_iterations == reference.prefills
    if expected is None or math.isinf(expected["makespan"]):
        return
    for name, value in expected.items():
        found = getattr(evaluation.measures, name)
        assert (found is None and value is None) or close(found, value), name
    for w, worker in enumerate(instance.workers):
        share = evaluation.measures.worker_utilization[worker.name]
        if worker.slots is None:
            assert share is None
        elif expected["makespan"] > 0:
            assert close(share, reference.busy[w] / (worker.slots * expected["makespan"]))


def found_rules(evaluation, instance):
    """(kind, worker, stage, request index) of every violation but claims."""
    index = {name: i for i, name in enumerate(instance.requests.id)}
    return {(v.kind, v.worker, v.stage, index.get(v.request)) for v in evaluation.violations if v.kind != "claim"}


@settings(max_examples=250)
@given(st.data())
def test_any_plan_has_the_times_and_the_violations_of_the_simulator(data):
    instance = data.draw(instances())
    plan = data.draw(any_plans(instance))
    evaluation, reference = assert_same_schedule(instance, plan)
    assert found_rules(evaluation, instance) == reference.broken


@settings(max_examples=250)
@given(instances(), st.integers(0, 10**6))
def test_constructed_plan_is_feasible_for_both(instance, seed):
    plan = feasible_plan(instance, seed)
    evaluation, reference = assert_same_schedule(instance, plan)
    assert reference.broken == set()
    assert evaluation.violations == []
    assert evaluation.feasible


@pytest.mark.parametrize("seed", range(3))
def test_larger_backlog(seed):
    from llmsched_mip.workload import generate

    instance = generate("gsm8k-opt66b-a100", 150, seed, slots=20, rate=2.0)
    assert_same_schedule(instance, feasible_plan(instance, seed))
