"""The table of quick benchmarks by version, and the lint script."""

from __future__ import annotations

import csv
import runpy
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import table
from _figures import Figure


def test_figures_are_added_and_the_page_has_the_latest_first(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "FOLDER", tmp_path)
    monkeypatch.setattr(table, "commit", lambda: "abc1234")
    monkeypatch.setattr(table, "QUICK", {"build": lambda: [Figure("a model", 0.25, "a matrix", 2.5)]})
    (tmp_path / "results.csv").write_text(",".join(table.HEAD) + "\n0.0.9,old,2026-01-01,here,build,a model,1,x,4\n")
    monkeypatch.setattr(sys, "argv", ["table", "--only", "build"])
    table.main()
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["commit"] for row in rows] == ["old", "abc1234"]
    assert (rows[1]["seconds"], rows[1]["ratio"]) == ("0.250", "2.5")
    lines = (tmp_path / "results.md").read_text().splitlines()
    assert [line.split(" | ")[1] for line in lines if line.startswith("| 0")] == ["abc1234", "old"]


LONG = "def long():\n" + "    pass\n" * 60


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("own_column = 1\n", "name 'own_column' does not say what the thing is"),
        ("f(own=1)\n", "name 'own' does not say what the thing is"),
        ("def f(the_own): ...\n", "name 'the_own' does not say what the thing is"),
        ("def f():\n    from llmsched_mip import plan\n", "import of our own inside function f"),
        ("def f():\n    from . import plan\n", "import of our own inside function f"),
        ("def f():\n    import json\n", "import of json, which is not heavy, inside function f"),
        (LONG, "function long of 61 lines, at most 60"),
        ("x = 1\n" * 401, "file of 401 lines, at most 400"),
        ("shown = 1\ndef f():\n    import pyomo.environ\n", None),
        (LONG.replace("    pass\n", "", 1), None),
    ],
)
def test_lint_finds(text, finding, tmp_path):
    findings = runpy.run_path(str(ROOT / "scripts" / "lint"))["findings"]
    path = tmp_path / "file.py"
    path.write_text(text)
    assert {what for _, what in findings(path)} == (set() if finding is None else {finding})
