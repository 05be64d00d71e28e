"""A model goes out as a file, another program solves it, and its solution file comes back as the plan."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import highspy
import pulp
import pytest

from llmsched_mip.cli import main

TINY = Path(__file__).resolve().parents[2] / "instances" / "tiny"
CASES = [("kv.json", "round_indexed"), ("round-times.json", "stage_indexed"), ("two-workers.json", "round_indexed")]


def by_highs(model: Path, solution: Path, style: int) -> float:
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.readModel(str(model))
    highs.run()
    highs.writeSolution(str(solution), style)
    return highs.getObjectiveValue()


def by_cbc(model: Path, solution: Path, options: list[str]) -> float:
    command = [pulp.PULP_CBC_CMD().path, str(model), "-solve", *options, "-solu", str(solution)]
    subprocess.run(command, capture_output=True, check=True)
    return float(solution.read_text().splitlines()[0].rsplit(maxsplit=1)[1])


@pytest.mark.parametrize("ending", [".mps", ".lp"])
@pytest.mark.parametrize(("name", "model"), CASES, ids=[name for name, _ in CASES])
def test_the_value_of_the_plan_is_the_objective_of_the_solver(name, model, ending, tmp_path, capsys):
    instance, exported, plan = TINY / name, tmp_path / f"m{ending}", tmp_path / "p.json"
    assert main(["export", str(instance), "--model", model, "-o", str(exported)]) == 0
    files = {f"h{style}.sol": by_highs(exported, tmp_path / f"h{style}.sol", style) for style in (0, 1)}
    for number, options in enumerate(([], ["-printingOptions", "all"])):
        files[f"c{number}.sol"] = by_cbc(exported, tmp_path / f"c{number}.sol", options)
    for file, objective in files.items():
        capsys.readouterr()
        arguments = ["read-solution", str(instance), str(tmp_path / file), "--model", model, "--plan", str(plan)]
        assert main([*arguments, "--json"]) == 0, file
        assert json.loads(capsys.readouterr().out)["value"] == pytest.approx(objective, rel=1e-5)
        assert main(["check", str(instance), str(plan)]) == 0


RAW = "Model status\nOptimal\n\n# Primal solution values\nFeasible\nObjective 5\n# Columns {}\n{}\n# Rows 0\n"
BAD = {
    "infeasible": (
        "Model status\nInfeasible\n\n# Primal solution values\nNone\n",
        "holds no solution, the solver says",
    ),
    "infeasible, cbc": ("Infeasible - objective value 3.0\n** 0 x 3 0\n", "holds no solution, the solver says"),
    "another model": (RAW.format(1, "y(r0) 1"), "y(r0) is no variable of the model round_indexed of slots"),
    "another instance": (RAW.format(1, "x(r0,w0,t1) 1"), "the values break"),
    "cut": (RAW.format(9, "x(r0,w0,t1) 1"), "ends too early: 1 of 9 columns"),
    "no number": (RAW.format(1, "x(r0,w0,t1) one"), "line 8: expected a number, got 'one'"),
    "twice": (RAW.format(2, "x(r0,w0,t1) 1\nx(r0,w0,t1) 1"), "line 9: x(r0,w0,t1) stands twice"),
    "not finite": (RAW.format(1, "x(r0,w0,t1) nan"), "expected a finite number"),
    "something else": ("{}", "expected a solution file of HiGHS"),
    "empty": ("", "expected a solution file of HiGHS"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_is_no_solution_of_this_is_one_clear_line(what, tmp_path, capsys):
    text, said = BAD[what]
    (tmp_path / "bad.sol").write_text(text)
    assert main(["read-solution", str(TINY / "slots.json"), str(tmp_path / "bad.sol"), "--model", "round_indexed"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error and "bad.sol" in error
