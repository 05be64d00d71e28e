"""replay(plan) = evaluate(plan): the executor steps from event to event, `evaluate` sorts all rounds at once."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from event_log_checker import check_log
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import any_plans, feasible_plan, instances

from llmsched_mip import Instance, Plan, Requests, Stage, Worker, evaluate
from llmsched_mip.errors import InvalidInputError, InvalidPlanError
from llmsched_mip.execution import Executor, replay
from llmsched_mip.policies import make_policy
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.timing import AffinePrefill, DecodeTime
from llmsched_mip.workload import generate


def executed(instance, plan, lengths="known"):
    events = []
    executor = Executor(instance, make_policy("plan", Problem.of(instance, lengths, plan)), events.append)
    executor.run()
    return executor.outcome("plan", 0.0), events


def assert_same(evaluation, outcome):
    for column in fields(evaluation.schedule):
        expected, found = getattr(evaluation.schedule, column.name), getattr(outcome.schedule, column.name)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12, err_msg=column.name)
    for column in fields(evaluation.measures):
        expected, found = getattr(evaluation.measures, column.name), getattr(outcome.measures, column.name)
        if isinstance(expected, dict):
            assert expected.keys() == found.keys()
            pairs = [(expected[k], found[k]) for k in expected]
        else:
            pairs = [(expected, found)]
        for a, b in pairs:
            assert a == b if a is None or isinstance(a, int) else b == pytest.approx(a, rel=1e-9, abs=1e-12)


@settings(max_examples=300)
@given(instances(most_workers=3), st.integers(0, 10**6), st.sampled_from(["known", "unknown"]))
def test_replay_of_a_plan_is_its_evaluation(instance, seed, lengths):
    plan = feasible_plan(instance, seed)
    evaluation = evaluate(instance, plan)
    assert evaluation.feasible
    outcome, events = executed(instance, plan, lengths)
    assert outcome.evictions == 0
    assert_same(evaluation, outcome)
    check_log(instance, events, outcome)
    again = evaluate(instance, outcome.to_plan(instance))
    assert again.feasible
    assert_same(again, outcome)


@settings(max_examples=300)
@given(st.data())
def test_any_plan_runs_as_evaluated_or_is_refused(data):
    """A plan that the executor carries out is one that evaluate finds feasible, with the same measures.

    Rounds with nothing active are skipped in a replay, and slots named where there is no slot limit are not used:
    both are violations that cost nothing.
    """
    instance = data.draw(instances())
    plan = data.draw(any_plans(instance))
    evaluation = evaluate(instance, plan)
    try:
        outcome, _ = executed(instance, plan)
    except InvalidPlanError as error:
        assert not evaluation.feasible
        assert "\n" not in str(error)
        return
    kinds = {v.kind for v in evaluation.violations}
    assert kinds <= {"rounds", "slots", "incomplete"}, evaluation.violations
    if not kinds:
        assert_same(evaluation, outcome)


@pytest.mark.parametrize("seed", range(3))
def test_larger_instances(seed):
    instance = generate("gsm8k-opt66b-a100", 150, seed, slots=20, rate=2.0)
    plan = feasible_plan(instance, seed)
    assert_same(evaluate(instance, plan), executed(instance, plan)[0])


def tiny(**limits):
    worker = Worker("w", AffinePrefill(1.0, 0.0), DecodeTime(1.0), **limits)
    return Instance("tiny", Requests(["a", "b", "c"], [2, 2, 2], [4, 1, 2], [0.0, 2.5, 0.0]), (worker,))


def test_stage_waits_for_arrival_and_not_before_by_hand():
    """a, c prefilled in 0..1, two rounds 1..3, c ends at 3; b may start at 7: prefill 7..8, one round, a ends then
    too after its third and fourth round."""
    instance = tiny()
    plan = Plan.of(instance, "hand", [[Stage([0, 2], None, 2), Stage([1], None, 2, 7.0)]])
    outcome, _ = executed(instance, plan)
    assert outcome.schedule.completion_s.tolist() == [10.0, 9.0, 3.0]
    assert outcome.schedule.prefill_start_s.tolist() == [0.0, 7.0, 0.0]
    assert outcome.schedule.first_token_s.tolist() == [2.0, 9.0, 2.0]
    assert_same(evaluate(instance, plan), outcome)


@pytest.mark.parametrize(
    ("stages", "limits", "message"),
    [
        ([Stage([0, 2], None, 4)], {}, "1 requests not complete"),
        ([Stage([0, 2], None, 4), Stage([1, 0], None, 1)], {}, "number 1 appears more than once"),
        ([Stage([0, 1, 2], None, 4)], {"kv_capacity": 8}, "KV cache overflows"),
        ([Stage([0, 1, 2], None, 4)], {"kv_capacity": 6}, "KV cache overflows"),
        ([Stage([0, 1, 2], None, 4)], {"prefill_token_cap": 5}, "prefills 6 tokens in one iteration, at most 5"),
        ([Stage([0, 2], [0, 0], 4), Stage([1], [1], 1)], {"slots": 2}, "slot that is held"),
        ([Stage([0, 2], [0, 2], 4), Stage([1], [1], 1)], {"slots": 2}, "slot that is held"),
        ([Stage([0, 1, 2], [0, 1, 2], 4)], {"slots": 2}, "3 requests into 2 free slots"),
    ],
)
def test_a_plan_that_does_not_hold_is_refused(stages, limits, message):
    instance = tiny(**limits)
    plan = Plan.of(instance, "bad", [stages])
    assert not evaluate(instance, plan).feasible
    with pytest.raises(InvalidPlanError, match=message):
        executed(instance, plan)


def test_plan_policy_without_a_plan():
    instance = tiny()
    with pytest.raises(InvalidInputError, match="needs a plan"):
        make_policy("plan", Problem.of(instance, "known"))
    with pytest.raises(InvalidInputError, match="expected one of fcfs"):
        replay(instance, "nonsense")


def test_plan_of_another_instance_is_refused():
    instance = tiny()
    plan = Plan.of(instance, "hand", [[Stage([0, 1, 2], None, 4)]])
    other = instance.take([2, 1, 0])
    with pytest.raises(InvalidInputError, match="made for another instance"):
        replay(other, "plan", plan=plan)
    assert replay(instance, "plan", plan=plan).measures.makespan == 7.5


def test_a_request_named_again_after_all_are_complete_is_refused():
    instance = tiny()
    stages = [Stage([0, 2, 1], None, 4), Stage([0], None, 0)]
    with pytest.raises(InvalidPlanError, match="number 1 appears more than once"):
        executed(instance, Plan.of(instance, "hand", [stages]))
