"""`evaluate` reports a violation for whatever is not finite or not of its type in a plan, and never fails."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.evaluation import evaluate
from llmsched_mip.plan import Claims, Duals, Plan, Stage, WorkerPlan

INSTANCE = Instance(
    "typed",
    Requests(["a", "b", "c"], [3, 5, 2], [4, 2, 6], arrival_s=[0.0, 1.0, 0.5]),
    (
        Worker("v", AffinePrefill(0.1, 0.01), DecodeTime(0.1), slots=2, kv_capacity=40),
        Worker("w", AffinePrefill(0.1, 0.01), DecodeTime(0.1)),
    ),
)
GOOD = Plan.of(INSTANCE, "hand", [[Stage([0, 1], [0, 1], 4, 0.5)], [Stage([2], None, 6)]])
COLUMNS = ("requests", "offsets", "rounds", "slots", "not_before_s")
ANYTHING = [
    None, "x", 3, 1.5, math.nan, math.inf, -math.inf, True, [], [1], {}, (), object(), b"x", 1j, 10**400,
    np.array(3), np.zeros((2, 2)), np.array([math.nan]), np.array(["x"]), np.array([None]), np.array([True]),
    np.float64("nan"), np.int8(3), np.array([2**63], dtype=np.uint64),
]  # fmt: skip


def changed(column: str, values: Any) -> Plan:
    first = replace(GOOD.workers[0], **{column: values})
    return replace(GOOD, workers=(first, GOOD.workers[1]))


def test_the_plan_itself_is_good() -> None:
    assert evaluate(INSTANCE, GOOD).violations == []
    small = replace(
        GOOD.workers[0],
        requests=GOOD.workers[0].requests.astype(np.uint8),
        rounds=GOOD.workers[0].rounds.astype(np.int16),
    )
    assert evaluate(INSTANCE, replace(GOOD, workers=(small, GOOD.workers[1]))).violations == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_not_before_that_is_no_time(value: float) -> None:
    evaluation = evaluate(INSTANCE, changed("not_before_s", np.array([value])))
    assert any("not_before_s of stage 0" in str(violation) for violation in evaluation.violations)


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        ("rounds", np.array([math.nan]), "rounds is an array of float64"),
        ("rounds", np.array([4.0]), "rounds is an array of float64"),
        ("rounds", np.array([2**62]), "too many rounds"),
        ("rounds", np.array([[4]]), "shape (1, 1)"),
        ("requests", [0, 1], "requests is list"),
        ("requests", np.array([True, False]), "requests is an array of bool"),
        ("slots", np.array([0]), "1 slots for 2 requests"),
        ("slots", np.array([0, 2**63], dtype=np.uint64), "slots has a number outside"),
        ("offsets", np.array([0, 3]), "offsets do not rise"),
        ("offsets", np.array([-1, 2]), "offsets do not rise"),
        ("offsets", np.array([0, 1, 2]), "3 offsets for 1 stages"),
        ("not_before_s", np.array([0.0, 1.0]), "2 values of not_before_s for 1 stages"),
        ("unknown", [], "unknown is list"),
        ("name", 3, "workers[0].name is int"),
    ],
)
def test_columns(column: str, values: Any, text: str) -> None:
    violations = evaluate(INSTANCE, changed(column, values)).violations
    assert any(text in str(violation) for violation in violations), violations


def with_field(name: str, value: Any) -> Plan:
    """The good plan with another value in a field of it or of its claims."""
    of_claims = name in [field.name for field in fields(Claims)]
    return replace(GOOD, **({"claims": replace(GOOD.claims, **{name: value})} if of_claims else {name: value}))


@pytest.mark.parametrize("name", [field.name for part in (Plan, Claims) for field in fields(part)])
@pytest.mark.parametrize("value", ANYTHING, ids=lambda value: type(value).__name__)
def test_any_field_may_hold_anything(name: str, value: Any) -> None:
    evaluation = evaluate(INSTANCE, with_field(name, value))
    expected = (
        (value is None and name in ("value", "bound", "gap", "stochastic"))
        or (isinstance(value, str) and name == "method")
        or (isinstance(value, dict) and name in ("bounds", "duals"))
        or (name == "seconds" and is_number(value))
    )
    assert evaluation.feasible == expected


def is_number(value: Any) -> bool:
    return type(value) in (int, float, np.int8) and bool(abs(value) < 1e300)


@pytest.mark.parametrize(
    "value", [*ANYTHING, (-1.0, 0.0), Duals(-1.0, 0.0), Duals(0.0, math.nan)], ids=lambda value: type(value).__name__
)
def test_duals_are_two_finite_prices(value: Any) -> None:
    violations = evaluate(INSTANCE, with_field("duals", {"v": value})).violations
    assert [violation.kind for violation in violations] == ["claim"]
    assert evaluate(INSTANCE, with_field("duals", {"v": Duals(0.5, 0.0)})).feasible


@pytest.mark.parametrize("value", ANYTHING, ids=lambda value: type(value).__name__)
def test_bounds_are_finite(value: Any) -> None:
    """A bound without a total is refused too: none of these plans is good."""
    assert is_number(value) or not evaluate(INSTANCE, with_field("bounds", {"own": value})).feasible


def test_a_request_that_stands_very_often_is_a_violation() -> None:
    long = Instance("long", Requests(["a"], [2**31 - 1], [4_000_000]), (INSTANCE.workers[1],))
    stages = [Stage([0, 0, 0], None, 1)]
    assert not evaluate(long, Plan.of(long, "hand", [stages])).feasible


DTYPES = (np.int64, np.int8, np.uint64, np.float64, np.float32, np.bool_, object, "U3", np.complex128)


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(ANYTHING))
    values = draw(st.lists(st.integers(-3, 7) | st.sampled_from([2**31, 2**53, 2**62, -(2**62)]), max_size=5))
    if draw(st.booleans()):
        return np.array(values, dtype=np.int64)
    with np.errstate(all="ignore"):
        array = np.array(values, dtype=np.int64).astype(draw(st.sampled_from(DTYPES)))
    if array.dtype.kind == "f" and len(array) and draw(st.booleans()):
        array[draw(st.integers(0, len(array) - 1))] = draw(st.sampled_from([math.nan, math.inf, -math.inf]))
    return array.reshape(1, -1) if draw(st.integers(0, 9)) == 0 else array


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_evaluate_never_fails(data: st.DataObject) -> None:
    parts = []
    for name in data.draw(st.lists(st.sampled_from(["v", "w", "x"]), max_size=3)):
        base = GOOD.workers[0] if name == "v" else GOOD.workers[1]
        columns = {c: data.draw(arrays()) for c in COLUMNS if data.draw(st.booleans())}
        parts.append(replace(base, name=name, **columns))
    plan = replace(GOOD, workers=tuple(parts))
    evaluation = evaluate(INSTANCE, plan)
    if evaluation.feasible:
        assert math.isfinite(evaluation.measures.makespan) and math.isfinite(evaluation.measures.total_completion)
        assert all(
            isinstance(worker_plan, WorkerPlan) and worker_plan.requests.dtype.kind in "iu"
            for worker_plan in plan.workers
        )
