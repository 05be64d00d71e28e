"""What a command does not need it does not import: start-up is quick because of that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TINY = Path(__file__).resolve().parents[2] / "instances" / "tiny" / "slots.json"
HEAVY = {"numba", "numpy", "pandas", "pulp", "pyomo", "scipy", "highspy", "plotly"}
CASES = {
    ("--help",): HEAVY,
    ("solve", "--help"): HEAVY,
    ("replay", "--help"): HEAVY,
    ("generate", "--help"): HEAVY,
    ("import", "--help"): HEAVY,
    ("worker", "--help"): HEAVY,
    ("calibrate", "--help"): HEAVY,
    ("worker", "list"): HEAVY - {"numpy"},
    ("check", str(TINY)): HEAVY - {"numpy"},
    ("check", "example:slots", "--json"): HEAVY - {"numpy"},
    ("schema", "solve"): HEAVY - {"numpy"},
    ("bound", str(TINY)): {"pandas", "pulp", "pyomo", "plotly"},
    ("replay", str(TINY), "--policy", "fcfs"): HEAVY - {"numpy"},
}


@pytest.mark.parametrize("arguments", CASES, ids=lambda arguments: " ".join(arguments[:2]).replace(str(TINY), ""))
def test_a_command_imports_what_it_needs(arguments):
    code = (
        f"import sys; sys.argv = ['llmsched', *{arguments!r}]; "
        f"from llmsched_mip.cli import main; code = main(list({arguments!r})); "
        "print('imported:', *sorted(name for name in sys.modules if '.' not in name)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.splitlines()[-1].split()[1:])
    assert not imported & CASES[arguments]


def test_all_modules_import_where_there_is_no_unix():
    code = """
import os, pkgutil, signal, sys
sys.modules.update(dict.fromkeys(("fcntl", "grp", "pwd", "termios", "resource")))
missing = {os: ("setpgrp", "getuid", "fork", "statvfs"), signal: ("pthread_sigmask", "SIGKILL", "SIGHUP")}
for owner, names in missing.items():
    for name in names:
        delattr(owner, name)
import llmsched_mip
for module in pkgutil.walk_packages(llmsched_mip.__path__, "llmsched_mip."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
