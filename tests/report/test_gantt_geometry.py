"""Gantt charts against schedules computed by hand, and the SVG file."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from strategies import instances

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Plan, Requests, Stage, Worker, evaluate, write_instance
from llmsched_mip.errors import InvalidPlanError
from llmsched_mip.evaluation import worker_usage
from llmsched_mip.execution import replay
from llmsched_mip.report.gantt import gantt_document
from llmsched_mip.report.gantt_svg import gantt_svg, ticks

HOSTILE = "<script>alert(1)</script>\"'&]]>\x01"


def by_hand():
    """Two slots; prefill 1 s + 0.5 s a token, a round 1 s: a and b together, c when a is done."""
    worker = Worker("w", AffinePrefill(1.0, 0.5), DecodeTime(1.0), slots=2, kv_capacity=50)
    instance = Instance("tiny", Requests(["a", "b", "c"], [2, 4, 6], [2, 5, 1]), (worker,))
    return instance, Plan.of(instance, "hand", [[Stage([0, 1], [0, 1], 2), Stage([2], [0], 3)]])


def test_bars_and_runs_by_hand():
    worker = gantt_document(*by_hand())["workers"][0]
    bars, runs = worker["bars"], worker["runs"]
    # Prefill of 6 tokens: 4 s. Two rounds to 6 s. Prefill of 6 tokens to 10 s. c ends at 11 s, b at 13 s.
    assert bars["id"] == ["a", "c", "b"] and bars["lane"] == [0, 0, 1]
    assert bars["prefill"] == [0, 6, 0] and bars["decode"] == [4, 10, 4] and bars["end"] == [6, 11, 13]
    assert runs["start"] == [0, 4, 6, 10, 11] and runs["end"] == [4, 6, 10, 11, 13]
    assert runs["prefill"] == [1, 0, 1, 0, 0] and runs["tokens"] == [6, 0, 6, 0, 0]
    assert runs["held"] == [2, 2, 2, 2, 1]
    # KV: 6 prefilled; 8 and 10 in the rounds; b's 6 and c's 6 in the prefill; 7 + 7; then b alone with 8 and 9.
    assert runs["kv_first"] == [6, 8, 12, 14, 8] and runs["kv_last"] == [6, 10, 12, 14, 9]
    assert worker["lanes"] == 2 and worker["kv_capacity"] == 50


def test_lanes_of_a_worker_without_slots_never_overlap():
    worker = Worker("w", AffinePrefill(1.0, 0.5), DecodeTime(1.0))
    instance = Instance("free", Requests(["a", "b", "c"], [2, 4, 6], [2, 5, 1]), (worker,))
    plan = Plan.of(instance, "hand", [[Stage([0, 1], None, 2), Stage([2], None, 3)]])
    worker = gantt_document(instance, plan)["workers"][0]
    assert worker["lanes"] == 2 and dict(zip(worker["bars"]["id"], worker["bars"]["lane"], strict=True))["c"] == 0


def test_a_plan_that_breaks_the_model_is_not_drawn():
    instance, _ = by_hand()
    broken = Plan.of(instance, "hand", [[Stage([0, 1], [0, 0], 5), Stage([2], [0], 1)]])
    with pytest.raises(InvalidPlanError, match="not a feasible plan"):
        gantt_document(instance, broken)


@given(instances())
def test_usage_agrees_with_the_schedule_of_every_plan(instance):
    plan = replay(instance, "fcfs").to_plan(instance)
    evaluation = evaluate(instance, plan)
    usage = worker_usage(instance, plan)
    assert sum(int(part.prefill.sum()) for part in usage) == evaluation.measures.prefill_iterations
    assert sum(int(part.rounds.sum()) for part in usage) == evaluation.measures.decode_rounds
    assert max(int(part.kv_last.max()) for part in usage) == evaluation.measures.kv_peak
    assert max(part.end_s[-1] for part in usage) == pytest.approx(evaluation.measures.makespan)
    for part in usage:
        scale = 1e-9 * (1 + part.end_s[-1])
        assert (part.end_s >= part.start_s - scale).all() and (part.start_s[1:] >= part.end_s[:-1] - scale).all()
        w = [worker.name for worker in instance.workers].index(part.name)
        middle = (part.start_s + part.end_s)[~part.prefill & (part.end_s > part.start_s + scale)] / 2
        mine = evaluation.schedule.worker == w
        start, end = evaluation.schedule.decode_start_s[mine], evaluation.schedule.completion_s[mine]
        active = ((start <= middle[:, None]) & (middle[:, None] < end)).sum(axis=1)
        held = part.held[~part.prefill & (part.end_s > part.start_s + scale)]
        np.testing.assert_array_equal(active, held)
    for worker in gantt_document(instance, plan)["workers"]:
        lane, begin, end = (np.array(worker["bars"][key]) for key in ("lane", "prefill", "end"))
        same = lane[1:] == lane[:-1]
        assert (begin[1:][same] >= end[:-1][same]).all()


def test_the_picture_is_well_formed_and_harmless():
    instance, _ = by_hand()
    named = Instance(HOSTILE, Requests([HOSTILE, "b", "c"], [2, 4, 6], [2, 5, 1]), instance.workers)
    text = gantt_svg(gantt_document(named, Plan.of(named, HOSTILE, [[Stage([0, 1], [0, 1], 2), Stage([2], [0], 3)]])))
    tree = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert tree.find(f".//{space}script") is None
    titles = [node.text for node in tree.iter(f"{space}title")]
    assert any(title.startswith("<script>alert(1)</script>\"'&]]>:") for title in titles)
    assert len([node for node in tree.iter(f"{space}rect") if node.find(f"{space}title") is not None]) == 3


def test_the_command_writes_both_pictures(tmp_path, monkeypatch, capsys):
    from llmsched_mip import write_plan
    from llmsched_mip.cli import main

    instance, plan = by_hand()
    write_instance(instance, tmp_path / "tiny.json")
    write_plan(plan, instance, tmp_path / "plan.json")
    for name in ("g.svg", "g.html"):
        assert main(["gantt", str(tmp_path / "plan.json"), "-o", str(tmp_path / name)]) == 0
    capsys.readouterr()
    assert (tmp_path / "g.svg").read_text().startswith("<svg")
    page = (tmp_path / "g.html").read_text()
    assert "Plotly" not in page and len(page) < 200_000
    data = page.split('id="data">')[1].split("</script>")[0]
    assert json.loads(data)["schedules"][0]["makespan"] == 13.0


@pytest.mark.parametrize("low, high", [(0, 1), (0, 180), (17.2, 17.9), (0, 1e-4), (5, 5)])
def test_ticks_are_round_and_inside(low, high):
    found = ticks(low, high, 10)
    assert 1 <= len(found) <= 11
    assert all(low - 1e-9 <= tick <= high * (1 + 1e-9) for tick in found)
