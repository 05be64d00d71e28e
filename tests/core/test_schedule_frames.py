"""Schedules and stages as DataFrames, and the chart, against a plan computed by hand and against replays."""

from __future__ import annotations

import copy
import pickle
import sys
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from strategies import feasible_plan, instances

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Plan, Requests, Result, Stage, Worker, evaluate, replay
from llmsched_mip.errors import InvalidInputError, InvalidPlanError, SchedulingError

matplotlib.use("Agg")


def by_hand(slots: int | None = 2) -> tuple[Instance, Plan]:
    """Prefill 1 s + 0.5 s a token, a round 1 s: a and b together, c (which arrives at 5 s) when a is done."""
    worker = Worker("w", AffinePrefill(1.0, 0.5), DecodeTime(1.0), slots=slots, kv_capacity=50)
    instance = Instance("tiny", Requests(["a", "b", "c"], [2, 4, 6], [2, 5, 1], [0, 0, 5]), (worker,))
    at = ([0, 1], [0]) if slots else (None, None)
    return instance, Plan.of(instance, "hand", [[Stage([0, 1], at[0], 2), Stage([2], at[1], 3)]])


def result_of(instance: Instance, plan: Plan) -> Result:
    evaluation = evaluate(instance, plan)
    value = evaluation.measures.objective(instance.objective)
    return Result(plan.with_claims(value, {}, 0.0), evaluation.measures, instance=instance)


def test_schedule_and_stages_by_hand():
    # Prefill of 6 tokens: 4 s. Two rounds to 6 s. Prefill of 6 tokens to 10 s. c ends at 11 s, b at 13 s.
    result = result_of(*by_hand())
    expected = pd.DataFrame(
        {
            "request": ["a", "b", "c"],
            "worker": "w",
            "slot": pd.array([0, 1, 0], dtype="Int64"),
            "stage": pd.array([0, 0, 1], dtype="Int64"),
            "arrival_s": [0.0, 0.0, 5.0],
            "prefill_start_s": [0.0, 0.0, 6.0],
            "prefill_end_s": [4.0, 4.0, 10.0],
            "first_token_s": [5.0, 5.0, 11.0],
            "completion_s": [6.0, 13.0, 11.0],
            "waiting_s": [0.0, 0.0, 1.0],
            "latency_s": [6.0, 13.0, 6.0],
        }
    )
    pd.testing.assert_frame_equal(result.schedule(), expected)
    stages = pd.DataFrame(
        {
            "worker": "w",
            "stage": [0, 1],
            "start_s": [0.0, 6.0],
            "prefill_end_s": [4.0, 10.0],
            "end_s": [6.0, 13.0],
            "requests": [2, 1],
            "prompt_tokens": [6, 6],
            "rounds": [2, 3],
            "active": [2, 2],
            "kv_peak": [10, 14],
        }
    )
    pd.testing.assert_frame_equal(result.stages(), stages)
    assert result_of(*by_hand(slots=None)).schedule()["slot"].isna().all()


@settings(max_examples=25)
@given(instances())
def test_frames_agree_with_the_measures(instance):
    result = result_of(instance, feasible_plan(instance, 0))
    schedule, stages, measures = result.schedule(), result.stages(), result.measures
    assert schedule["completion_s"].max() == measures.makespan == pytest.approx(stages["end_s"].max())
    assert stages["rounds"].sum() == measures.decode_rounds and len(stages) == measures.prefill_iterations
    assert stages["kv_peak"].max() == measures.kv_peak
    joined = schedule.merge(stages, on=["worker", "stage"], validate="many_to_one")
    np.testing.assert_array_equal(joined["prefill_start_s"], joined["start_s"])
    assert len(joined) == instance.n == stages["requests"].sum()


def test_a_replay_with_evictions_shows_the_last_prefill():
    worker = Worker("w", AffinePrefill(1.0, 0.1), DecodeTime(1.0), kv_capacity=12)
    columns = {"decode_lower": [1] * 4, "decode_upper": [9] * 4}
    instance = Instance("tight", Requests(list("abcd"), [2] * 4, [8, 3, 5, 6], **columns), (worker,))
    outcome = replay(instance, "a-min", lengths="interval")
    assert outcome.evictions
    frame = outcome.to_frame()
    assert (frame["prefill_start_s"] < frame["completion_s"]).all()
    starts = frame.groupby("stage")["prefill_start_s"]
    assert (starts.nunique() == 1).all() and starts.first().is_monotonic_increasing
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(outcome)).to_frame(instance), frame)


def test_a_pickled_result_is_given_its_instance():
    result = result_of(*by_hand())
    again = pickle.loads(pickle.dumps(result))
    assert again.instance is None and str(again) == str(result)
    with pytest.raises(InvalidInputError, match=r"^instance: is not kept .* give it: schedule\(instance\)$"):
        again.schedule()
    pd.testing.assert_frame_equal(again.schedule(result.instance), result.schedule())
    with pytest.raises(InvalidInputError, match=r"give it: plot\(instance\)$"):
        copy.deepcopy(result).plot()


def test_another_instance_is_refused():
    instance, plan = by_hand()
    other = replace(instance, requests=replace(instance.requests, prefill_tokens=np.array([2, 4, 7])))
    for view in (plan.schedule, plan.stages, plan.plot):
        with pytest.raises(InvalidPlanError, match="not a feasible plan: claim: instance_digest"):
            view(other)


@pytest.mark.parametrize("slots", [2, None])
def test_a_chart_has_a_bar_for_each_request(slots):
    instance, plan = by_hand(slots)
    ax = plan.plot(instance)
    assert plan.plot(instance, ax, title="again") is ax and ax.get_title(loc="left") == "again"
    assert ax.get_xlim() == (0, 13) and ax.get_xlabel() == "time (s)"
    decode = ax.collections[0].get_paths()
    spans = [(path.get_extents().x0, path.get_extents().x1) for path in decode]
    assert spans == [(4, 6), (10, 11), (4, 13)]
    matplotlib.pyplot.close(ax.figure)


def test_two_workers_stand_one_above_the_other():
    instance, _ = by_hand()
    both = replace(instance, workers=(instance.workers[0], replace(instance.workers[0], name="v")))
    ax = Plan.of(both, "hand", [[Stage([0, 1], [0, 1], 5)], [Stage([2], [0], 1)]]).plot(both)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["w", "v"]
    matplotlib.pyplot.close(ax.figure)


def test_without_matplotlib_one_line_says_so(monkeypatch):
    instance, plan = by_hand()
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(
        SchedulingError, match=r"^plot: Matplotlib is not installed, pip install 'llmsched-mip\[plot\]'"
    ):
        plan.plot(instance)
