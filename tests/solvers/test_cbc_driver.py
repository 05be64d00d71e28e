"""CBC through PuLP against HiGHS, and what it says about proofs."""

from __future__ import annotations

import math

import numpy as np
import pulp
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from llmsched_mip.budget import Budget
from llmsched_mip.errors import SchedulingError
from llmsched_mip.models import mmbpp
from llmsched_mip.solvers import ArrayModel, Status, solve_arrays, solve_with_cbc


@st.composite
def small_models(draw: st.DrawFn) -> ArrayModel:
    """Random mixed models with equations, ranges, one-sided rows, an offset, and both senses."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    number = st.integers(-5, 5)
    matrix = np.array(draw(st.lists(number, min_size=rows * columns, max_size=rows * columns))).reshape(rows, columns)
    low = np.array(draw(st.lists(st.integers(-8, 4), min_size=rows, max_size=rows)), dtype=float)
    width = np.array(draw(st.lists(st.integers(0, 9), min_size=rows, max_size=rows)), dtype=float)
    side = draw(st.lists(st.sampled_from("blu"), min_size=rows, max_size=rows))
    return ArrayModel(
        np.array(draw(st.lists(number, min_size=columns, max_size=columns)), dtype=float),
        sparse.csc_array(matrix.astype(float)),
        np.array([-math.inf if s == "u" else v for s, v in zip(side, low, strict=True)]),
        np.array([math.inf if s == "l" else v for s, v in zip(side, low + width, strict=True)]),
        np.full(columns, float(draw(st.integers(-4, 0)))),
        np.full(columns, float(draw(st.integers(0, 6)))),
        np.array(draw(st.lists(st.booleans(), min_size=columns, max_size=columns))),
        float(draw(number)),
        draw(st.booleans()),
    )


@settings(max_examples=60, deadline=None)
@given(small_models())
def test_highs_and_cbc_agree(model: ArrayModel) -> None:
    ours, second = solve_arrays(model, threads=1), solve_with_cbc(model)
    assert ours.status is second.status
    assert ours.status in (Status.OPTIMAL, Status.INFEASIBLE)
    if ours.value is not None:
        assert ours.value == pytest.approx(second.value, abs=1e-5)
        assert ours.bound == pytest.approx(ours.value, abs=1e-5)
        x = ours.x
        assert ours.value == pytest.approx(model.cost @ x + model.offset, abs=1e-5)


def test_a_time_limit_with_an_incumbent_is_not_a_proof() -> None:
    lengths = np.random.default_rng(3).integers(300, 900, 90)
    result = solve_with_cbc(mmbpp.build_packing(lengths, 28), budget=Budget(4))
    assert result.message.startswith("Optimal")
    assert result.status is Status.TIME_LIMIT_INCUMBENT
    assert result.bound == -math.inf


def test_a_time_limit_without_an_incumbent_does_not_raise() -> None:
    lengths = np.random.default_rng(3).integers(300, 900, 300)
    result = solve_with_cbc(mmbpp.build_packing(lengths, 100), budget=Budget(0.01))
    assert result.status in (Status.TIME_LIMIT_NO_INCUMBENT, Status.TIME_LIMIT_INCUMBENT)
    assert (result.value is None) == (result.status is Status.TIME_LIMIT_NO_INCUMBENT)


def test_a_gap_stop_is_not_called_optimal() -> None:
    result = solve_with_cbc(mmbpp.build_packing(np.array([7, 6, 5, 5, 4, 3]), 2), mip_rel_gap=0.3)
    assert result.status is Status.GAP_LIMIT


def test_unbounded() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(domain=pyo.NonNegativeIntegers)
    model.objective = pyo.Objective(expr=model.x, sense=pyo.maximize)
    model.c = pyo.Constraint(expr=model.x >= 1)
    assert solve_with_cbc(model).status is Status.UNBOUNDED


def test_without_cbc_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulp.PULP_CBC_CMD, "available", lambda self: False)
    with pytest.raises(SchedulingError, match="CBC is not available") as caught:
        solve_with_cbc(mmbpp.build_packing(np.array([3, 2]), 2))
    assert "\n" not in str(caught.value)
