"""The fuzzer itself: the same stream every time, planted defects are found and made small, oracles agree."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from fuzzing import __main__ as fuzz
from fuzzing import case as cases
from fuzzing.case import Case
from fuzzing.change import in_unit, stream
from fuzzing.draw import HUGE, SMALL, TINY, draw
from fuzzing.exact import execute
from fuzzing.parts import PARTS, run_case
from fuzzing.shrink import shrink
from reference_simulator import measures, simulate
from strategies import feasible_plan

from llmsched_mip import bounds
from llmsched_mip.instance import Instance
from llmsched_mip.io.files import read_instance


def test_the_stream_depends_on_seed_and_place_alone():
    assert [draw(7, k).digest for k in (3, 1)] == [draw(7, 3).digest, draw(7, 1).digest]
    assert draw(7, 3).digest != draw(8, 3).digest


def test_the_stream_has_everything():
    drawn = list(stream(1, 300, TINY, SMALL, HUGE))
    workers = [worker for instance in drawn for worker in instance.workers]
    for name in ("slots", "kv_capacity", "prefill_token_cap"):
        limits = [getattr(worker, name) for worker in workers]
        assert None in limits and 2**62 in limits
    assert {worker.prefill_time.kind for worker in workers} == {"affine", "levels"}
    assert {len(instance.workers) for instance in drawn} == {1, 2, 3, 4}
    assert max(instance.requests.arrival_s.min() for instance in drawn) >= 1.7e9
    assert max(instance.requests.prefill_tokens.max() for instance in drawn) == 2**31 - 1
    assert max(instance.requests.decode_tokens.max() for instance in drawn) > 2**25
    bases = [worker.decode_time.base_s for worker in workers if worker.decode_time.base_s > 0]
    assert min(bases) < 1e-7 and max(bases) > 1e5
    wrong = [instance.requests for instance in drawn if instance.requests.decode_lower is not None]
    assert any((r.decode_tokens > r.decode_upper).any() for r in wrong)
    assert any((r.decode_tokens < r.decode_lower).any() for r in wrong)


def test_exact_execution_agrees_with_the_simulator():
    for k, instance in enumerate(stream(2, 60, TINY, SMALL)):
        plan = feasible_plan(instance, k)
        executed, found = execute(instance, plan), measures(instance, simulate(instance, plan))
        assert not executed.broken
        for name in ("makespan", "total_completion"):
            assert math.isclose(executed.objective(instance, name), found[name], rel_tol=1e-12)


def test_exact_execution_names_what_a_plan_breaks():
    instance = next(found for found in stream(3, 50, SMALL) if found.workers[0].slots is not None)
    plan = feasible_plan(instance, 1)
    first = next(worker_plan for worker_plan in plan.workers if len(worker_plan))
    shorter = replace(first, rounds=first.rounds - (first.rounds > 0))
    broken = replace(
        plan, workers=tuple(shorter if worker_plan is first else worker_plan for worker_plan in plan.workers)
    )
    assert execute(instance, broken).broken
    held = replace(instance, workers=tuple(replace(worker, kv_capacity=None, slots=1) for worker in instance.workers))
    assert execute(held, plan).broken


@pytest.mark.parametrize("k", [0, 3])
def test_an_instance_through_all_parts(k, tmp_path):
    case = Case(draw(1, k), tmp_path)
    run_case(case, PARTS)
    assert not case.findings
    assert {"bound above optimum", "feasible", "value", "claims", "measures", "round trip"} <= set(case.checks)


def test_a_false_bound_is_found_and_made_small(tmp_path, monkeypatch, capsys):
    """A bound that is right but for a thousandth, and only where there are at least two requests."""
    right = bounds.BOUNDS["alone"]

    def wrong(instance: Instance, objective: str, **limits):
        bound = right(instance, objective, **limits)
        high = cases.optimum(instance, objective) * 1.001
        return replace(bound, value=high) if instance.n >= 2 and high > 0 else bound

    monkeypatch.setitem(bounds.BOUNDS, "alone", wrong)
    monkeypatch.setattr(fuzz, "PARTS", ("bound:alone", "page"))
    k = next(int(found.name.split()[2]) for found in stream(1, 100, TINY) if found.n == 5)
    assert fuzz.main(["--seed", "1", "--only", str(k), "--out", str(tmp_path)]) == 1
    assert "bound above optimum [bound:alone]" in capsys.readouterr().out
    (path,) = tmp_path.glob("*.json")
    small = read_instance(path)
    assert small.n == 2 and len(small.workers) == 1
    assert small.requests.decode_tokens.tolist() == small.requests.prefill_tokens.tolist() == [1, 1]


def test_nothing_found_ends_with_0(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fuzz, "PARTS", ("bound:area", "files", "page"))
    assert fuzz.main(["--seed", "1", "--only", "0", "--out", str(tmp_path)]) == 0
    assert "1 instances (0 refused)" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_shrinking_keeps_what_fails():
    instance = next(found for found in stream(4, 50, SMALL) if found.requests.decode_tokens.max() >= 30)
    small = shrink(instance, lambda found: found.requests.decode_tokens.max() >= 30, lambda: True)
    assert small.n == 1 and small.requests.decode_tokens.tolist() == [30]
    assert small.workers[0].slots is small.workers[0].kv_capacity is None


def test_another_unit_is_exact():
    instance = next(found for found in stream(5, 50, TINY) if not found.requests.arrival_s.any())
    other = in_unit(instance, 2.0**-30)
    assert in_unit(other, 2.0**30).digest == instance.digest != other.digest
    plan = feasible_plan(instance, 0)
    plan = replace(plan, workers=tuple(replace(worker_plan, not_before_s=None) for worker_plan in plan.workers))
    values = [execute(found, plan).objective(found, "makespan") for found in (instance, other)]
    assert values[0] == values[1] * 2**30
