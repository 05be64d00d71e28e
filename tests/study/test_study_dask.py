"""The same study on a Dask cluster over TCP, with a worker that is killed."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack

import pytest
from dask_cluster import running_cluster
from small_studies import recorded_share, same_results, write_study

from llmsched_mip.cli import main
from llmsched_mip.cli.progress import PlainProgress
from llmsched_mip.study import read_ledger
from llmsched_mip.study.cases import read_study
from llmsched_mip.study.engines import ENGINES
from llmsched_mip.study.run import run_study

pytest.importorskip("distributed", reason="the package distributed is not installed")

CASES = 12


@pytest.fixture
def cluster(tmp_path):
    """Address and workers of a cluster over TCP."""
    with running_cluster(tmp_path) as found:
        yield found.address, found.workers


def test_dask_finds_what_local_processes_find_also_when_a_worker_is_killed(tmp_path, cluster):
    address, workers = cluster
    path = write_study(tmp_path, seeds=CASES, requests=300)
    study = read_study(path)
    run_study(study, tmp_path / "local", ENGINES["local"](jobs=2), PlainProgress())
    run_study(study, tmp_path / "dask", ENGINES["dask"](scheduler=address), PlainProgress())
    killed = []

    def kill():
        while recorded_share(tmp_path / "killed") < 3 / CASES:
            time.sleep(0.02)
        killed.append(recorded_share(tmp_path / "killed"))
        workers[0].kill()

    thread = threading.Thread(target=kill)
    thread.start()
    run_study(study, tmp_path / "killed", ENGINES["dask"](scheduler=address), PlainProgress())
    thread.join()
    assert workers[0].wait() == -9 and killed[0] < 1
    frames = [read_ledger(tmp_path / name) for name in ("local", "dask", "killed")]
    assert len(frames[0]) == 5 * CASES and frames[0]["value"].notna().all()
    assert same_results(frames[0], frames[1])
    assert same_results(frames[0], frames[2])


def test_a_cluster_on_this_machine(tmp_path, capsys):
    path = write_study(tmp_path, seeds=2)
    assert main(["study", str(path), "--out", str(tmp_path / "o"), "--engine", "dask", "--jobs", "1"]) == 0
    assert "2 of 2 cases recorded" in capsys.readouterr().err
    assert read_ledger(tmp_path / "o")["value"].notna().all()


def test_an_error_of_the_cluster_is_not_a_result_of_a_case(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("llmsched_mip.study.engines.dask.run_case", len)
    path = write_study(tmp_path, seeds=1)
    assert main(["study", str(path), "--out", str(tmp_path / "o"), "--engine", "dask", "--jobs", "1"]) == 2
    assert "a Dask worker: TypeError" in capsys.readouterr().err.strip().splitlines()[-1]
    assert read_ledger(tmp_path / "o")["status"].isna().all()


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("llmsched_mip.engines.dask.CONNECT_SECONDS", 1.0)
    path = write_study(tmp_path, seeds=1)
    arguments = ["study", str(path), "--out", str(tmp_path / "o"), "--engine", "dask"]
    assert main([*arguments, "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no connection" in capsys.readouterr().err.strip().splitlines()[-1]


def test_distributed_that_is_missing_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    path = write_study(tmp_path, seeds=1)
    assert main(["study", str(path), "--out", str(tmp_path / "o"), "--engine", "dask"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "llmsched-mip[dask]" in error


def test_nobody_else_on_this_machine_can_use_the_cluster():
    from distributed import Client
    from distributed.security import Security

    from llmsched_mip.study.engines.dask import DaskEngine

    pytest.importorskip("cryptography", reason="the package cryptography is not installed")
    with ExitStack() as stack:
        client = DaskEngine(jobs=1)._connected(stack)
        client.wait_for_workers(1, timeout=60)
        information = client.scheduler_info()
        addresses = [information["address"], *information["workers"]]
        addresses += [worker["nanny"] for worker in information["workers"].values()]
        assert len(addresses) == 3
        for address in addresses:
            assert address.startswith("tls://127.0.0.1:")
            strangers = [("tcp", None), ("tls", Security.temporary())]
            for protocol, security in strangers:
                other = address.replace("tls", protocol)
                with pytest.raises(OSError):
                    Client(other, security=security, timeout=1, set_as_default=False)


def test_cryptography_that_is_missing_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("llmsched_mip.engines.dask.find_spec", lambda name: None)
    path = write_study(tmp_path, seeds=1)
    assert main(["study", str(path), "--out", str(tmp_path / "o"), "--engine", "dask"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "cryptography" in error
