"""The instances that ship with the package: found by their names from anywhere, the same as in the library."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

from llmsched_mip import read
from llmsched_mip.cli import main
from llmsched_mip.errors import UnreadableFileError
from llmsched_mip.io import examples


def test_examples_are_those_of_the_library():
    library = {path.stem: path for path in (ROOT / "instances").glob("**/*.json") if "plans" not in path.parts}
    names = examples.names()
    assert names[:3] == ["gsm8k-65b", "gsm8k-opt66b-a100", "gsm8k-small"] and len(names) >= 8
    for name in names:
        assert read(f"example:{name}").digest == read(library[name]).digest
        assert examples.located(f"example:{name}").is_file()


def test_one_that_is_not_there_is_refused_with_the_names_of_all():
    with pytest.raises(UnreadableFileError, match=r"^example:nothing: no such example, expected one of gsm8k-65b, "):
        read("example:nothing")


def test_from_any_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["examples"]) == 0 and "example:gsm8k-small" in capsys.readouterr().out
    assert main(["solve", "example:slots", "--time-limit", "5", "--plan", "plan.json"]) == 0
    assert main(["check", "example:slots", "plan.json"]) == 0
    assert main(["gantt", "plan.json", "-o", "plan.svg"]) == 0, "the instance is found by its digest"


def test_the_package_is_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "llmsched_mip", "--version"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.startswith("llmsched ") and done.stderr == ""
