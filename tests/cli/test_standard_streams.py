"""Output to a full device, a closed pipe or a terminal without UTF-8, in processes of their own: never a traceback,
never exit code 1 (which means "not valid"), and the work is done."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from llmsched_mip.cli import main
from llmsched_mip.cli.exit_code import answer
from llmsched_mip.io.streams import plain
from llmsched_mip.study import read_ledger

TINY = ROOT / "instances/tiny/kv.json"
FULL = Path("/dev/full")
PROGRAM = [sys.executable, "-m", "llmsched"]
COMMANDS = {
    "bound": ["bound", str(TINY)],
    "schema": ["schema", "instance"],
    "help": ["bound", "--help"],
    "calibrate": ["calibrate", "docs/timing_example.csv", "-o", "-"],
}
needs_full_device = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def shell(arguments, redirection="", **environment):
    """The program with its streams redirected as a shell does it."""
    line = f'exec "$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", line, "bash", *PROGRAM, *arguments],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=120,
    )


def no_traceback(done):
    text = done.stderr.decode()
    assert "Traceback" not in text and "Exception ignored" not in text and "Error:" not in text, text
    return text


@needs_full_device
@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_device_is_one_line_and_code_2(command):
    done = shell(COMMANDS[command], ">/dev/full")
    assert done.returncode == 2
    assert no_traceback(done).count("\n") == 1 and b"No space left" in done.stderr


@pytest.mark.parametrize("command", ["schema", "help"])
def test_a_pipe_that_nobody_reads_ends_quietly(command):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*PROGRAM, *COMMANDS[command]], stdout=write, stderr=subprocess.PIPE, cwd=ROOT, timeout=120)
    os.close(write)
    assert done.returncode == 141 and done.stderr == b""


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
def test_closed_streams_stop_no_work(redirection, tmp_path):
    if "full" in redirection and not FULL.exists():
        pytest.skip("this system has no /dev/full")
    plan = tmp_path / "plan.json"
    done = shell(["solve", str(TINY), "--json", "--plan", str(plan)], redirection)
    no_traceback(done)
    assert done.returncode == 0
    assert json.loads(plan.read_text())["status"] == "optimal"
    if ">&-" not in redirection.replace("2>&-", ""):
        assert json.loads(done.stdout)["status"] == "optimal"


@needs_full_device
def test_a_plan_is_written_where_nothing_can_be_said(tmp_path):
    plan = tmp_path / "plan.json"
    done = shell(["solve", str(TINY), "--plan", str(plan)], ">/dev/full 2>/dev/full")
    assert done.returncode == 2
    assert json.loads(plan.read_text())["status"] == "optimal"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_without_utf_8_gets_signs_that_it_has(encoding, tmp_path):
    named = json.loads(TINY.read_text()) | {"name": "café 日本"}
    path = tmp_path / "named.json"
    path.write_text(json.dumps(named))
    done = shell(["bound", str(path)], PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and done.stderr == b""
    text = done.stdout.decode(encoding)
    assert "makespan >= " in text and "\\u65e5\\u672c" in text
    done = shell(["bound", str(path), "--json"], PYTHONIOENCODING=encoding)
    assert json.loads(done.stdout.decode(encoding))["instance"] == "café 日本"
    done = shell(["bound", str(path), "--time-limit", "-1"], PYTHONIOENCODING=encoding)
    assert done.returncode == 2 and b">= 0" in done.stderr


def test_signs_in_ascii():
    assert plain("a ≥ 1 · b ± é 日") == "a >= 1 * b +/- e \\u65e5"


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.5])
def test_ctrl_c_while_packages_are_imported(seconds):
    """Signals at moments from the first import to the work itself: whichever comes, the answer is the same."""
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\nimport llmsched, os\n"
    code += f"os.write(1, b'x'); sys.argv = ['llmsched', 'bound', {str(TINY)!r}]; sys.exit(llmsched.main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, text=True
    )
    assert process.stdout is not None
    process.stdout.read(1)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) in [(130, "llmsched: interrupted\n"), (0, "")]


@pytest.mark.parametrize(
    ("package", "arguments"),
    [("typer", []), ("numpy", ["check", "instances/tiny/slots.json"])],
    ids=["at start-up", "of a command"],
)
def test_a_signal_in_the_middle_of_the_imports(tmp_path, package, arguments):
    """A package that sends the signal itself: the moment is certain."""
    sends = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    (tmp_path / f"{package}.py").write_text(sends)
    code = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += f"sys.argv[1:] = {arguments!r}; import llmsched; sys.exit(llmsched.main())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT, timeout=120
    )
    assert (done.returncode, done.stderr, done.stdout) == (130, "llmsched: interrupted\n", "")


def test_a_signal_in_the_import_of_a_compiled_package(capsys):
    """Such packages raise an ImportError because of the signal."""

    def work():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error

    assert answer(work) == 130 and capsys.readouterr().err == "llmsched: interrupted\n"


def test_a_study_on_a_full_disk_is_one_line(tmp_path):
    """No file may grow: every write fails as on a full disk."""
    study = tmp_path / "s.toml"
    study.write_text(
        'name = "s"\npolicies = ["fcfs"]\n[[instances]]\nfamily = "gsm8k-small"\nrequests = 3\nseeds = [0]\n'
    )
    code = "import resource, sys; from llmsched import main; import numba, llmsched_mip.study.run\n"
    code += "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
    code += f"sys.argv = ['llmsched', 'study', {str(study)!r}, '--out', {str(tmp_path / 'out')!r}]; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, timeout=120)
    assert done.returncode == 2
    assert no_traceback(done).count("\n") == 1 and b"cannot be written" in done.stderr


class HungUp(io.StringIO):
    """A terminal that is gone."""

    def isatty(self):
        return True

    def write(self, text):
        raise OSError(5, "Input/output error")


def test_a_study_outlives_its_terminal(tmp_path, monkeypatch, capsys):
    study, out = tmp_path / "s.toml", tmp_path / "out"
    study.write_text('name = "s"\npolicies = ["fcfs"]\n[[instances]]\nfamily = "gsm8k-small"\nrequests = 3\n')
    monkeypatch.setattr(sys, "stderr", HungUp())
    assert main(["study", str(study), "--out", str(out), "--jobs", "1"]) == 0
    assert "fcfs" in capsys.readouterr().out
    assert len(read_ledger(out)) == 1


@needs_full_device
@pytest.mark.parametrize("ending", [".mps", ".lp"])
def test_an_export_to_a_full_device_is_refused(ending, tmp_path, capsys):
    link = tmp_path / f"full{ending}"
    link.symlink_to(FULL)
    assert main(["export", str(TINY), "--model", "round_indexed", "-o", str(link)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cannot be written: No space left" in error


@pytest.mark.parametrize("ending", [".mps", ".lp", ".json"])
def test_an_old_file_survives_a_full_disk(ending, tmp_path):
    old = tmp_path / f"old{ending}"
    old.write_text("old")
    arguments = ["export", str(TINY), "--model", "round_indexed", "-o", str(old)]
    if ending == ".json":
        arguments = ["generate", "gsm8k-small", "-o", str(old)]
    code = "import resource, sys; from llmsched_mip.cli import main; import numba, llmsched_mip.models, highspy\n"
    code += f"resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)); sys.exit(main({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT, timeout=120)
    assert done.returncode == 2
    assert no_traceback(done).count("\n") == 1 and b"cannot be written" in done.stderr
    assert old.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == [old.name]
