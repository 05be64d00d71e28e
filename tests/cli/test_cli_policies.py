"""Policy options, slot timetables and predictions on the command line."""

from __future__ import annotations

import json

import pytest

from llmsched_mip import Instance, Requests, Worker, write_instance
from llmsched_mip.cli import main
from llmsched_mip.timing import AffinePrefill, DecodeTime


@pytest.fixture
def instance_file(tmp_path):
    worker = Worker("w", AffinePrefill(1.0, 0.5), DecodeTime(1.0, 0.1, 0.01), slots=2, kv_capacity=30)
    write_instance(Instance("tiny", Requests(["a", "b", "c"], [3, 4, 5], [4, 2, 2]), (worker,)), tmp_path / "tiny.json")
    return str(tmp_path / "tiny.json")


@pytest.mark.parametrize(
    "policy", ["sorted-f:exact", "mc-sf:0.2", "svf", "a-min", "lagrangian-stochastic:0.1", "rolling:delay=0", "h-sf"]
)
def test_policies_with_and_without_options(instance_file, capsys, policy):
    assert main(["replay", instance_file, "--policy", policy, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["policy"] == policy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "sorted-f:best"], "sorted-f: expected one of auto, exact"),
        (["--policy", "a-max:1"], "'a-max' takes no option"),
        (["--policy", "h-sf", "--lengths", "unknown"], "it needs lengths 'known'"),
        (["--policy", "fcfs", "--slot-timetable", "none.csv"], "no such file"),
    ],
)
def test_wrong_use_is_one_line(instance_file, capsys, arguments, message):
    assert main(["replay", instance_file, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_slot_timetable(instance_file, tmp_path, capsys):
    (tmp_path / "slots.csv").write_text("time_s,worker,slots\n0,w,1\n")
    values = []
    for more in ([], ["--slot_timetable", str(tmp_path / "slots.csv")]):
        assert main(["replay", instance_file, "--policy", "fcfs", "--json", *more]) == 0
        values.append(json.loads(capsys.readouterr().out)["prefill_iterations"])
    assert values == [2, 3]


def test_generate_with_predictions(tmp_path):
    path = tmp_path / "biased.json"
    assert main(["generate", "lmsys-chat", "--requests", "5", "--predictions", "biased:4:0.5", "-o", str(path)]) == 0
    assert len(json.loads(path.read_text())["requests"]["decode_upper"]) == 5
