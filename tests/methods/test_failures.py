"""A part of `solve` that fails takes no plan with it: it is named, and the rest goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from llmsched_mip import evaluate, methods, read_instance, read_plan, write_instance
from llmsched_mip.bounds import BOUNDS, MIXED, ONE_OBJECTIVE
from llmsched_mip.cli import main
from llmsched_mip.errors import InvalidInputError, NoPlanError
from llmsched_mip.methods import auto
from llmsched_mip.workload import generate

ERRORS = (MemoryError("86 GiB"), ZeroDivisionError("a defect"), InvalidInputError("model", "HiGHS refuses it"))


def small():
    return generate("gsm8k-65b", 12, 0, slots=3)


def failing(error):
    def fail(*arguments, **options):
        raise error

    return fail


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", [name for name in BOUNDS if name not in MIXED])
def test_a_bound_that_fails(monkeypatch, name, error):
    monkeypatch.setitem(BOUNDS, name, failing(error))
    for objective in ("makespan", "total_completion"):
        instance = small()
        result = methods.solve(instance.with_objective(objective), method="lists", time_limit_s=0.5)
        assert evaluate(instance, result.plan).violations == []
        assert all(part == f"bound {name}" and str(error) in message for part, message in result.failures)
        quick = methods.solve(instance.with_objective(objective), method="lists", time_limit_s=0).failures
        asked = ONE_OBJECTIVE.get(name, objective) == objective
        assert len(quick) == (asked and name in methods.QUICK_BOUNDS)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("step", ["mmbpp", "pattern", "online", "branch_and_bound_if_small", "large_neighbourhood"])
def test_a_step_that_fails(monkeypatch, step, error):
    broken = failing(error)
    broken.__name__ = step
    monkeypatch.setattr(auto, step, broken)
    instance = small()
    result = methods.solve(instance, time_limit_s=1.0)
    assert evaluate(instance, result.plan).violations == []
    assert {part for part, _ in result.failures} <= {step}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", [name for name in methods.METHODS if name != "lists"])
def test_a_method_that_fails_before_it_has_a_plan(monkeypatch, method, error):
    """List schedules stand in for it."""
    monkeypatch.setitem(methods.METHODS, method, failing(error))
    instance = small()
    result = methods.solve(instance, method=method, time_limit_s=1.0)
    assert evaluate(instance, result.plan).violations == []
    assert [part for part, _ in result.failures] == [method]


def test_nothing_works(monkeypatch):
    """No plan is one line with what failed, and the bounds stand."""
    monkeypatch.setitem(methods.METHODS, "lists", failing(MemoryError("86 GiB")))
    with pytest.raises(NoPlanError, match=r"no plan within 1 s; lists: MemoryError: 86 GiB") as caught:
        methods.solve(small(), method="lists", time_limit_s=1.0)
    assert caught.value.bounds["area"] > 0


def test_a_listener_that_fails():
    def listen(event):
        raise OSError("Bad file descriptor")

    result = methods.solve(small(), time_limit_s=0.5, log=listen)
    assert [part for part, _ in result.failures] == ["log"]


def test_failures_in_the_json(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(BOUNDS, "area", failing(MemoryError("86 GiB")))
    file, plan_file = tmp_path / "instance.json", tmp_path / "plan.json"
    write_instance(small(), file)
    assert main(["solve", str(file), "--time-limit", "0.5", "--json", "--plan", str(plan_file)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["failures"] == [{"part": "bound area", "message": "MemoryError: 86 GiB"}]
    assert "bound area failed and was left out: MemoryError: 86 GiB" in err
    assert evaluate(small(), read_plan(plan_file, read_instance(file))).violations == []
    assert main(["bound", str(file), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "area" not in json.loads(out)["bounds"] and "area failed" in err


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT], [signal.SIGTERM] * 3])
def test_signals_keep_the_plan(tmp_path, signals):
    """SIGTERM ends a solve as Ctrl-C does, and a second signal does not throw the plan away."""
    instance_file, plan_file = tmp_path / "instance.json", tmp_path / "plan.json"
    write_instance(generate("gsm8k-opt66b-a100", 400, 2, slots=60), instance_file)
    command = [sys.executable, "-m", "llmsched_mip.cli", "solve", str(instance_file), "--time-limit", "600"]
    process = subprocess.Popen([*command, "--plan", str(plan_file)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    # The third column of the log is the incumbent: a number from the first plan on.
    for line in process.stderr:
        if line.count("|") == 4 and line.split("|")[1].strip()[:1].isdigit():
            break
    for number in signals:
        os.kill(process.pid, number)
    assert process.wait(300) == 0
    instance = read_instance(instance_file)
    assert evaluate(instance, read_plan(plan_file, instance)).violations == []


@pytest.mark.parametrize("stream", ["2>&-", "2>/dev/full"])
def test_standard_error_that_is_closed_or_full(tmp_path, stream):
    instance_file, plan_file = tmp_path / "instance.json", tmp_path / "plan.json"
    write_instance(small(), instance_file)
    command = f"{sys.executable} -m llmsched_mip.cli solve {instance_file} --time-limit 1 --plan {plan_file} {stream}"
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, text=True, timeout=300, check=False)
    assert done.returncode == 0 and "makespan" in done.stdout
    instance = read_instance(instance_file)
    assert evaluate(instance, read_plan(plan_file, instance)).violations == []
