"""`solve`: log, table, JSON, plan file, Ctrl-C and the end without a plan."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pulp
import pytest

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker, read_instance, read_plan
from llmsched_mip import write_instance as write
from llmsched_mip.cli import main
from llmsched_mip.errors import NoPlanError
from llmsched_mip.evaluation import evaluate

SOLVE_KEYS = ["instance", "objective", "method", "status", "value", "bound", "gap", "bounds", "seconds", "failures"]


@pytest.fixture
def instance_file(tmp_path):
    worker = Worker("w", AffinePrefill(1.0, 0.5), DecodeTime(1.0, 0.1, 0.01), slots=2)
    write(Instance("tiny", Requests(["a", "b", "c"], [3, 4, 5], [4, 2, 2]), (worker,)), tmp_path / "tiny.json")
    return tmp_path / "tiny.json"


@pytest.mark.parametrize("objective", ["makespan", "total-completion"])
def test_solve_json_and_plan_file(instance_file, tmp_path, capsys, objective):
    plan_file = tmp_path / "plan.json"
    arguments = ["solve", str(instance_file), "--objective", objective, "--time_limit", "5", "--json"]
    code = main([*arguments, "--plan", str(plan_file)])
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert code == 0
    assert list(document)[: len(SOLVE_KEYS)] == SOLVE_KEYS
    assert document["bound"] <= document["value"] * (1 + 1e-9)
    instance = read_instance(instance_file)
    plan = read_plan(plan_file, instance)
    assert not evaluate(instance, plan).violations
    assert (plan.claims.value, plan.claims.bound) == (document["value"], document["bound"])
    assert "Incumbent" in captured.err and "plan written" in captured.err
    assert main(["check", str(instance_file), str(plan_file)]) == 0


def test_solve_table_shows_both_gaps(instance_file, capsys):
    assert main(["solve", str(instance_file), "--method", "mmbpp", "--time-limit", "5"]) == 0
    out = capsys.readouterr().out
    assert "of the value" in out and "of the bound" in out and "makespan" in out


def test_cbc_that_is_not_installed_is_one_line_and_2(instance_file, monkeypatch, capsys):
    monkeypatch.setattr(pulp.PULP_CBC_CMD, "available", lambda self: False)
    assert main(["solve", str(instance_file), "--solver", "cbc", "--time-limit", "5"]) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if "CBC" in line]
    assert len(lines) == 1 and "CBC is not available" in lines[0]
    assert "Traceback" not in captured.err and not captured.out


@pytest.mark.parametrize("as_json", [False, True])
def test_no_plan_prints_the_bound_and_is_3(instance_file, monkeypatch, capsys, as_json):
    def nothing(*_, **__):
        error = NoPlanError("the time limit passed without a feasible plan")
        error.bounds = {"area": 4.0, "alone": 5.0}
        raise error

    monkeypatch.setattr("llmsched_mip.methods.solve", nothing)
    code = main(["solve", str(instance_file), *(["--json"] if as_json else [])])
    captured = capsys.readouterr()
    assert code == 3
    assert "time limit" in captured.err
    if as_json:
        document = json.loads(captured.out)
        assert list(document)[: len(SOLVE_KEYS)] == SOLVE_KEYS
        assert (document["value"], document["bound"], document["gap"]) == (None, 5.0, None)
    else:
        assert "5.0000 s" in captured.out


def test_ctrl_c_keeps_the_best_plan(tmp_path):
    assert main(["generate", "gsm8k-65b", "--seed", "5", "-o", str(tmp_path / "big.json")]) == 0
    command = [sys.executable, "-m", "llmsched_mip.cli", "solve", str(tmp_path / "big.json"), "--plan"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "plan.json"), "--time-limit", "60", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    log = ""
    # The first line with a plan; before it a busy machine may only have said that it runs.
    while not re.search(r"s \| +\d", log):
        line = process.stderr.readline()
        assert line, log
        log += line
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    out, more = process.communicate(timeout=60)
    assert process.returncode == 0, log + more
    document = json.loads(out)
    instance = read_instance(tmp_path / "big.json")
    plan = read_plan(tmp_path / "plan.json", instance)
    assert not evaluate(instance, plan).violations
    assert plan.claims.value == document["value"]
    assert "interrupted" in more or document["seconds"] < 60
