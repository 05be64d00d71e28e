"""What `solve` says while it runs: lines, a heartbeat where nothing else is said, a live line on a terminal, a file."""

from __future__ import annotations

import io
import sys
import time

import pytest

from llmsched_mip.cli import main, solve_log
from llmsched_mip.cli.solve_log import SolveLog, announced
from llmsched_mip.result import Event
from llmsched_mip.texts import long_text, verdict_text

EVENT = Event(0.5, 200.0, 190.0, 0.05, "fcfs")
SLOTS = ["solve", "example:slots", "--time-limit", "5"]


class Terminal(io.StringIO):
    """Standard error of a person."""

    def isatty(self):
        return True


def waited_for(text, found, patience_s=20.0):
    ends = time.monotonic() + patience_s
    while text not in found() and time.monotonic() < ends:
        time.sleep(0.01)
    return found()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(solve_log, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(solve_log, "TICK_S", 0.01)


def test_a_heartbeat_says_what_runs_and_where_the_search_stands(quick, tmp_path, capsys):
    path = tmp_path / "solve.log"
    with SolveLog("title", quiet=True, file=path) as log:
        log(EVENT)
        log.runs("bound_mmbpp")
        text = waited_for("running: bound mmbpp", path.read_text)
    assert text.splitlines()[0] == "title"
    beat = next(line for line in text.splitlines() if "bound mmbpp" in line)
    assert [cell.strip() for cell in beat.split("|")][1:] == ["200.0000", "190.0000", "5.00 %", "running: bound mmbpp"]
    assert capsys.readouterr() == ("", "")


def test_no_heartbeat_where_lines_come(monkeypatch, capsys):
    monkeypatch.setattr(solve_log, "TICK_S", 0.01)
    with SolveLog("title") as log:
        for _ in range(5):
            log(EVENT)
            time.sleep(0.02)
    assert "running" not in capsys.readouterr().err


def test_a_terminal_has_a_line_that_moves(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with SolveLog("title [of] a\nrun") as log:
        log.runs("chains")
        text = waited_for("running: chains", terminal.getvalue)
        log(EVENT)
        text = waited_for("190.0000", terminal.getvalue)
    assert "title [of] a run" in text and "running: chains" in text
    assert terminal.getvalue().count("| fcfs") == 1


def test_a_file_has_the_log_and_the_result(tmp_path, capsys):
    path = tmp_path / "solve.log"
    assert main([*SLOTS, "--log", str(path), "--plan", str(tmp_path / "plan.json")]) == 0
    captured, lines = capsys.readouterr(), path.read_text().splitlines()
    assert "\n".join(lines[: captured.err.count("\n")]) + "\n" == captured.err
    assert "\n".join(lines[captured.err.count("\n") :]) + "\n" == captured.out
    assert lines[-1].endswith("optimal") and "first-come-first-served" in lines[-1]


def test_quiet_says_nothing_on_standard_error(capsys):
    assert main([*SLOTS, "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and "makespan" in captured.out


def test_what_is_compiled_is_said_once(capsys):
    from numba import njit

    with SolveLog("title") as log, announced(log):
        for add in (1, 2):
            njit(lambda value, add=add: value + add)(1)
    assert capsys.readouterr().err.count("compiling, once on this machine") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("makespan", 95.8, 95.4, False, 100.0),
            "4.2 % faster than first-come-first-served; at most 0.42 % above the optimum",
        ),
        (("makespan", 100.0, 100.0, True, 100.0), "As fast as first-come-first-served; optimal"),
        (("makespan", 100.5, None, False, 100.0), "0.50 % slower than first-come-first-served"),
        (("makespan", 10.0, 8.0, False, None), "At most 25.00 % above the optimum"),
        (
            ("total_completion", 75.0, 75.0, True, 100.0),
            "25.0 % less total completion time than first-come-first-served; optimal",
        ),
        (("total_completion", 5.0, 0.0, False, None), ""),
    ],
    ids=["both", "equal", "slower", "bound", "total", "nothing"],
)
def test_the_sentence_that_people_want(arguments, sentence):
    assert verdict_text(*arguments) == sentence


def test_long_durations():
    assert (long_text(119.9), long_text(120.0), long_text(None), long_text(float("inf"))) == ("", "2 min 00 s", "", "")
