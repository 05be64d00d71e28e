"""`--method full`: optimal values, limits on time and size, CBC, and models of the user's."""

from __future__ import annotations

import importlib
import re

import pytest
from exhaustive import optimum
from random_tiny import tiny_instance

from llmsched_mip import AffinePrefill, DecodeTime, Instance, LevelPrefill, Requests, Worker, clock, methods
from llmsched_mip.algorithms.unit_round.shortest_first import shortest_first
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError, InvalidPlanError, UnreadableFileError
from llmsched_mip.evaluation import evaluate
from llmsched_mip.methods.construct import construct
from llmsched_mip.methods.search import Search
from llmsched_mip.models import round_indexed
from llmsched_mip.models.horizon import horizon_from_value
from llmsched_mip.solvers import solve
from llmsched_mip.unit_rounds import UnitRounds
from llmsched_mip.workload import generate

OBJECTIVES = ("makespan", "total_completion")


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("solver", ["highs", "cbc"])
def test_value_and_bound_meet_at_the_optimum(objective, solver):
    for seed in range(400, 406):
        instance = tiny_instance(seed, objective)
        if instance.n > 3:
            continue
        best = optimum(instance, objective)
        plan = methods.solve(instance, method=f"full:{solver}", time_limit_s=60, threads=1).plan
        assert not evaluate(instance, plan).violations
        assert plan.claims.value == pytest.approx(best, rel=1e-5)
        assert plan.claims.bound <= best * (1 + 1e-6)
        assert plan.claims.status == "optimal"


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_plan_set_as_start_is_the_value_of_the_model(objective):
    """With the integer variables fixed to a plan, the model's value is what `evaluate` says.

    Where an iteration of a higher level takes longer than its members one by one, the big-M of `ends` holds for
    optimal plans only: the value is then not below.
    """
    checked = 0
    for seed in range(500, 530):
        instance = tiny_instance(seed, objective)
        plan = methods.solve(instance.with_objective(objective), method="lists", time_limit_s=5).plan
        horizon = horizon_from_value(instance, plan.claims.value * (1 + 1e-6) + 1e-6)
        model = round_indexed.build(instance, horizon=horizon)
        if not round_indexed.start(model, plan):
            continue
        for block in model.layout.form.variables:
            if block.integer:
                for variable in getattr(model, block.name).values():
                    variable.fix(variable.value)
        result = solve(model, threads=1, budget=Budget(20))
        if result.value is not None:
            levels = any(isinstance(worker.prefill_time, LevelPrefill) for worker in instance.workers)
            assert result.value >= plan.claims.value - 1e-5, seed
            if not levels:
                assert result.value <= plan.claims.value + 1e-5, seed
            checked += 1
    assert checked >= 10


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_second_on_a_large_instance_is_kept(objective):
    instance = generate("gsm8k-65b", 400, 1)
    with clock.counting(0.02):
        plan = methods.solve(instance.with_objective(objective), method="full", time_limit_s=1.0, threads=1).plan
    assert plan.claims.seconds < 1.5
    assert not evaluate(instance, plan).violations


def test_a_model_of_ten_million_nonzeros_is_not_built(monkeypatch):
    monkeypatch.setattr(round_indexed, "build", lambda *_, **__: pytest.fail("built"))
    instance = generate("gsm8k-65b", 400, 1)
    notes = []
    methods.solve(
        instance.with_objective("total_completion"),
        method="full",
        time_limit_s=6.0,
        threads=1,
        log=lambda event: notes.append(event.source),
    )
    line = next(note for note in notes if "left out" in note)
    assert re.search(r"about [\d,]+ columns and [\d,]+ nonzeros, at most 10,000,000", line)


def test_the_estimate_is_near_the_model():
    for objective in OBJECTIVES:
        for seed in range(600, 620):
            instance = tiny_instance(seed, objective)
            sets, _, form = round_indexed.formulate(instance)
            nonzeros = form.matrix_form()["matrix"].nnz
            estimate = round_indexed.size(instance, sets.horizon)
            assert estimate["columns"] >= 0.5 * form.columns
            assert 0.4 * nonzeros <= estimate["nonzeros"] <= 4 * nonzeros + 200, (seed, objective)


def _kv_instance() -> Instance:
    worker = Worker("w", AffinePrefill(1.0, 0.1), DecodeTime(1.0), slots=2, kv_capacity=20)
    return Instance("kv", Requests(list("abc"), [3, 4, 5], [4, 2, 3]), (worker,))


def _example(root) -> str:
    text = (root / "docs" / "models.md").read_text(encoding="utf-8").partition("## Your own model")[2]
    return re.search(r"```python\n(.*?)```", text, re.S).group(1)


def test_the_example_of_the_documentation_solves(root, tmp_path):
    file = tmp_path / "one_by_one.py"
    file.write_text(_example(root), encoding="utf-8")
    instance = _kv_instance()
    plan = methods.solve(instance, time_limit_s=10, method=f"full:{file}").plan
    assert plan.method == "one_by_one.py"
    assert len(plan.workers[0]) == 3
    assert not evaluate(instance, plan).violations
    assert "one_by_one" not in plan.claims.bounds


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("def build(instance):\n    return 1 / 0\ndef extract(m, i): pass", InvalidInputError, "line 2: ZeroDivision"),
        ("def build(instance): pass", InvalidInputError, "no function extract"),
        ("x = 1", InvalidInputError, "no function build and no function extract"),
        ("def build(:", InvalidInputError, "SyntaxError"),
        ("def build(instance): pass\ndef extract(m, i): pass", InvalidInputError, "expected a Pyomo ConcreteModel"),
    ],
)
def test_a_faulty_file_gives_one_line(tmp_path, text, error, message):
    file = tmp_path / "mine.py"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message) as caught:
        methods.solve(_kv_instance(), time_limit_s=5, method=f"full:{file}")
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_an_infeasible_plan_of_a_users_model_is_refused(root, tmp_path):
    file = tmp_path / "mine.py"
    faulty = _example(root).replace("decode_tokens[i])) for i in order]", "decode_tokens[i]) - 1) for i in order]")
    assert faulty != _example(root)
    file.write_text(faulty, encoding="utf-8")
    with pytest.raises(InvalidPlanError, match="infeasible plan"):
        methods.solve(_kv_instance(), time_limit_s=5, method=f"full:{file}")


def test_missing_files_and_unknown_solvers():
    with pytest.raises(UnreadableFileError, match="no such file"):
        methods.solve(_kv_instance(), time_limit_s=5, method="full:nowhere.py")
    with pytest.raises(InvalidInputError, match="highs, cbc"):
        methods.solve(_kv_instance(), time_limit_s=5, method="full:gurobi")
    with pytest.raises(InvalidInputError, match="method full"):
        methods.solve(_kv_instance(), time_limit_s=5, method="lists:cbc")


def test_no_incumbent_leaves_the_constructed_plan(monkeypatch):
    module = importlib.import_module("llmsched_mip.methods.full")
    monkeypatch.setattr(module, "solve_model", lambda *_, **__: "the time limit passed while it was built")
    plan = methods.solve(_kv_instance(), method="full", time_limit_s=2).plan
    assert plan.claims.value is not None
    assert not evaluate(_kv_instance(), plan).violations


def test_unit_rounds_start_from_the_annealed_starts():
    """At the published scale the model is started from a plan that is several percent better than MC-SF."""
    instance = generate("kv-uniform", 50, 1)
    problem = UnitRounds.of(instance)
    baseline = problem.value(shortest_first(problem))
    with Search(instance.with_objective("total_completion"), 10.0, threads=1) as search:
        construct(search)
    assert search.value < 0.97 * baseline
    assert not evaluate(instance, search.plan).violations
