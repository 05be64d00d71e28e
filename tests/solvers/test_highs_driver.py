"""Every status of the HiGHS driver, each really provoked, and what comes back through it."""

from __future__ import annotations

import math
import os
import signal
import threading
from itertools import count

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy import sparse

from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.models import mmbpp
from llmsched_mip.solvers import ArrayModel, Status, TracePoint, solve, solve_arrays, standard_form


def knapsack_pyomo(sense: int = pyo.maximize) -> pyo.ConcreteModel:
    """Max 5a + 4b + 3c + 7 with 2a + 3b + c <= 5, 4a + b + 2c <= 11, binary-like a <= 1: best is 12 + 7."""
    model = pyo.ConcreteModel()
    model.a = pyo.Var(domain=pyo.Binary)
    model.b = pyo.Var(domain=pyo.NonNegativeIntegers)
    model.c = pyo.Var(bounds=(0, 10))
    sign = 1 if sense == pyo.maximize else -1
    model.first = pyo.Constraint(expr=2 * model.a + 3 * model.b + model.c <= 5)
    model.second = pyo.Constraint(expr=4 * model.a + model.b + 2 * model.c <= 11)
    model.objective = pyo.Objective(expr=sign * (5 * model.a + 4 * model.b + 3 * model.c + 7), sense=sense)
    return model


def hard_model(n: int = 120, bins: int = 40) -> pyo.ConcreteModel:
    """An assignment model that HiGHS does not prove in the time of a test."""
    lengths = np.random.default_rng(3).integers(300, 900, n)
    return mmbpp.build_packing(lengths, bins)


@pytest.mark.parametrize("sense", [pyo.maximize, pyo.minimize])
def test_both_senses_and_the_objective_constant(sense: int) -> None:
    # a = 1: c <= min(3 - 3b, (7 - b) / 2), so b = 0 and c = 3: 5 + 9 + 7 = 21.  a = 0: b = 0, c = 5: 15 + 7.
    model = knapsack_pyomo(sense)
    result = solve(model)
    sign = 1 if sense == pyo.maximize else -1
    assert result.status is Status.OPTIMAL
    assert result.value == pytest.approx(22 * sign)
    assert result.bound == pytest.approx(22 * sign)
    assert (model.a.value, model.b.value, model.c.value) == (0, 0, pytest.approx(5))
    assert isinstance(model.b.value, int)


def test_load_can_be_left_out() -> None:
    model = knapsack_pyomo()
    result = solve(model, load=False)
    assert model.a.value is None
    result.load()
    assert model.c.value == pytest.approx(5)


def test_equations_and_ranges_and_their_duals() -> None:
    model = pyo.ConcreteModel()
    model.x, model.y = pyo.Var(bounds=(0, None)), pyo.Var(bounds=(0, None))
    model.total = pyo.Constraint(expr=model.x + model.y == 10)
    model.range = pyo.Constraint(expr=pyo.inequality(-2, model.x - model.y, 4))
    model.objective = pyo.Objective(expr=model.x + 3 * model.y)
    result = solve(model)
    # x - y = 4 binds from above: x = 7, y = 3; x + 3y = 2 total - range, so the duals are 2 and -1.
    assert result.value == pytest.approx(16)
    assert len(standard_form(model).rows) == 2
    assert result.duals[model.total] == pytest.approx(2)
    assert result.duals[model.range] == pytest.approx(-1)
    model.objective.sense = pyo.maximize
    result = solve(model)
    # Now x - y = -2 binds from below: x = 4, y = 6.
    assert result.value == pytest.approx(22)
    assert result.duals[model.range] == pytest.approx(-1)


def test_duals_are_derivatives_when_maximising() -> None:
    def best(limit: float) -> float:
        return solve_arrays(lp(limit)).value or math.nan

    def lp(limit: float) -> ArrayModel:
        matrix = sparse.csc_array(np.array([[1.0, 2.0], [3.0, 1.0]]))
        free = np.full(2, -math.inf)
        return ArrayModel(
            np.array([2.0, 3.0]),
            matrix,
            free,
            np.array([limit, 15.0]),
            np.zeros(2),
            np.full(2, math.inf),
            np.zeros(2, dtype=bool),
            maximise=True,
        )

    result = solve_arrays(lp(10.0))
    assert result.row_duals is not None
    assert result.row_duals[0] == pytest.approx(best(10.5) - best(9.5))


def test_a_model_without_an_objective_and_without_rows() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(2, 5), domain=pyo.Integers)
    model.c = pyo.Constraint(expr=model.x >= 3)
    assert solve(model).status is Status.OPTIMAL
    assert model.x.value >= 3
    bare = pyo.ConcreteModel()
    bare.x = pyo.Var(bounds=(2, 5))
    bare.objective = pyo.Objective(expr=bare.x)
    assert solve(bare).value == pytest.approx(2)


def test_fixed_variables_keep_their_value() -> None:
    model = knapsack_pyomo()
    model.a.fix(1)
    assert solve(model).value == pytest.approx(21)
    assert model.a.value == 1


@pytest.mark.parametrize("integer", [False, True])
def test_infeasible(integer: bool) -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 10), domain=pyo.Integers if integer else pyo.Reals)
    model.y = pyo.Var(bounds=(0, 10))
    model.low = pyo.Constraint(expr=model.x + model.y >= 9)
    model.high = pyo.Constraint(expr=2 * model.x + 2 * model.y <= 17)
    model.objective = pyo.Objective(expr=model.x)
    result = solve(model)
    assert result.status is Status.INFEASIBLE
    assert (result.value, result.bound) == (None, math.inf)
    assert model.x.value is None


def test_a_constant_constraint_that_cannot_hold() -> None:
    model = knapsack_pyomo()
    model.a.fix(1)
    model.never = pyo.Constraint(expr=model.a <= 0)
    assert solve(model).status is Status.INFEASIBLE


@pytest.mark.parametrize("integer", [False, True])
def test_unbounded(integer: bool) -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(domain=pyo.NonNegativeIntegers if integer else pyo.NonNegativeReals)
    model.y = pyo.Var(bounds=(0, None))
    model.c = pyo.Constraint(expr=model.x - model.y <= 3)
    model.objective = pyo.Objective(expr=model.x + model.y, sense=pyo.maximize)
    result = solve(model)
    assert result.status is Status.UNBOUNDED
    assert (result.value, result.bound) == (None, math.inf)


def test_a_gap_stop_is_not_called_optimal() -> None:
    model = hard_model(60, 17)
    result = solve(model, mip_rel_gap=0.5, budget=Budget(60), threads=1)
    assert result.message == "Optimal"
    assert result.status is Status.GAP_LIMIT
    assert result.value is not None and result.bound < result.value
    assert 0 < result.gap <= 0.5


def test_time_limit_without_an_incumbent() -> None:
    model = hard_model(400, 130)
    result = solve(model, budget=Budget(0.0))
    assert result.status is Status.TIME_LIMIT_NO_INCUMBENT
    assert result.value is None and result.x is None and result.gap == math.inf
    assert model.T.value is None


def test_time_limit_inside_the_solver_without_an_incumbent() -> None:
    form = standard_form(hard_model(400, 130))
    result = solve_arrays(form.model, budget=Budget(0.05), threads=1)
    assert result.status is Status.TIME_LIMIT_NO_INCUMBENT
    assert result.bound <= 400 * 900


def test_time_limit_with_an_incumbent() -> None:
    model = hard_model()
    lengths = np.random.default_rng(3).integers(300, 900, 120)
    mmbpp.start(model, lengths, np.arange(120) % 40)
    result = solve(model, start=True, budget=Budget(1.5), threads=1)
    assert result.status is Status.TIME_LIMIT_INCUMBENT
    assert result.value is not None and result.bound < result.value


def test_a_start_solution_is_used() -> None:
    lengths = np.random.default_rng(3).integers(300, 900, 120)
    model, assignment = hard_model(), np.arange(120) % 40
    mmbpp.start(model, lengths, assignment)
    given = model.T.value
    options = {"mip_heuristic_effort": 0.0, "mip_max_nodes": 0}
    seen: list[TracePoint] = []
    result = solve(model, start=True, budget=Budget(3), threads=1, options=options, on_trace=seen.append)
    assert seen == result.trace
    assert next(point.incumbent for point in seen if not math.isnan(point.incumbent)) <= given
    assert result.value is not None and result.value <= given


def test_a_partial_start_by_mapping() -> None:
    model = knapsack_pyomo()
    seen: list[TracePoint] = []
    result = solve(model, start=pyo.ComponentMap([(model.a, 1), (model.b, 0)]), on_trace=seen.append)
    assert result.value == pytest.approx(22)


def test_another_limit_is_neither_a_proof_nor_an_error() -> None:
    result = solve(knapsack_pyomo(), options={"objective_target": 1.0})
    assert result.status in (Status.OTHER_LIMIT_INCUMBENT, Status.OPTIMAL)
    lengths = np.random.default_rng(3).integers(300, 900, 120)
    model = hard_model()
    mmbpp.start(model, lengths, np.arange(120) % 40)
    result = solve(model, start=True, options={"mip_max_improving_sols": 1}, budget=Budget(30), threads=1)
    assert result.status is Status.OTHER_LIMIT_INCUMBENT
    assert result.bound < result.value


def test_stop_is_polled() -> None:
    polls = count()
    result = solve(hard_model(), budget=Budget(600, lambda: next(polls) > 50), threads=1)
    assert result.status in (Status.INTERRUPTED_INCUMBENT, Status.INTERRUPTED_NO_INCUMBENT)
    assert (result.value is None) == (result.status is Status.INTERRUPTED_NO_INCUMBENT)
    assert next(polls) < 200


def test_an_interrupt_with_an_incumbent_keeps_it() -> None:
    lengths = np.random.default_rng(3).integers(300, 900, 120)
    model = hard_model()
    mmbpp.start(model, lengths, np.arange(120) % 40)
    seen: list[TracePoint] = []
    result = solve(model, start=True, on_trace=seen.append, budget=Budget(60, lambda: bool(seen)), threads=1)
    assert result.status is Status.INTERRUPTED_INCUMBENT
    assert result.value == pytest.approx(model.T.value)


def test_ctrl_c_ends_the_run_and_keeps_the_incumbent() -> None:
    lengths = np.random.default_rng(3).integers(300, 900, 120)
    model = hard_model()
    mmbpp.start(model, lengths, np.arange(120) % 40)
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        result = solve(model, start=True, budget=Budget(30), threads=1)
    finally:
        timer.cancel()
    assert result.status in (Status.INTERRUPTED_INCUMBENT, Status.INTERRUPTED_NO_INCUMBENT)


def test_an_error_in_a_callback_comes_out_of_solve() -> None:
    def fails(_: TracePoint) -> None:
        raise RuntimeError("from the callback")

    with pytest.raises(RuntimeError, match="from the callback"):
        solve(knapsack_pyomo(), on_trace=fails)


def test_threads_can_change_from_run_to_run() -> None:
    for threads in (1, 2, None, 1):
        assert solve(knapsack_pyomo(), threads=threads).value == pytest.approx(22)


def test_silent_by_default_and_a_log_on_demand(capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    solve(knapsack_pyomo())
    solve(knapsack_pyomo(), log=lines.append)
    assert capfd.readouterr().out == ""
    assert any("HiGHS" in line for line in lines)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"threads": 0}, "threads"),
        ({"mip_rel_gap": -0.1}, "mip_rel_gap"),
        ({"options": {"no_such_option": 1}}, "no_such_option"),
    ],
)
def test_wrong_options_are_named(options: dict, field: str) -> None:
    with pytest.raises(InvalidInputError, match=field):
        solve(knapsack_pyomo(), **options)


def test_a_nonlinear_model_is_refused_in_one_line() -> None:
    model = knapsack_pyomo()
    model.product = pyo.Constraint(expr=model.a * model.b <= 1)
    with pytest.raises(InvalidInputError) as caught:
        solve(model)
    assert "\n" not in str(caught.value)


def test_matrices_of_wrong_shape_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="row_lower"):
        ArrayModel(*[np.zeros(2)], sparse.csc_array(np.eye(2)), *[np.zeros(3)] * 2, *[np.zeros(2)] * 3)


def test_seconds_and_nodes_are_told() -> None:
    result = solve(hard_model(30, 9), budget=Budget(1), threads=1)
    assert result.seconds.build > 0 and result.seconds.handover > 0 and result.seconds.solve > 0
    assert result.nodes >= 0
