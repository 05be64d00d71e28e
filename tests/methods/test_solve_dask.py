"""`solve` on a real Dask cluster: what it finds, and what stays when a worker or all of it is lost."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
from dask_cluster import running_cluster

from llmsched_mip import clock, evaluate, write_instance
from llmsched_mip.cli import main
from llmsched_mip.engines.dask import DaskPool
from llmsched_mip.engines.engine import Outcome
from llmsched_mip.methods import Search
from llmsched_mip.methods.auto import first_plan, improve_part
from llmsched_mip.methods.parallel_parts import parallel_parts
from llmsched_mip.workload import generate

pytest.importorskip("distributed", reason="the package distributed is not installed")

SMALL = generate("gsm8k-opt66b-a100", 20, 3, slots=6).with_objective("total_completion")
FLEET = replace(SMALL, workers=tuple(replace(SMALL.workers[0], name=name, kv_capacity=2000) for name in "ab"))
LOOKS = 900


class Here:
    """The same tasks in this process."""

    def run(self, action, tasks, seconds, ended):
        return [Outcome(action(task)) for task in tasks]


class Losing(DaskPool):
    """A cluster whose processes are killed while the tasks of the second round run."""

    def __init__(self, scheduler, victims):
        super().__init__(scheduler)
        self.victims, self.rounds = victims, 0

    def run(self, action, tasks, seconds, ended):
        self.rounds += 1

        def kill():
            if self.rounds == 2:
                for victim in self.victims:
                    victim.kill()
            return ended()

        return super().run(action, tasks, seconds, kill)


def found_with(pool):
    """What rounds of tasks find whose work is counted: the same wherever they run."""
    with clock.counting(0.01):
        search = Search(FLEET, LOOKS * 0.01, threads=1, seed=1)
        first_plan(search)
        before = search.value
        search.attempt("cluster", lambda: parallel_parts(search, pool, improve_part))
    return before, search


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    monkeypatch.setattr("llmsched_mip.methods.parallel_parts.COUNTED_TURN_S", 0.2)


def test_a_cluster_finds_what_one_process_finds_also_when_a_worker_is_lost_and_all_is_kept_when_it_is_gone(tmp_path):
    before, here = found_with(Here())
    assert here.value < before
    with running_cluster(tmp_path) as cluster:
        with Losing(cluster.address, cluster.workers[:1]) as pool:
            _, there = found_with(pool)
        assert pool.rounds > 2 and cluster.workers[0].wait() == -9
        assert there.value == here.value and not there.failures
        with Losing(cluster.address, [cluster.scheduler, *cluster.workers]) as pool:
            _, kept = found_with(pool)
    assert pool.rounds == 2
    assert [failure.part for failure in kept.failures] == ["cluster"]
    assert "lost" in kept.failures[0].message
    assert evaluate(FLEET, kept.plan).feasible and kept.value <= before


@pytest.fixture
def instance_path(tmp_path):
    path = tmp_path / "instance.json"
    write_instance(FLEET, path)
    return str(path)


def test_the_command_line_with_a_cluster_on_this_machine(instance_path, capsys):
    pytest.importorskip("cryptography", reason="the package cryptography is not installed")
    assert main(["solve", instance_path, "--engine", "dask", "--work", "300", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["value"] > 0 and document["bound"] > 0


def test_an_address_where_nobody_listens_is_one_line(instance_path, capsys, monkeypatch):
    monkeypatch.setattr("llmsched_mip.engines.dask.CONNECT_SECONDS", 1.0)
    assert main(["solve", instance_path, "--engine", "dask", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    error = capsys.readouterr().err
    assert "no connection" in error and error.count("\n") == 1


def test_a_scheduler_without_its_engine_is_one_line(instance_path, capsys):
    assert main(["solve", instance_path, "--scheduler", "tcp://127.0.0.1:9"]) == 2
    error = capsys.readouterr().err
    assert "--engine dask" in error and error.count("\n") == 1


def test_distributed_that_is_missing_is_one_line(instance_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["solve", instance_path, "--engine", "dask"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "llmsched-mip[dask]" in error
