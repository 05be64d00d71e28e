"""Wrong use and bad files: exit code 2 and one line that says what and where, never a traceback."""

from __future__ import annotations

import os

import pytest

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker, write_instance
from llmsched_mip.cli import main


@pytest.fixture
def folder(tmp_path):
    worker = Worker("w", AffinePrefill(1.0, 0.5), DecodeTime(1.0), slots=2)
    write_instance(Instance("good", Requests(["a"], [3], [4]), (worker,)), tmp_path / "good.json")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "cut.json").write_text((tmp_path / "good.json").read_text()[:100])
    (tmp_path / "junk.json").write_bytes(bytes(range(256)))
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "cut.json.gz").write_bytes(b"\x1f\x8b\x08\x00junk")
    (tmp_path / "folder").mkdir()
    return tmp_path


COMMANDS = {
    "bound": ["bound", "{}"],
    "check": ["check", "{}"],
    "replay": ["replay", "{}", "--policy", "fcfs"],
    "plan": ["check", "good.json", "{}"],
    "import": ["import", "csv", "{}", "--worker", "unit-round", "-o", "out.json"],
}
FILES = ["missing.json", "folder", "empty.json", "cut.json", "junk.json", "list.json", "cut.json.gz"]


def refused(capsys, arguments, *words):
    code = main(arguments)
    captured = capsys.readouterr()
    assert code == 2, captured
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and captured.err.startswith("llmsched: ")
    assert "Traceback" not in captured.err
    for word in words:
        assert word in captured.err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", FILES)
def test_bad_files(folder, monkeypatch, capsys, command, name):
    monkeypatch.chdir(folder)
    refused(capsys, [part.format(name) for part in COMMANDS[command]], name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["command"]),
        (["nonsense"], ["nonsense"]),
        (["--nonsense"], ["--nonsense"]),
        (["bound"], ["INSTANCE"]),
        (["bound", "good.json", "--nonsense"], ["--nonsense"]),
        (["bound", "good.json", "extra"], ["extra"]),
        (["bound", "good.json", "--objective", "speed"], ["--objective", "makespan", "total_completion"]),
        (["bound", "good.json", "--time-limit", "-1"], ["--time-limit", "-1"]),
        (["bound", "good.json", "--time-limit", "nan"], ["--time-limit"]),
        (["bound", "good.json", "--time-limit", "soon"], ["--time-limit"]),
        (["replay", "good.json"], ["--policy"]),
        (["replay", "good.json", "--policy", "x"], ["--policy", "fcfs", "lagrangian"]),
        (["replay", "good.json", "--policy", "fcfs", "--lengths", "x"], ["--lengths", "known", "interval"]),
        (["replay", "good.json", "--policy", "fcfs", "--seed", "-1"], ["--seed"]),
        (["replay", "good.json", "--policy", "fcfs", "--events", "no/where.csv"], ["no/where.csv"]),
        (["generate", "x", "-o", "out.json"], ["FAMILY", "gsm8k-65b"]),
        (["generate", "gsm8k-small"], ["-o"]),
        (["generate", "gsm8k-small", "-o", "folder"], ["folder", "directory"]),
        (["generate", "gsm8k-small", "-o", "no/where.json"], ["no/where.json"]),
        (["generate", "gsm8k-small", "-o", "out.json", "--requests", "0"], ["--requests"]),
        (["generate", "gsm8k-small", "-o", "out.json", "--requests", "1.5"], ["--requests"]),
        (["generate", "gsm8k-small", "-o", "out.json", "--seed", "-3"], ["--seed"]),
        (
            ["generate", "gsm8k-small", "-o", "out.json", "--worker", "x"],
            ["unknown deployment", "unit-round"],
        ),
        (["import", "x", "f.csv", "--worker", "unit-round", "-o", "out.json"], ["FORMAT", "csv"]),
        (["import", "csv", "good.json", "--worker", "x", "-o", "out.json"], ["worker", "unit-round"]),
        (["import", "csv", "good.json", "-o", "out.json"], ["--worker"]),
        (["schema", "x"], ["instance", "plan"]),
        (["solve", "good.json", "--method", "x"], ["--method", "mmbpp"]),
        (["solve", "good.json", "--gap", "-0.1"], ["--gap"]),
        (["solve", "good.json", "--threads", "0"], ["--threads"]),
        (["solve", "good.json", "--plan", "no/where.json"], ["no/where.json"]),
        (["solve", "good.json", "--plan", "folder"], ["folder"]),
        (["solve", "missing.json"], ["missing.json"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use(folder, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(folder)
    refused(capsys, arguments, *words)
    assert not (folder / "out.json").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_forbidden_files(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "good.json").chmod(0)
    refused(capsys, ["bound", "good.json"], "good.json")
    (folder / "folder").chmod(0o500)
    refused(capsys, ["generate", "gsm8k-small", "-o", "folder/out.json"], "folder/out.json")


def test_ctrl_c_is_130(folder, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("llmsched_mip.bounds.compute", interrupt)
    assert main(["bound", str(folder / "good.json")]) == 130
    assert "interrupted" in capsys.readouterr().err
