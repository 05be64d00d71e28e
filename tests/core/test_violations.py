"""Every kind of violation, provoked one at a time, and nothing else reported beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmsched_mip import (
    AffinePrefill,
    DecodeTime,
    Instance,
    LevelPrefill,
    Plan,
    Requests,
    Stage,
    Worker,
    evaluate,
)

UNIT = DecodeTime(1.0)
AFFINE = AffinePrefill(1.0, 0.0)


def instance(prefill=(2, 2, 2), decode=(3, 3, 3), workers=None, **options) -> Instance:
    ids = [f"r{i}" for i in range(len(prefill))]
    return Instance("case", Requests(ids, prefill, decode), workers or (Worker("w0", AFFINE, UNIT, **options),))


def violations(case: Instance, *stages: Stage) -> list[str]:
    return [str(v) for v in evaluate(case, Plan.of(case, "test", [list(stages)])).violations]


def test_a_feasible_plan_has_none():
    assert violations(instance(slots=2), Stage([0, 1], [0, 1], 3), Stage([2], [1], 3)) == []


@pytest.mark.parametrize(
    ("case", "stages", "expected"),
    [
        (
            instance(slots=2),
            [Stage([0, 1, 2], [0, 1, 2], 3)],
            [
                "slots: worker 'w0', stage 0: 3 requests active, 2 slots",
                "slots: worker 'w0', stage 0: request 'r2' in slot 2, expected 0..1",
            ],
        ),
        (
            instance(slots=3),
            [Stage([0, 1, 2], [0, 1, -1], 3)],
            ["slots: worker 'w0', stage 0: request 'r2' in slot -1, expected 0..2"],
        ),
        (
            instance(slots=3),
            [Stage([0, 1, 2], None, 3)],
            ["slots: worker 'w0', stage 0: no slots given, the worker has 3"],
        ),
        (
            instance(),
            [Stage([0], None, 3), Stage([1, 2], [0, 1], 3)],
            [
                "slots: worker 'w0', stage 1: slots given for a worker that has no slot limit, expected null",
            ],
        ),
        (
            instance(decode=(9, 1, 3), slots=3),
            [Stage([0], [0], 1), Stage([1], [0], 2), Stage([2], [0], 6)],
            [
                "slots: worker 'w0', stage 1: request 'r1' enters slot 0 while 'r0' holds it",
                "slots: worker 'w0', stage 2: request 'r2' enters slot 0 while 'r0' holds it",
            ],
        ),
        (
            instance(kv_capacity=14),
            [Stage([0, 1, 2], None, 3)],
            ["kv: worker 'w0', stage 0: KV use reaches 15 tokens, capacity 14"],
        ),
        (
            instance(prefill=(2, 8, 2), decode=(3, 1, 3), kv_capacity=12),
            [Stage([0, 2], None, 1), Stage([1], None, 0), Stage([], None, 2)],
            [
                "request: worker 'w0', stage 2: no requests; a prefill iteration needs at least one",
                "kv: worker 'w0', stage 1: KV use reaches 14 tokens, capacity 12",
                "kv: worker 'w0', stage 2: KV use reaches 17 tokens, capacity 12",
            ],
        ),
        (
            instance(prefill_token_cap=5),
            [Stage([0, 1, 2], None, 3)],
            ["prefill: worker 'w0', stage 0: prefills 6 tokens in one iteration, at most 5 allowed"],
        ),
        (
            instance(workers=(Worker("w0", LevelPrefill((2, 4), (1.0, 2.0)), UNIT),)),
            [Stage([0, 1, 2], None, 3)],
            ["prefill: worker 'w0', stage 0: prefills 6 tokens in one iteration, at most 4 allowed"],
        ),
        (
            instance(),
            [Stage([0, 1], None, 3), Stage([2], None, 2)],
            ["incomplete: worker 'w0', stage 1: request 'r2' makes 2 of 3 tokens"],
        ),
        (
            instance(),
            [Stage([0, 1], None, 5), Stage([2], None, 4)],
            [
                "rounds: worker 'w0', stage 0: 2 decode rounds with no active request",
                "rounds: worker 'w0', stage 1: 1 decode rounds with no active request",
            ],
        ),
        (
            instance(),
            [Stage([0, 1], None, -2), Stage([2], None, 3)],
            ["rounds: worker 'w0', stage 0: rounds -2, expected ≥ 0"],
        ),
        (
            instance(),
            [Stage([0, 1], None, 3), Stage([2, 0], None, 3)],
            ["request: request 'r0' appears 2 times, expected once"],
        ),
        (instance(), [Stage([0, 1], None, 3)], ["request: request 'r2' appears 0 times, expected once"]),
        (
            instance(),
            [Stage([0, 1, 2, 7], None, 3)],
            ["request: worker 'w0', stage 0: request '7' is not in the instance"],
        ),
    ],
)
def test_each_rule(case, stages, expected):
    assert violations(case, *stages) == expected


def test_worker_names():
    case = instance()
    plan = Plan.of(case, "test", [[Stage([0, 1, 2], None, 3)]])
    stranger = replace(plan, workers=(replace(plan.workers[0], name="other"),))
    messages = [str(v) for v in evaluate(case, stranger).violations]
    assert messages[0] == "worker: worker 'other' is not in the instance"
    twice = replace(plan, workers=plan.workers * 2)
    messages = [str(v) for v in evaluate(case, twice).violations]
    assert messages[0] == "worker: worker 'w0' stands twice in the plan"


def claim_messages(case: Instance, plan: Plan) -> list[str]:
    return [v.message for v in evaluate(case, plan).violations]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"instance": "x"}, ["instance is 'x', expected 'case'"]),
        ({"status": "best"}, ["status is 'best', expected one of optimal, feasible"]),
        ({"objective": "sum"}, ["objective is 'sum', expected one of makespan, total_completion"]),
        (
            {"value": 4.5, "gap": 1.5 / 4.5},
            ["value is 4.5, the stages give makespan 4.0"],
        ),
        ({"gap": 0.3}, ["gap is 0.3, (value - bound) / value is 0.25"]),
        ({"gap": None}, ["gap is None, (value - bound) / value is 0.25"]),
        ({"status": "optimal"}, ["status is optimal at a gap of 0.25"]),
        ({"value": None, "status": "optimal"}, ["status is optimal at a gap of 0.25"]),
        ({"bound": 2.0, "gap": 0.5}, ["bound is 2.0, the largest of bounds is 3.0"]),
        (
            {"bound": 5.0, "gap": -0.25, "bounds": {"area": 5.0}},
            [
                "bound area of 5.0 lies above the value 4.0 of the plan itself",
                "bound 5.0 lies above the value 4.0 of the plan itself",
            ],
        ),
        ({"bound": None, "gap": None, "status": "optimal"}, ["status is optimal without a bound"]),
        ({"bound": None}, ["gap given without a bound"]),
        ({"value": None, "bound": None, "gap": None, "bounds": {}}, []),
    ],
)
def test_each_claim(change, expected):
    case = instance()
    plan = Plan.of(case, "test", [[Stage([0, 1, 2], None, 3)]]).with_claims(4.0, {"area": 3.0}, 0.1)
    assert plan.claims.gap == 0.25
    of_plan = {name: change[name] for name in ("instance", "objective") if name in change}
    of_claims = {name: value for name, value in change.items() if name not in of_plan}
    changed = replace(plan, claims=replace(plan.claims, **of_claims), **of_plan)
    assert claim_messages(case, changed) == expected


def test_a_raised_bound_of_a_closed_plan_is_refuted():
    case = instance()
    plan = Plan.of(case, "test", [[Stage([0, 1, 2], None, 3)]]).with_claims(4.0, {"area": 4.0}, 0.1)
    assert plan.claims.status == "optimal"
    assert claim_messages(case, plan) == []
    assert claim_messages(case, replace(plan, claims=replace(plan.claims, bounds={"area": 4.5}))) != []


def test_digest_of_another_instance():
    case, other = instance(), instance(decode=(3, 3, 4))
    plan = Plan.of(case, "test", [[Stage([0, 1, 2], None, 3)]])
    message = claim_messages(case, replace(plan, instance_digest=other.digest))
    assert message == [f"instance_digest is {other.digest}, the instance has {case.digest}"]


def test_plan_without_stages_reports_every_request():
    case = instance()
    evaluation = evaluate(case, Plan.of(case, "test", [[]]))
    assert [v.request for v in evaluation.violations] == ["r0", "r1", "r2"]
    assert np.isnan(evaluation.measures.makespan)
    assert evaluation.measures.as_dict()["makespan"] is None
