"""Malformed input to every command: the exit code, exactly one line on standard error, never a traceback, and no file
that was not asked for."""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle
from typing import NamedTuple

import pytest
from conftest import ROOT
from malformed_files import (
    INSTANCE,
    INSTANCE_FIELDS,
    LEVELS,
    PLAN,
    PLAN_AGAINST_INSTANCE,
    PLAN_FIELDS,
    POLICY,
    POLICY_FIELDS,
    STUDY,
    STUDY_CHANGES,
    TRACE,
    TRACES,
    WORKER,
    changed,
    damaged,
    keys_twice,
    wrong_values,
)
from malformed_options import CALLS, LONG, OPTIONS
from study_ledger import four_rows

from llmsched_mip.cli import main
from llmsched_mip.io.files import read_instance, write_plan
from llmsched_mip.methods import solve


class Case(NamedTuple):
    """One call: what is wrong, the arguments, the exit code, and the content of the file ``bad``."""

    what: str
    arguments: list[str]
    code: int = 2
    content: bytes | None = None

    @property
    def name(self) -> str:
        """For pytest: short, ASCII."""
        return f"{self.arguments[0] if self.arguments else ''} {self.what}".encode("ascii", "replace").decode()[:70]


BAD = "bad.json"
READS_INSTANCE = [
    ["solve", BAD],
    ["bound", BAD],
    ["replay", BAD, "--policy", "fcfs"],
    ["check", BAD],
    ["export", BAD, "--model", "mmbpp", "-o", "out.lp"],
    ["gantt", "plan.json", "--instance", BAD, "-o", "out.svg"],
    ["report", "plan.json", "--instance", BAD, "-o", "out.html"],
    ["handover", "plan.json", "--instance", BAD, "--format", "csv", "-o", "out.csv"],
    ["size", BAD, "--deadline", "8h"],
    ["read-solution", BAD, "none.sol", "--model", "mmbpp"],
]
READS_PLAN = [
    ["check", "good.json", BAD],
    ["replay", "good.json", "--policy", "plan", "--plan", BAD],
    ["gantt", BAD, "-o", "out.svg"],
    ["report", BAD, "--format", "md"],
    ["handover", BAD, "--format", "csv", "-o", "out.csv"],
]
READS_TRACE = ["import", "csv", "--worker", "opt-66b-a100-tp4", "-o", "out.json"]
READS_STAGES = READS_PLAN[:2]
READS_POLICY = [
    ["replay", "good.json", "--policy", f"learned:{BAD}", "--lengths", "unknown"],
    ["train", "gsm8k-small", "--add", "-o", BAD],
]
READS_WORKER = [
    ["generate", "gsm8k-small", "--worker", BAD, "-o", "out.json"],
    ["import", "csv", "trace.csv", "--worker", BAD, "-o", "out.json"],
    ["worker", "show", BAD],
    ["worker", "new", "mine", "--like", BAD],
]
DEPLOYMENT = {**WORKER, "name": "good", "source": "test"}


def about(commands: list[list[str]], contents: Iterator[tuple[str, bytes]], readable: bool = True) -> Iterator[Case]:
    """Each content with the next of the commands; `check` says 1 of a readable file that is not valid."""
    for command, (what, content) in zip(cycle(commands), contents, strict=False):
        yield Case(what, command, 1 if readable and command[0] == "check" else 2, content)


def files() -> Iterator[Case]:
    """One thing is wrong in a file."""
    yield from about(READS_INSTANCE, wrong_values(INSTANCE, INSTANCE_FIELDS))
    levels = {("workers", 0, "prefill_time"): [{"kind": "levels", "levels": given} for given in LEVELS]}
    yield from about(READS_INSTANCE, wrong_values(INSTANCE, levels))
    yield from about(READS_INSTANCE, keys_twice(INSTANCE))
    yield from about(READS_INSTANCE, damaged(INSTANCE), False)
    yield from about(READS_PLAN, wrong_values(PLAN, PLAN_FIELDS))
    yield from about(READS_STAGES, wrong_values(PLAN, PLAN_AGAINST_INSTANCE))
    yield from about(READS_PLAN, keys_twice(PLAN))
    yield from about(READS_PLAN, damaged(PLAN), False)
    yield from about(READS_POLICY, wrong_values(POLICY, POLICY_FIELDS))
    yield from about(READS_POLICY, keys_twice(POLICY))
    yield from about(READS_POLICY, damaged(POLICY), False)
    worker = {path[2:]: values for path, values in INSTANCE_FIELDS.items() if path[:2] == ("workers", 0) and path[2:]}
    yield from about(READS_WORKER, wrong_values(DEPLOYMENT, {**worker, ("source",): ["", 5, None]}))
    yield from about(READS_WORKER, keys_twice(DEPLOYMENT))
    yield from about(READS_WORKER, damaged(DEPLOYMENT), False)
    too_long = changed(INSTANCE, ("requests", "decode_tokens"), [5, 600])
    for command in READS_INSTANCE:
        yield Case("a request that fits no worker", command, 1, json.dumps(too_long).encode())


def traces() -> Iterator[Case]:
    """CSV files: traces and slot timetables."""
    command = [*READS_TRACE, BAD]
    for what, text in TRACES.items():
        yield Case(f"trace {what}", command, 1 if what == "does not fit" else 2, text.encode())
    yield Case("trace of Latin-1", command, 2, b"arrival_s\xe9,a\n")
    yield Case("trace with an empty id", [*command, "--id-column", "id"], 2, TRACE.replace(",a", ",").encode())
    yield Case("trace with an id twice", [*command, "--id-column", "id"], 2, TRACE.replace(",a", ",b").encode())
    slots = ["replay", "good.json", "--policy", "fcfs", "--slot-timetable", BAD]
    for text in ("", "time_s,worker\n0,w0\n", "time_s,worker,slots\n0,w0,x\n", "time_s,worker,slots\n-1,w0,1\n",
                 "time_s,worker,slots\nnan,w0,1\n", "time_s,worker,slots\n0,w9,1\n", "time_s,worker,slots\n0,w0,3\n",
                 "time_s,worker,slots\n0,w0\n", "time_s,worker,slots\n0,w0,-1\n", "time_s,worker,slots\n0,w0,"
                 + "9" * 5000 + "\n"):  # fmt: skip
        yield Case(f"timetable {text[:60]!r}", slots, 2, text.encode())
    for what, content in {"empty": b"", "of every byte": bytes(range(256)), "of Latin-1": b"prefill_chunk\xe9,a\n",
                          "of a trace": TRACE.encode(), "gzip": b"\x1f\x8b"}.items():  # fmt: skip
        yield Case(f"timing table {what}", ["calibrate", BAD, "-o", "out.json"], 2, content)
    yield Case("timetable of Latin-1", slots, 2, b"time_s,worker,slots\n0,w\xe9,1\n")


def studies() -> Iterator[Case]:
    """Study files."""
    command = ["study", BAD, "--out", "out"]
    for old, new in STUDY_CHANGES:
        assert old in STUDY
        yield Case(f"study {new[:40]!r} for {old[:20]!r}", command, 2, STUDY.replace(old, new, 1).encode())
    for what, content in {
        "empty": b"",
        "of every byte": bytes(range(256)),
        "of Latin-1": b'name = "\xe9"',
        "nested": b"a = " + b"[" * 5000,
        "dotted": b"a" + b".a" * 5000 + b" = 1",
        "with a surrogate": b'name = "\\ud800"',
        "of JSON": b'{"name": "x"}',
        "of a wrong date": b"name = 2020-13-45",
    }.items():
        yield Case(f"study {what}", command, 2, content)
    for name in ("missing.toml", "folder", LONG, "a\0b", "loop"):
        yield Case(f"study {name[:20]}", ["study", name, "--out", "out"])


def places() -> Iterator[Case]:
    """Names of files that are missing, are folders, or can't be."""
    commands = [
        *READS_INSTANCE,
        *READS_PLAN,
        *READS_WORKER,
        ["import", "csv", BAD, "--worker", "unit-round", "-o", "o"],
    ]
    for name in (
        "missing.json",
        "folder",
        f"{LONG}.json",
        "a\0b.json",
        "loop",
        "not.json.gz",
        *("dangling.json", "example:none.json"),
        "good.json/x",
    ):
        for command in commands:
            if command[0] == "generate" or "--worker" not in command or name.endswith((".json", ".json.gz")):
                yield Case(f"file {name[:20]}", [name if part == BAD else part for part in command])
    writes = {
        ".json": [["generate", "gsm8k-small", "-o"], ["import", "csv", "trace.csv", "--worker", "unit-round", "-o"],
                  ["solve", "good.json", "--plan"], ["solve", "good.json", "--log"]],
        ".csv": [["replay", "good.json", "--policy", "fcfs", "--events"]],
        ".lp": [["export", "good.json", "--model", "mmbpp", "-o"]],
        ".svg": [["gantt", "plan.json", "-o"]],
        ".html": [["report", "plan.json", "-o"]],
    }  # fmt: skip
    for ending, write in writes.items():
        for command in write:
            for name in (LONG, "folder/none/x", "good.json/x", "a\0b", "dir"):
                yield Case(f"output {name[:20]}", [*command, name + ending])
    for command in (
        ["export", "good.json", "--model", "mmbpp", "-o"],
        ["gantt", "plan.json", "-o"],
        ["report", "plan.json", "-o"],
    ):
        yield Case("output ending", [*command, "out.txt"])


def options() -> Iterator[Case]:
    """Arguments and options."""
    for command, given in OPTIONS.items():
        for option, values in given.items():
            for value in values:
                yield Case(f"{option} {value[:20]!r}", [*command, option, value])
    for call in CALLS:
        yield Case(f"arguments {' '.join(call)[:60]!r}", call)


LEDGERS: dict[str, list[str]] = {
    "no study row": ["DELETE FROM study"],
    "two study rows": ["INSERT INTO study SELECT * FROM study"],
    "another layout": ["UPDATE study SET layout = 9"],
    "layout of text": ["UPDATE study SET layout = 'x'"],
    "name of bytes": ["UPDATE study SET name = x'ff'"],
    "no table": ["DROP TABLE results"],
    "no column": ["ALTER TABLE results DROP COLUMN value"],
    "trace cut": ["UPDATE results SET trace = '[[1, 2'"],
    "trace of an object": ["UPDATE results SET trace = '{}'"],
    "trace of numbers": ["UPDATE results SET trace = '[1, 2]'"],
    "trace of texts": ["""UPDATE results SET trace = '[["a", "b", "c"]]'"""],
    "trace of pairs": ["UPDATE results SET trace = '[[1, 2]]'"],
    "trace of a number": ["UPDATE results SET trace = 5"],
    "trace of bytes": ["UPDATE results SET trace = x'ff'"],
    "trace too deep": ["UPDATE results SET trace = '" + "[" * 5000 + "'"],
    "bounds of a list": ["UPDATE results SET bounds = '[]'"],
    "bounds of texts": ["""UPDATE results SET bounds = '{"area": "x"}'"""],
    "bounds not finite": ["""UPDATE results SET bounds = '{"area": NaN}'"""],
    "bounds huge": ["""UPDATE results SET bounds = '{"area": 1""" + "0" * 400 + "}'"],
    "versions of a list": ["UPDATE results SET versions = '[]'"],
    "options of a number": ["UPDATE cases SET options = '5'"],
    "value of text": ["UPDATE results SET value = 'x'"],
    "value of bytes": ["UPDATE results SET value = x'00'"],
    "value infinite": ["UPDATE results SET value = 9e999"],
    "gap of text": ["UPDATE results SET gap = 'x'"],
    "seconds of text": ["UPDATE results SET seconds = 'x'"],
    "evictions of text": ["UPDATE results SET evictions = 'x'"],
    "evictions of a half": ["UPDATE results SET evictions = 0.5"],
    "status of bytes": ["UPDATE results SET status = x'ff'"],
    "key of nothing": ["UPDATE results SET key = NULL WHERE rowid = 1"],
    "seed of text": ["UPDATE cases SET seed = 'x'"],
    "position of text": ["UPDATE cases SET position = 'x'"],
    "time limit of text": ["UPDATE cases SET time_limit_s = 'x'"],
    "text that is not UTF-8": ["UPDATE cases SET row = CAST(x'ff' AS TEXT)"],
}
READS_LEDGER = [["report", "ledger", "--format", "md"], ["report", "ledger", "-o", "out.html"],
                ["study", "--export", "--out", "ledger"]]  # fmt: skip

JSON_COLUMNS = ("trace cut", "trace of an", "trace of numbers", "trace of texts", "trace of pairs", "trace too",
                "trace of a number", "bounds", "versions", "options")  # fmt: skip
"""An export leaves what is in them as it is: text."""

CASES = [*files(), *traces(), *studies(), *places(), *options()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good files of every kind, and names that lead nowhere."""
    place = tmp_path_factory.mktemp("malformed")
    (place / "good.json").write_text(json.dumps(INSTANCE))
    instance = read_instance(place / "good.json")
    write_plan(solve(instance, method="lists", time_limit_s=5).plan, instance, place / "plan.json")
    (place / "trace.csv").write_text(TRACE)
    (place / "batch.jsonl").write_text('{"custom_id": "a", "body": {"prompt": "x", "max_tokens": 5}}\n')
    (place / "timing.csv").write_bytes((ROOT / "docs" / "timing_example.csv").read_bytes())
    (place / "study.toml").write_text(STUDY)
    (place / "not.json.gz").write_text("{}")
    for name in ("folder", "folder.py", *(f"dir{ending}" for ending in (".json", ".csv", ".lp", ".svg", ".html"))):
        (place / name).mkdir()
    (place / "loop").symlink_to("loop")
    (place / "dangling.json").symlink_to("nowhere.json")
    return place


def refused(capsys, arguments, expected):
    """Run, and look at what comes back."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        code = main(arguments)
    captured = capsys.readouterr()
    assert code == expected, (code, captured.err)
    assert captured.err.count("\n") == 1 and captured.err.startswith("llmsched"), captured.err
    assert len(captured.err) < 3000, len(captured.err)
    for word in ("Traceback", "defect of the program"):
        assert word not in captured.err, captured.err


def test_there_are_enough_cases_of_every_command():
    commands = {case.arguments[0] for case in CASES if case.arguments}
    assert commands >= {"solve", "bound", "replay", "check", "generate", "import", "export", "study", "report", "gantt",
                        "schema", "worker", "calibrate", "handover", "size", "read-solution",
                        "examples", "compile"}  # fmt: skip
    assert len(CASES) + len(LEDGERS) >= 900


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_one_line_and_the_exit_code(case, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    if case.content is not None:
        (folder / BAD).write_bytes(case.content)
    before = sorted(folder.iterdir())
    refused(capsys, case.arguments, case.code)
    assert sorted(folder.iterdir()) == sorted({*before, *([folder / BAD] if case.content is not None else [])})


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """The ledger of a study that has run."""
    folder = tmp_path_factory.mktemp("ledger") / "ledger"
    four_rows(folder, 1)
    return (folder / "ledger.sqlite").read_bytes()


def test_the_ledger_is_good_before(ledger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "ledger.sqlite").write_bytes(ledger)
    for command in READS_LEDGER:
        assert main(command) == 0


@pytest.mark.parametrize("what", LEDGERS)
def test_damaged_ledgers(what, ledger, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ledger").mkdir()
    path = tmp_path / "ledger" / "ledger.sqlite"
    path.write_bytes(ledger)
    with closing(sqlite3.connect(path)) as database:
        for statement in LEDGERS[what]:
            database.execute(statement)
        database.commit()
    for command in READS_LEDGER:
        if command[0] == "report" or not what.startswith(JSON_COLUMNS):
            refused(capsys, command, 2)
    assert [path.name for path in tmp_path.rglob("*")] == ["ledger", "ledger.sqlite"]


def test_a_ledger_whose_names_are_not_utf_8(ledger, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "ledger.sqlite").write_bytes(
        ledger.replace(b"CREATE TABLE results", b"CREATE TABLE resu\xcbts")
    )
    for command in READS_LEDGER:
        refused(capsys, command, 2)
