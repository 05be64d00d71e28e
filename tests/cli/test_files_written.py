"""What is written can be read again, whole, under any name; what would be refused is not written."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from malformed_files import INSTANCE, PLAN, TRACE
from small_studies import write_study

from llmsched_mip import AffinePrefill, DecodeTime, Instance, LevelPrefill, Requests, Worker
from llmsched_mip.cli import main
from llmsched_mip.errors import InvalidInputError, UnreadableFileError
from llmsched_mip.io.files import read_instance, read_plan, write_instance
from llmsched_mip.io.storage import whole_file, write_bytes

WORKER = Worker("w", AffinePrefill(1.0, 0.5), DecodeTime(1.0), slots=2)
REQUESTS = Requests(["a"], [3], [4])


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Instance("", REQUESTS, (WORKER,)), "name"),
        (lambda: Instance("\ud800", REQUESTS, (WORKER,)), "name"),
        (lambda: Instance(None, REQUESTS, (WORKER,)), "name"),
        (lambda: Instance("i", REQUESTS, (WORKER,), description="\udce9"), "description"),
        (lambda: Instance("i", REQUESTS, (WORKER,), source=5), "source"),
        (lambda: Requests(["a", "\udce9"], [3, 3], [4, 4]), "requests.id[1]"),
        (lambda: Requests(["a", 5], [3, 3], [4, 4]), "requests.id[1]"),
        (lambda: Instance("i", REQUESTS, (replace(WORKER, name=""),)), "workers[0].name"),
        (lambda: Instance("i", REQUESTS, (replace(WORKER, name="\udce9"),)), "workers[0].name"),
        (lambda: Instance("i", REQUESTS, (replace(WORKER, slots=2**62 + 1),)), "workers[0].slots"),
        (lambda: Instance("i", REQUESTS, (replace(WORKER, slots=2.5),)), "workers[0].slots"),
        (lambda: Instance("i", REQUESTS, (replace(WORKER, slots=True),)), "workers[0].slots"),
        (lambda: Instance("i", REQUESTS, (replace(WORKER, kv_capacity=2**63),)), "workers[0].kv_capacity"),
        (
            lambda: Instance("i", REQUESTS, (replace(WORKER, prefill_time=LevelPrefill((4.5,), (1.0,))),)),
            "workers[0].prefill_time.levels[0].tokens",
        ),
        (
            lambda: Instance("i", REQUESTS, (replace(WORKER, prefill_time=LevelPrefill((2**31,), (1.0,))),)),
            "workers[0].prefill_time.levels[0].tokens",
        ),
    ],
)
def test_what_a_file_cannot_say_is_no_instance(make, field):
    with pytest.raises(InvalidInputError) as error:
        make()
    assert error.value.field == field and "\n" not in str(error.value)


def test_the_largest_limits_and_odd_names_survive(tmp_path):
    engine = replace(WORKER, name="w \n é \U0001f600", slots=np.int64(2**62), kv_capacity=2**62)
    requests = Requests(['"a":', "b\\"], [3, 4], [4, 5])
    instance = Instance('":: "key": 日本\0', requests, (engine,), description='{"a": 1}')
    for name in ("x.json", "x.json.gz"):
        write_instance(instance, tmp_path / name)
        again = read_instance(tmp_path / name)
        assert again.digest == instance.digest and again.name == instance.name
        assert again.requests.id == instance.requests.id and again.description == instance.description


def test_a_key_twice_is_found_also_where_texts_look_like_keys(tmp_path):
    path = tmp_path / "x.json"
    text = json.dumps(INSTANCE | {"description": 'a ":" b'})
    path.write_text(text)
    assert read_instance(path).description == 'a ":" b'
    path.write_text(text.replace('"slots": 2', '"slots": 5, "slots" : 2'))
    with pytest.raises(InvalidInputError, match=r"x\.json: slots: key stands twice in one object"):
        read_instance(path)
    path.write_text(json.dumps(INSTANCE).replace('"slots": 2', '"slots": 5, "sl\\u006fts": 2'))
    with pytest.raises(InvalidInputError, match="slots: key stands twice"):
        read_instance(path)


@pytest.mark.parametrize("policy", ["plan", "plan-order", "lagrangian"])
def test_a_plan_without_workers(policy, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.json").write_text(json.dumps(INSTANCE))
    instance = read_instance("good.json")
    (tmp_path / "plan.json").write_text(json.dumps(PLAN | {"workers": [], "instance_digest": instance.digest}))
    assert read_plan("plan.json", instance).workers == ()
    code = main(["replay", "good.json", "--policy", policy, "--plan", "plan.json"])
    error = capsys.readouterr().err
    assert (code, error.count("\n")) == ((1, 1) if policy == "plan" else (0, 0)), error


@pytest.mark.parametrize("predictions", ["lognormal:1e3", "lognormal:1e308", "biased:1e308:1e308", "wrong:1e308:0.5"])
def test_predictions_beyond_all_numbers_are_cut(predictions, tmp_path, capsys):
    path = tmp_path / "x.json"
    assert main(["generate", "gsm8k-small", "--predictions", predictions, "-o", str(path)]) == 0
    assert capsys.readouterr().err.count("\n") == 1
    assert read_instance(path).requests.decode_upper.max() == 2**31 - 1


@pytest.mark.parametrize("ending", [".json", ".json.gz"])
def test_names_as_long_as_they_can_be(ending, tmp_path, capsys):
    for length, code in ((255, 0), (256, 2)):
        path = tmp_path / ("n" * (length - len(ending)) + ending)
        assert main(["generate", "gsm8k-small", "--requests", "2", "-o", str(path)]) == code
    assert capsys.readouterr().err.splitlines()[-1].endswith("cannot be written: File name too long")


def test_names_that_are_not_utf_8(tmp_path, monkeypatch, capsys):
    odd = os.fsdecode(b"b\xe9")
    monkeypatch.chdir(tmp_path)
    try:
        (tmp_path / odd).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    monkeypatch.chdir(tmp_path / odd)
    (tmp_path / odd / f"{odd}.csv").write_text(TRACE)
    (tmp_path / odd / f"{odd}-timing.csv").write_bytes((ROOT / "docs" / "timing_example.csv").read_bytes())
    study = f'name = "s"\npolicies = ["fcfs"]\n[[instances]]\nfiles = ["{"b?.json"}"]\n'
    (tmp_path / odd / f"{odd}.toml").write_text(study)
    for arguments in (
        ["import", "csv", f"{odd}.csv", "--worker", "unit-round", "-o", f"{odd}.json"],
        ["solve", f"{odd}.json", "--method", "lists", "--plan", f"{odd}.plan.json"],
        ["check", f"{odd}.json", f"{odd}.plan.json"],
        ["report", f"{odd}.plan.json", "--instance", f"{odd}.json", "-o", f"{odd}.html"],
        ["report", f"{odd}.plan.json", "--instance", f"{odd}.json", "--format", "md"],
        ["gantt", f"{odd}.plan.json", "--instance", f"{odd}.json", "-o", f"{odd}.html"],
        ["handover", f"{odd}.plan.json", "--instance", f"{odd}.json", "--format", "vllm", "-o", f"{odd}.jsonl"],
        ["calibrate", f"{odd}-timing.csv", "-o", f"{odd}-worker.json", "--plot", f"{odd}.html"],
        ["worker", "show", f"{odd}-worker.json"],
        ["size", f"{odd}.json", "--deadline", "1d", "--threads", "1", "--chart", f"{odd}.svg"],
        ["export", f"{odd}.json", "--model", "mmbpp", "-o", f"{odd}.lp"],
        ["export", f"{odd}.json", "--model", "mmbpp", "-o", f"{odd}.mps"],
        ["study", f"{odd}.toml", "--out", odd, "--jobs", "1", "--export"],
        ["report", odd, "-o", "study.html"],
    ):
        monkeypatch.setattr("sys.argv", ["llmsched", *arguments])
        assert main(arguments) == 0, capsys.readouterr().err
    assert read_instance(f"{odd}.json").name == "b\\udce9"


@pytest.mark.parametrize("ending", [".mps", ".lp"])
def test_an_export_that_fails_leaves_the_old_file(ending, tmp_path, monkeypatch, capsys):
    path = tmp_path / f"m{ending}"
    path.write_text("old")

    def fails(model, name, **_):
        Path(name).write_text("half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyomo.environ.ConcreteModel.write", fails)
    (tmp_path / "good.json").write_text(json.dumps(INSTANCE))
    assert main(["export", str(tmp_path / "good.json"), "--model", "mmbpp", "-o", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cannot be written" in error
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 2


def test_a_stream_gets_the_export(tmp_path, capfd):
    (tmp_path / "good.json").write_text(json.dumps(INSTANCE))
    for ending, last in ((".lp", "end"), (".mps", "endata")):
        link = tmp_path / f"out{ending}"
        link.symlink_to("/dev/stdout")
        assert main(["export", str(tmp_path / "good.json"), "--model", "mmbpp", "-o", str(link)]) == 0
        assert capfd.readouterr().out.rstrip().lower().endswith(last)
        assert link.is_symlink()


def test_whole_files_or_none(tmp_path):
    path = tmp_path / "x.json"
    write_bytes(path, b"old")
    with pytest.raises(UnreadableFileError, match=r"x\.json: cannot be written: No space"), whole_file(path) as file:
        file.write_bytes(b"ne")
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as file:
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    with whole_file(path) as file:
        assert file.suffix == ".json"
        file.write_bytes(b"new")
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("statement", ["DELETE FROM study", "INSERT INTO study SELECT * FROM study"])
def test_a_ledger_without_its_study_is_not_continued(statement, tmp_path, capsys):
    path, out = write_study(tmp_path, seeds=1), tmp_path / "out"
    assert main(["study", str(path), "--out", str(out), "--jobs", "1"]) == 0
    with closing(sqlite3.connect(out / "ledger.sqlite")) as database:
        database.execute(statement)
        database.commit()
    capsys.readouterr()
    assert main(["study", str(path), "--out", str(out), "--resume"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "rows in the table study" in error
