"""Ctrl-C during `llmsched solve`: the best plan so far is kept and written, exit code 0."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from llmsched_mip import clock, evaluate, read_instance, read_plan, write_instance
from llmsched_mip.methods import Search, solve
from llmsched_mip.workload import generate


@pytest.mark.parametrize("delay", [0.0, 1.0, 3.0])
def test_ctrl_c_at_any_time(tmp_path, delay):
    """From the first log line on: a plan and 0, or where there is none yet its bounds and 130."""
    instance_file, plan_file = tmp_path / "instance.json", tmp_path / "plan.json"
    write_instance(generate("gsm8k-opt66b-a100", 400, 2, slots=60), instance_file)
    command = [sys.executable, "-m", "llmsched_mip.cli", "solve", str(instance_file), "--time-limit", "120"]
    process = subprocess.Popen(
        [*command, "--plan", str(plan_file), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    log = process.stderr.readline() + process.stderr.readline() + process.stderr.readline()
    time.sleep(delay)
    os.kill(process.pid, signal.SIGINT)
    out, more = process.communicate(timeout=60)
    document = json.loads(out)
    if document["value"] is None:
        assert process.returncode == 130 and "before there was a plan" in more and not plan_file.exists()
        return
    assert process.returncode == 0, log + more
    instance = read_instance(instance_file)
    plan = read_plan(plan_file, instance)
    assert evaluate(instance, plan).violations == []
    assert plan.claims.value == document["value"]
    assert "interrupted" in more


def test_interrupted_in_the_middle_keeps_the_plan():
    """The signal handler that the search sets asks it to end; afterwards the old one is back."""
    instance = generate("gsm8k-opt66b-a100", 400, 2, slots=60)
    before = signal.getsignal(signal.SIGINT)

    sent = []

    def once(event):
        if not sent and event.incumbent is not None:
            sent.append(event)
            signal.raise_signal(signal.SIGINT)

    with clock.counting():
        result = solve(instance, time_limit_s=60, log=once)
    assert result.interrupted
    assert result.plan.claims.seconds < 30
    assert evaluate(instance, result.plan).violations == []
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(KeyboardInterrupt), Search(instance.with_objective("makespan"), 1.0):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_no_handler_is_set():
    instance = generate("gsm8k-65b", 20, 0, slots=4)
    results = []
    thread = threading.Thread(target=lambda: results.append(solve(instance, time_limit_s=0.5)))
    thread.start()
    thread.join(30)
    assert evaluate(instance, results[0].plan).violations == []
