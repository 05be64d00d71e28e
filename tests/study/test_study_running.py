"""Studies that run: killed, interrupted, resumed, with cases that fail and workers that die."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from small_studies import command, same_results, start, wait_for_share, write_study

import llmsched_mip.study.runner as runner
from llmsched_mip import read_plan, write_instance
from llmsched_mip.cli import main
from llmsched_mip.cli.progress import PlainProgress
from llmsched_mip.study import read_ledger
from llmsched_mip.study.cases import read_study
from llmsched_mip.study.engines import ENGINES
from llmsched_mip.study.run import run_study
from llmsched_mip.study.runner import run_case
from llmsched_mip.workload import generate

LARGE = 500


class Recorder(PlainProgress):
    """Counts what a watcher is told."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def started(self, case):
        super().started(case)
        self.seen["started", case.source.seed] += 1

    def finished(self, case, results):
        super().finished(case, results)
        self.seen["finished", case.source.seed] += 1


def test_killed_twice_and_resumed_is_the_unbroken_study(tmp_path, capsys):
    path = write_study(tmp_path, seeds=8, requests=LARGE)
    for share in (1 / 8, 4 / 8):
        process = start(path, "--out", tmp_path / "o", "--resume", "--jobs", "1")
        wait_for_share(process, tmp_path / "o", share)
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        process.wait()
        require_ended(workers)
    before = read_ledger(tmp_path / "o")
    recorded = before[before["status"].notna()]
    assert 0 < len(recorded) < len(before)
    assert set(recorded.groupby("seed").size()) == {5}
    assert main(["study", str(path), "--out", str(tmp_path / "o"), "--resume", "--jobs", "1"]) == 0
    assert f"{len(recorded) // 5} of them recorded before" in capsys.readouterr().err
    after = read_ledger(tmp_path / "o")
    kept = after[after["key"].isin(recorded["key"])]
    assert list(kept["finished"]) == list(recorded["finished"])
    unbroken = run_here(path, tmp_path / "unbroken")
    assert same_results(after, unbroken)
    unbroken.loc[7, "value"] += 1e-9
    assert not same_results(after, unbroken)


def require_ended(pids):
    until = time.monotonic() + 6000
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert pids and not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def run_here(path, folder, engine=None, resume=False):
    run_study(read_study(path), folder, engine or ENGINES["local"](jobs=1), PlainProgress(), resume)
    return read_ledger(folder)


def test_ctrl_c_keeps_what_is_recorded_and_says_how_to_continue(tmp_path):
    path = write_study(tmp_path, seeds=30, requests=LARGE)
    process = start(path, "--out", tmp_path / "o", "--jobs", "1")
    wait_for_share(process, tmp_path / "o", 1 / 30)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output == "" and "Traceback" not in errors
    assert f"--out {tmp_path / 'o'} --resume" in errors
    done = read_ledger(tmp_path / "o")["status"].notna().sum()
    assert 5 <= done < 150 and done % 5 == 0


def test_a_file_system_that_takes_no_more(tmp_path):
    path = write_study(tmp_path, seeds=8)
    limited = subprocess.run(
        command(path, "--out", tmp_path / "o", "--jobs", "1"),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)),
    )
    assert limited.returncode == 2
    last = limited.stderr.strip().splitlines()[-1]
    assert "ledger.sqlite: cannot be written" in last and "Traceback" not in limited.stderr
    recorded = read_ledger(tmp_path / "o")["status"].notna().sum()
    assert 0 < recorded < 40 and recorded % 5 == 0
    assert run_here(path, tmp_path / "o", resume=True)["status"].notna().all()


def test_one_bad_case_never_ends_a_study(tmp_path):
    for seed in range(3):
        write_instance(generate("gsm8k-65b", 20, seed, slots=4), tmp_path / f"{seed}.json")
    path = tmp_path / "files.toml"
    path.write_text('name = "f"\nmethods = ["lists"]\npolicies = ["fcfs"]\n[[instances]]\nfiles = ["*.json"]\n')
    study = read_study(path)
    (tmp_path / "1.json").write_text("{}")
    run_study(study, tmp_path / "o", ENGINES["local"](jobs=1), PlainProgress())
    frame = read_ledger(tmp_path / "o")
    assert list(frame["status"] == "failed") == [False, False, True, True, False, False]
    assert frame["error"].iloc[2] and frame["error"].iloc[2] == frame["error"].iloc[3]
    assert pd.isna(frame["value"].iloc[2])


def test_a_row_that_fails_leaves_the_others(tmp_path, monkeypatch):
    real = runner.replay

    def fails(instance, policy, **options):
        if options["lengths"] == "interval":
            raise RuntimeError("two\nlines")
        return real(instance, policy, **options)

    monkeypatch.setattr(runner, "replay", fails)
    results = run_case(read_study(write_study(tmp_path, seeds=1)).cases[0])
    assert [result.columns["status"] == "failed" for result in results] == [False, False, False, True, False]
    assert results[3].columns["error"] == "RuntimeError: two lines"


def killer(times):
    """Kill the next `times` worker processes that appear."""
    seen = set()
    until = time.monotonic() + 600
    while len(seen) < times and time.monotonic() < until:
        for child in multiprocessing.active_children():
            if child.pid not in seen and len(seen) < times:
                seen.add(child.pid)
                time.sleep(0.3)
                os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.02)


@pytest.mark.parametrize("times", [1, 2])
def test_a_worker_that_dies_fails_only_its_case_and_only_the_second_time(tmp_path, times):
    path = write_study(tmp_path, seeds=2)
    watcher = Recorder()
    thread = threading.Thread(target=killer, args=(times,))
    thread.start()
    run_study(read_study(path), tmp_path / "o", ENGINES["local"](jobs=1), watcher)
    thread.join()
    assert watcher.seen == Counter([(what, seed) for what in ("started", "finished") for seed in (0, 1)])
    frame = read_ledger(tmp_path / "o")
    failed = frame[frame["status"] == "failed"]
    if times == 1:
        assert failed.empty
        return
    assert set(failed["seed"]) == {0} and len(failed) == 5
    assert "SIGKILL" in failed["error"].iloc[0]
    assert frame[frame["seed"] == 1]["value"].notna().all()


def test_kept_plans_are_the_schedules_of_their_rows(tmp_path):
    path = write_study(tmp_path, seeds=1, extra="keep_plans = true")
    frame = run_here(path, tmp_path / "o")
    instance = read_study(path).cases[0].source.load()
    assert len(frame) == frame["plan"].nunique() == 5
    for value, name in zip(frame["value"], frame["plan"], strict=True):
        assert read_plan(tmp_path / "o" / "plans" / name, instance).claims.value == pytest.approx(value)


def test_the_export_is_what_pandas_reads(tmp_path, capsys):
    path = write_study(tmp_path, seeds=2)
    assert main(["study", str(path), "--out", str(tmp_path / "o"), "--export", "--jobs", "1"]) == 0
    written = capsys.readouterr()
    assert "2 of 2 cases recorded" in written.err and "hybrid" in written.out
    ledger = read_ledger(tmp_path / "o", decode=False)
    parquet, csv = pd.read_parquet(tmp_path / "o" / "results.parquet"), pd.read_csv(tmp_path / "o" / "results.csv")
    for frame in (parquet, csv):
        assert list(frame.columns) == list(ledger.columns)
        assert list(frame["key"]) == list(ledger["key"])
        assert frame["value"].to_numpy(float) == pytest.approx(ledger["value"].to_numpy(float))
        assert list(frame["bounds"]) == list(ledger["bounds"])
        assert pd.api.types.is_integer_dtype(frame["decode_rounds"])


def test_an_offline_plan_is_made_once_for_all_rows(tmp_path, monkeypatch):
    calls = []
    real = runner.solve
    monkeypatch.setattr(runner, "solve", lambda *args, **options: calls.append(options) or real(*args, **options))
    path = write_study(tmp_path, seeds=1)
    results = run_case(read_study(path).cases[0])
    assert len(calls) == 1 and calls[0]["threads"] == 1 and calls[0]["gap"] == 0.9
    assert len(results) == 5
