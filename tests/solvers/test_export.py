"""Exported files: readable names, and the same optimum by HiGHS's reader and by CBC's own command line."""

from __future__ import annotations

import subprocess

import highspy
import pulp
import pyomo.environ as pyo
import pytest
from random_tiny import tiny_instance

from llmsched_mip.cli import main
from llmsched_mip.errors import InvalidInputError, UnreadableFileError
from llmsched_mip.models import round_indexed, stage_indexed
from llmsched_mip.solvers import solve, write_model
from llmsched_mip.solvers.export import LegalNames


def with_highs(path) -> float:
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
    highs.run()
    return highs.getObjectiveValue()


def with_cbc(path, folder) -> float:
    solution = folder / "cbc.txt"
    command = [pulp.PULP_CBC_CMD().path, str(path), "-solve", "-solution", str(solution)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "does not appear" not in out
    head = solution.read_text().splitlines()[0]
    assert head.startswith("Optimal")
    return float(head.rsplit(maxsplit=1)[1])


@pytest.mark.parametrize("model_file", [round_indexed, stage_indexed])
@pytest.mark.parametrize("ending", [".mps", ".lp"])
def test_highs_and_cbc_read_the_same_optimum(model_file, ending, tmp_path):
    done = 0
    for seed in range(700, 730):
        for objective in ("makespan", "total_completion"):
            instance = tiny_instance(seed, objective)
            if instance.n > 2 or done >= 8:
                continue
            model = model_file.build(instance)
            best = solve(model, threads=1).value
            path = tmp_path / f"m{ending}"
            write_model(model, path)
            assert with_highs(path) == pytest.approx(best, rel=1e-5, abs=1e-5), seed
            assert with_cbc(path, tmp_path) == pytest.approx(best, rel=1e-5, abs=1e-5), seed
            done += 1
    assert done >= 8


@pytest.mark.parametrize("ending", [".mps", ".lp"])
def test_signs_ranges_and_constants_survive(ending, tmp_path):
    model = pyo.ConcreteModel()
    model.x = pyo.Var(["a b", "c"], domain=pyo.Integers, bounds=(-5, 9))
    model.free = pyo.Var()
    model.range = pyo.Constraint(expr=(-3, model.x["a b"] + 2 * model.x["c"], 4))
    model.pair = pyo.Constraint(expr=model.free >= model.x["a b"] - 7.5)
    model.cost = pyo.Objective(expr=3 * model.x["c"] - 2 * model.x["a b"] + model.free + 11)
    best = solve(model).value
    path = tmp_path / f"m{ending}"
    write_model(model, path)
    assert with_highs(path) == pytest.approx(best)
    assert with_cbc(path, tmp_path) == pytest.approx(best)
    assert "x(a_b)" in path.read_text()


@pytest.mark.parametrize("ending", [".mps", ".lp"])
def test_maximisation_and_variables_that_stand_nowhere_survive(ending, tmp_path):
    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(3), domain=pyo.Integers, bounds=(-50, 50))
    model.y, model.alone, model.fixed = pyo.Var(bounds=(1, 4)), pyo.Var(bounds=(0, 3)), pyo.Var()
    model.fixed.fix(3)
    model.range = pyo.Constraint(expr=(-7, model.x[0] + model.x[1] + model.x[2], 12))
    model.row = pyo.Constraint(expr=model.x[0] - model.x[1] <= 4)
    model.step = pyo.Constraint(expr=model.x[1] - model.x[2] == 1 + model.fixed)
    model.gain = pyo.Objective(expr=2 * model.x[0] + model.y + model.alone - 20, sense=pyo.maximize)
    best, path = solve(model).value, tmp_path / f"m{ending}"
    write_model(model, path)
    assert with_highs(path) == pytest.approx(best)
    if ending == ".lp":
        assert with_cbc(path, tmp_path) == pytest.approx(best)


def test_names_are_unique_and_legal():
    names = [*map(LegalNames().legal, ["x[r5,w0,t12]", "x[ä]", "x[ö]", "e1", "y" * 300, "y" * 300])]
    assert names[0] == "x(r5,w0,t12)"
    assert len(set(names)) == 6
    assert all(len(name) <= 100 and name.isascii() and " " not in name for name in names)
    assert names[3] != "e1"


@pytest.mark.parametrize("model", ["round_indexed", "stage_indexed", "mmbpp"])
def test_the_command_writes_readable_names(model, root, tmp_path, capsys):
    path = tmp_path / "m.lp"
    code = main(["export", str(root / "instances/tiny/kv.json"), "--model", model, "-o", str(path)])
    assert code == 0
    assert f"model {model}" in capsys.readouterr().err
    if model == "round_indexed":
        assert "x(" in path.read_text() and ",w0,t1)" in path.read_text()


def test_bad_arguments_give_one_line(root, tmp_path, capsys):
    instance = str(root / "instances/tiny/kv.json")
    for model, output in (("nix", "m.lp"), ("mmbpp", "m.txt"), (str(tmp_path / "no.py"), "m.lp")):
        assert main(["export", instance, "--model", model, "-o", str(tmp_path / output)]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    big = str(root / "instances/gsm8k-65b.json")
    assert main(["export", big, "--model", "round_indexed", "-o", str(tmp_path / "m.lp")]) == 2
    assert "nonzeros" in capsys.readouterr().err
    with pytest.raises(InvalidInputError):
        write_model(pyo.ConcreteModel(), tmp_path / "m.xyz")
    with pytest.raises(UnreadableFileError):
        model = pyo.ConcreteModel()
        model.x = pyo.Var(bounds=(0, 1))
        model.cost = pyo.Objective(expr=model.x)
        write_model(model, tmp_path / "none" / "m.lp")
