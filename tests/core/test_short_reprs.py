"""What prints in a notebook or a debugger is one short line, however large the thing; tables are escaped."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from llmsched_mip import (
    Cost,
    DecodeTime,
    Instance,
    LevelPrefill,
    Requests,
    Result,
    Worker,
    bound,
    bounds,
    evaluate,
    replay,
)
from llmsched_mip.evaluation import worker_usage

COUNT = 100_000


def made():
    levels = LevelPrefill(tuple(range(100, 40_000, 100)), tuple(np.arange(1, 400) / 7))
    worker = Worker("<w> & 'w'", levels, DecodeTime(0.1), slots=200, cost=Cost(2.5, 60, 300))
    lengths = np.arange(COUNT) % 90 + 1
    columns = {"arrival_s": lengths / 3, "decode_lower": lengths, "decode_upper": lengths, "weight": lengths / 9}
    instance = Instance("large", Requests([f"r{i}" for i in range(COUNT)], lengths, lengths, **columns), (worker,))
    outcome = replay(instance, "fcfs")
    plan = outcome.to_plan(instance)
    evaluation = evaluate(instance, plan)
    plan = plan.with_claims(evaluation.measures.makespan, {"alone": 1.0}, 2.0)
    result = Result(plan, evaluation.measures, instance=instance)
    [usage] = worker_usage(instance, plan)
    proven = next(iter(bound(instance, names=["alone"]).values()))
    stage = plan.workers[0].stage(0)
    things = [instance, instance.requests, worker, levels, outcome, plan, plan.claims, plan.workers[0], stage]
    return [*things, evaluation, evaluation.schedule, evaluation.measures, result, usage, proven, bounds.BOUNDS]


@pytest.fixture(scope="module")
def things():
    return made()


def test_reprs_are_one_line(things):
    for thing in things:
        text = repr(thing)
        assert text.startswith(type(thing).__name__) and "\n" not in text and len(text) < 240, text
    assert repr(things[0]) == "Instance('large', 100000 requests, 1 worker, makespan)"


def test_tables_for_notebooks_are_well_formed(things):
    shown = [thing for thing in things if hasattr(thing, "_repr_html_")]
    assert [type(thing).__name__ for thing in shown] == ["Instance", "Worker", "Plan", "Result"]
    for thing in shown:
        html = thing._repr_html_()
        assert len(html) < 4000
        assert len(ElementTree.fromstring(html).findall("tbody/tr")) >= 6
