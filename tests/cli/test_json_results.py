"""`--json` of every command: one object on standard output, as `llmsched schema COMMAND` says."""

from __future__ import annotations

import json

import highspy
import jsonschema
import pytest
from conftest import ROOT

from llmsched_mip.cli import COMMANDS, main
from llmsched_mip.cli.results import RESULTS

SLOTS = str(ROOT / "instances/tiny/slots.json")
TIMING = str(ROOT / "docs/timing_example.csv")
STUDY = 'name = "s"\npolicies = ["fcfs"]\n[[instances]]\nfamily = "gsm8k-small"\nrequests = 3\nseeds = [0]\n'
TINY = ["--requests", "8", "--jobs", "1", "--population", "4", "--seeds", "1", "--generations", "1", "--validate", "2"]
CALLS = {
    "solve": ["solve", "example:slots", "--time-limit", "5"],
    "solve, quiet": ["solve", "example:weights", "--quiet", "--time-limit", "5"],
    "solve, two workers": ["solve", "example:two-workers", "--time-limit", "1", "--threads", "1"],
    "solve, lengths not seen": [
        "solve",
        "example:slots",
        "--lengths",
        "unknown",
        "--time-limit",
        "1",
        "--threads",
        "1",
    ],
    "bound": ["bound", "example:levels"],
    "replay": ["replay", "example:kv", "--policy", "fcfs"],
    "check": ["check", "example:kv"],
    "check, plan": ["check", SLOTS, "plan.json"],
    "check, wrong instance": ["check", "example:kv", "plan.json"],
    "check, no instance": ["check", "plan.json"],
    "generate": ["generate", "gsm8k-small", "--requests", "3", "-o", "out.json"],
    "import": ["import", "csv", "trace.csv", "--worker", "unit-round", "-o", "out.json"],
    "export": ["export", "example:slots", "--model", "mmbpp", "-o", "out.lp"],
    "report": ["report", "plan.json", "-o", "out.html"],
    "report, tables": ["report", "plan.json", "-o", "out.md"],
    "gantt": ["gantt", "plan.json", "-o", "out.svg"],
    "study": ["study", "study.toml", "--out", "study", "--jobs", "1", "--export"],
    "examples": ["examples"],
    "worker, list": ["worker", "list"],
    "worker, show": ["worker", "show", "unit-round"],
    "worker, new": ["worker", "new", "mine", "--like", "unit-round", "-o", "mine.json"],
    "calibrate": ["calibrate", TIMING, "-o", "mine.json", "--collective", "0.001:1e-6"],
    "calibrate, plot": ["calibrate", TIMING, "-o", "mine.json", "--plot", "fit.svg"],
    "handover": ["handover", "plan.json", "--instance", SLOTS, "--format", "csv", "-o", "order.csv"],
    "train": ["train", "gsm8k-small", "--lengths", "unknown", "-o", "mine.json", *TINY],
    "size": ["size", "example:gsm8k-small", "--deadline", "1h", "--time-limit", "2", "--threads", "1"],
    "read-solution": ["read-solution", "example:slots", "slots.sol", "--model", "round_indexed"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A plan, a trace and a study."""
    path = tmp_path_factory.mktemp("results")
    (path / "trace.csv").write_text("arrival_s,prefill_tokens,decode_tokens\n0,5,3\n1.5,4,2\n")
    (path / "study.toml").write_text(STUDY)
    assert main(["solve", SLOTS, "--time-limit", "5", "--quiet", "--plan", str(path / "plan.json")]) == 0
    assert main(["export", SLOTS, "--model", "round_indexed", "-o", str(path / "slots.mps")]) == 0
    solver = highspy.Highs()
    solver.silent()
    solver.readModel(str(path / "slots.mps"))
    solver.run()
    solver.writeSolution(str(path / "slots.sol"), 0)
    return path


def schema(name, capsys):
    """Of a command; `schema worker` is that of worker files."""
    capsys.readouterr()
    assert main(["schema", "results" if name == "worker" else name]) == 0
    found = json.loads(capsys.readouterr().out)
    return found[name] if name == "worker" else found


@pytest.mark.parametrize("call", CALLS)
def test_what_is_printed_is_as_the_schema_says(call, folder, monkeypatch, capsys):
    arguments = CALLS[call]
    expected = schema(arguments[0], capsys)
    monkeypatch.chdir(folder)
    code = main([*arguments, "--json"])
    captured = capsys.readouterr()
    assert code == (1 if "wrong" in call or "no instance" in call else 0), captured.err
    document = json.loads(captured.out)
    jsonschema.Draft202012Validator.check_schema(expected)
    jsonschema.validate(document, expected)
    assert set(document) == set(expected["properties"])


def test_a_schema_for_every_command(capsys):
    assert set(RESULTS) == set(COMMANDS) - {"schema"}
    assert set(schema("results", capsys)) == set(RESULTS)
    assert {arguments[0] for arguments in CALLS.values()} == set(RESULTS) - {"compile"}


def test_figures_of_a_solve_agree(capsys):
    assert main(["solve", "example:gsm8k-small", "--threads", "1", "--work", "30", "--quiet", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    value, bound, fcfs = (document[key] for key in ("value", "bound", "fcfs"))
    assert document["gap"] == pytest.approx((value - bound) / value)
    assert document["above_bound"] == pytest.approx((value - bound) / bound)
    assert main(["replay", "example:gsm8k-small", "--policy", "fcfs", "--json"]) == 0
    replayed = json.loads(capsys.readouterr().out)
    assert replayed["makespan"] == pytest.approx(fcfs)
    assert document["measures"]["makespan"] == pytest.approx(value)
    faster, above = document["verdict"].split("; ")
    assert faster == f"{100 * (fcfs - value) / fcfs:.1f} % faster than first-come-first-served"
    assert above == f"at most {100 * document['above_bound']:.2f} % above the optimum"


def test_tables_and_an_object_do_not_share_a_stream(folder, capsys):
    assert main(["report", str(folder / "plan.json"), "--format", "md", "--json"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
