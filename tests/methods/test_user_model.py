"""A user's model that raises, exits, prints or returns nonsense: one line, exit code 2 or 1, and clean JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.io.files import write_instance

HEAD = """
import os, sys
import numpy as np
import pyomo.environ as pyo
from dataclasses import replace
from llmsched_mip.plan import Plan, Stage

def build(instance):
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(1, 2))
    model.o = pyo.Objective(expr=model.x)
    return model

def extract(model, instance):
    return Plan.of(instance, "mine", [[Stage([0, 1], [0, 1], 4)]])
"""
EXTRACT = "def extract(model, instance):\n    good = Plan.of(instance, 'mine', [[Stage([0, 1], [0, 1], 4)]])\n    "
BUILD = "def build(instance):\n    model = pyo.ConcreteModel()\n    model.x = pyo.Var(bounds=(1, 2))\n    "
OBJECTIVE = "; model.o = pyo.Objective(expr=model.x); return model"

REFUSED = {
    "raises at import": ("raise ValueError('two\\nlines')", "import, line 16: ValueError: two lines"),
    "exits at import": ("sys.exit(0)", "import, line 16: SystemExit: 0"),
    "interrupts": (EXTRACT + "raise BaseException('odd')", "extract, line 18: BaseException: odd"),
    "exits in build": (BUILD + "sys.exit('bye')", "build, line 19: SystemExit: bye"),
    "exits in extract": (EXTRACT + "raise SystemExit", "extract, line 18: SystemExit"),
    "a generator's end": (BUILD + "raise GeneratorExit", "build, line 19: GeneratorExit"),
    "an error that cannot be shown": (
        "class Own(Exception):\n    def __str__(self): return 1 / 0\n" + BUILD + "raise Own",
        "Own",
    ),
    "no objective": (BUILD + "return model", "build: expected a model with one active objective, got 0"),
    "no model": ("def build(instance): return None", "build: expected a Pyomo ConcreteModel, got NoneType"),
    "not linear": (BUILD + "model.o = pyo.Objective(expr=pyo.sin(model.x)); return model", "linear"),
    "no plan": (EXTRACT + "return [1, 2]", "extract: expected a Plan, got list"),
    "nothing": (EXTRACT + "return None", "extract: expected a Plan, got NoneType"),
    "changes a column": (
        BUILD + "c = instance.requests.arrival_s; c.setflags(write=True); c[0] = 9.0" + OBJECTIVE,
        "build: it changed the instance",
    ),
    "writes to a column": (BUILD + "instance.requests.arrival_s[0] = 9.0" + OBJECTIVE, "build, line 19: ValueError"),
    "replaces the requests": (
        EXTRACT + "object.__setattr__(instance, 'requests', None); return good",
        "extract: it changed the instance",
    ),
}
INFEASIBLE = {
    "another instance": "return replace(good, instance_digest='sha256:0')",
    "not a number": "return replace(good, workers=(replace(good.workers[0], not_before_s=np.array([np.nan])),))",
    "rounds that are floats": "return replace(good, workers=(replace(good.workers[0], rounds=np.array([4.0])),))",
    "workers that are none": "return replace(good, workers=None)",
    "workers that run out": "return replace(good, workers=(w for w in good.workers))",
    "too few rounds": "return Plan.of(instance, 'mine', [[Stage([0, 1], [0, 1], 3)]])",
}


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    worker = Worker("w", AffinePrefill(0.1, 0.01), DecodeTime(0.1), slots=2, kv_capacity=40)
    write_instance(Instance("user", Requests(["a", "b"], [3, 5], [4, 2]), (worker,)), folder / "instance.json")
    (folder / "mine.py").write_text(HEAD + code + "\n")
    command = [sys.executable, "-m", "llmsched_mip.cli", "solve", "instance.json", "--solver", "mine.py", "--json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_model_is_one_line(name: str, tmp_path: Path) -> None:
    code, message = REFUSED[name]
    ended = run(tmp_path, code)
    last = ended.stderr.strip().splitlines()[-1]
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    assert "mine.py" in last and message in last
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("name", INFEASIBLE)
def test_an_infeasible_plan_is_exit_1(name: str, tmp_path: Path) -> None:
    ended = run(tmp_path, EXTRACT + INFEASIBLE[name])
    assert (ended.returncode, ended.stdout) == (1, ""), ended.stderr
    assert "mine.py: extract made an infeasible plan" in ended.stderr.strip().splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_what_it_prints_leaves_the_json_alone(tmp_path: Path) -> None:
    ended = run(tmp_path, "print('import')\n" + EXTRACT + "print('extract'); os.write(1, b'raw\\n'); return good")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["instance"] == "user"
    assert all(word in ended.stderr for word in ("import", "extract", "raw"))
