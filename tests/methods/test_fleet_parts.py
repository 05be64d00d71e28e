"""Parts of a fleet's plan are improved apart: what comes back is checked, and a task that fails changes nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from llmsched_mip import clock, evaluate
from llmsched_mip.engines.engine import EngineError, Outcome
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.methods import Search
from llmsched_mip.methods.auto import first_plan, improve_part
from llmsched_mip.methods.fleet import fleet_from_plan
from llmsched_mip.methods.fleet_orders import fleet_orders_from_plan
from llmsched_mip.methods.fleet_parts import Parts
from llmsched_mip.methods.parallel_parts import Rounds, parallel_parts
from llmsched_mip.methods.portfolio import solve
from llmsched_mip.workload import generate

SMALL = generate("gsm8k-opt66b-a100", 24, 3, slots=6)
WORKER = SMALL.workers[0]
FLEET = replace(SMALL, workers=tuple(replace(WORKER, name=f"w{k}", kv_capacity=1500 + 700 * k) for k in range(3)))
LOOKS = 1200


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    monkeypatch.setattr("llmsched_mip.methods.parallel_parts.COUNTED_TURN_S", 0.2)


class Here:
    """A pool of this process; what it runs can be made to fail."""

    def __init__(self, fails=False):
        self.fails, self.rounds = fails, 0

    def width(self):
        return 2

    def run(self, action, tasks, seconds, ended):
        self.rounds += 1
        return [Outcome(None, "lost on purpose") if self.fails else Outcome(action(task)) for task in tasks]


def begun(objective, limit_s=math.inf):
    search = Search(FLEET.with_objective(objective), limit_s, threads=1, seed=1)
    first_plan(search)
    return search


def counted(pool, objective):
    """Rounds of tasks limited by looks at the clock, not by time."""
    with clock.counting(0.01):
        search = begun(objective, LOOKS * 0.01)
        before = search.value
        search.attempt("rounds", lambda: parallel_parts(search, pool, improve_part))
    return before, search


@pytest.mark.parametrize("objective", ["makespan", "total_completion"])
def test_rounds_of_tasks_help_and_repeat(objective):
    pool = Here()
    before, search = counted(pool, objective)
    _, again = counted(Here(), objective)
    assert pool.rounds > 2 and not search.failures
    assert search.value < before or (objective == "makespan" and search.value == before)
    assert search.value == again.value and len(search.trace) == len(again.trace)
    assert evaluate(search.instance, search.plan).feasible


def test_workers_without_requests_are_no_part():
    few = FLEET.take([0, 1])
    few = replace(few, workers=tuple(replace(WORKER, name=f"w{k}") for k in range(9)))
    search = Search(few.with_objective("total_completion"), math.inf, threads=1)
    first_plan(search)
    rounds = Rounds(Parts(search.instance, search.plan), 0)
    for _ in range(6):
        for group in rounds.next(4):
            assert rounds.parts.part(group)[0].n > 0


def test_tasks_that_are_lost_change_nothing():
    pool = Here(fails=True)
    before, search = counted(pool, "total_completion")
    assert search.value == before and pool.rounds == 3
    assert search.failures[0].message == "lost on purpose"
    assert "3 rounds in a row" in search.failures[-1].message


@pytest.mark.parametrize("objective", ["makespan", "total_completion"])
def test_parts_are_the_plan(objective):
    search = begun(objective)
    parts = Parts(search.instance, search.plan)
    assert math.isclose(parts.value, search.value)
    for group in [(0,), (1, 2)]:
        instance, plan = parts.part(group)
        assert evaluate(instance, plan).feasible
        assert [worker.name for worker in instance.workers] == [FLEET.workers[w].name for w in group]
        assert parts.take(group, instance, plan) == 0.0
        without = replace(plan, workers=tuple(replace(s, rounds=s.rounds - 1) for s in plan.workers))
        with pytest.raises(ValueError, match="infeasible"):
            parts.take(group, instance, without)
    assert evaluate(search.instance, parts.plan()).measures.objective(objective) == search.value


def test_what_goes_on_from_a_plan_is_never_worse():
    for objective, go_on in (("makespan", fleet_from_plan), ("total_completion", fleet_orders_from_plan)):
        _, search = counted(Here(), objective)
        for limit_s in (0.0, 0.5):
            again = Search(search.instance, limit_s, threads=1)
            again.offer(search.plan)
            plan = go_on(again, [None] * 3)[0] if objective == "makespan" else (go_on(again), again.plan)[1]
            assert evaluate(again.instance, plan).measures.objective(objective) <= search.value


def test_rules_of_a_worker_are_kept_for_its_next_turn():
    search = begun("makespan", 0.3)
    plan, rules = fleet_from_plan(search, [None] * 3)
    after = Search(search.instance, 0.0, threads=1)
    after.offer(plan)
    again, same = fleet_from_plan(after, rules)
    assert same == rules
    assert np.isclose(after.value, evaluate(search.instance, again).measures.makespan)


def test_engines_that_there_are_not():
    with pytest.raises(EngineError, match="--scheduler goes with"):
        solve(SMALL, scheduler="tcp://127.0.0.1:9", time_limit_s=0.0)
    with pytest.raises(InvalidInputError, match="engine"):
        solve(SMALL, engine="cloud", time_limit_s=0.0)
    with pytest.raises(InvalidInputError, match="method auto"):
        solve(SMALL, engine="dask", method="fleet", time_limit_s=0.0)
