"""The online rule where KV binds: who goes first, when it waits, what duals and plans are worth to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.bounds import compute
from llmsched_mip.execution import replay
from llmsched_mip.plan import Duals, Plan, Stage
from llmsched_mip.policies.parts.idle_price import kv_worth_waiting, planned_prices
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.relaxations.fluid.duals import capacity_duals
from llmsched_mip.workload import generate


def backlog(prefill, decode, capacity, slots=None, prefill_s=0.0, workers=1):
    requests = Requests([f"r{i}" for i in range(len(prefill))], prefill, decode)
    worker = Worker("w", AffinePrefill(prefill_s, 0.0), DecodeTime(1.0), slots=slots, kv_capacity=capacity)
    return Instance("hand", requests, tuple(replace(worker, name=f"w{k}") for k in range(workers)))


def test_a_request_that_ends_with_one_that_runs_goes_before_a_larger_one():
    """r0 runs from 0 to 6.  At 1 r1 (4 + 4 tokens at its end) or r2 (1 + 5) fits beside it, not both: r2 would end with
    r0, so it goes first, and r1 has to wait for their end; with nothing known r2 does not pass."""
    case = backlog([4, 4, 1], [6, 4, 5], 17)
    case = case.with_requests(replace(case.requests, arrival_s=[0.0, 1.0, 1.0]))
    assert replay(case, "lagrangian").schedule.prefill_start_s.tolist() == [0, 6, 1]
    _, first, second = replay(case, "lagrangian", lengths="unknown").schedule.prefill_start_s.tolist()
    assert first <= second


def test_it_waits_where_the_next_completion_makes_the_prefill_cheaper_for_each_token():
    """f = 4 for 10 tokens now, or 4 + 10 · 0.1 · 2 for 10 + 10 after two rounds: 0.4 against 0.3 a token; at a price of
    0.3 it is 4 + 6 for 20, and 0.4 against 0.5."""
    rounds, freed = np.array([2.0]), np.array([10.0])
    assert kv_worth_waiting(4.0, 0.1, 10.0, rounds, freed)
    assert not kv_worth_waiting(4.0, 0.3, 10.0, rounds, freed)


@pytest.mark.parametrize(("family", "count"), [("azure-conv", 400), ("arxiv-summarization", 300)])
def test_without_a_plan_it_closes_half_of_the_gap_where_kv_binds(family, count):
    case = generate(family, count, worker="llama2-70b-a100-tp2").with_objective("makespan")
    bound = max(found.value for found in compute(case, names=("area", "kv_volume")))
    first_come, rule = (replay(case, name).measures.makespan for name in ("fcfs", "lagrangian"))
    assert rule <= (first_come + bound) / 2


def test_a_bad_plan_is_not_followed():
    case = generate("gsm8k-opt66b-a100", 60).with_objective("makespan")
    one_by_one = Plan.of(case, "bad", [[Stage([i], [0], int(case.requests.decode_tokens[i])) for i in range(case.n)]])
    alone = replay(case, "lagrangian").measures.makespan
    assert replay(case, "lagrangian", plan=one_by_one).measures.makespan == alone


def test_duals_by_hand():
    """Slots bind: a slot-second of two is worth half a second.  KV binds, 50 token-rounds against 10 tokens on at most
    five slots: a token-second of 10 is worth a tenth; on two like workers each second of one is worth half a second."""
    slots = backlog([1, 1, 1], [5, 5, 5], 100, slots=2)
    assert capacity_duals(slots) == {"w0": Duals(0.5, 0.0)}
    sizes = [5, 1, 1, 1, 1, 1]
    assert capacity_duals(backlog(sizes, sizes, 10)) == {"w0": Duals(0.0, pytest.approx(1 / 10))}
    assert capacity_duals(backlog(sizes, sizes, 10, workers=2))["w1"] == Duals(0.0, pytest.approx(1 / 20))


@pytest.mark.parametrize("objective", ["makespan", "total_completion"])
def test_duals_have_no_unit_of_time(objective):
    case = generate("azure-conv", 40, 2).with_objective(objective)
    worker = case.workers[0]
    slower = replace(worker, prefill_time=worker.prefill_time.scaled(3), decode_time=worker.decode_time.scaled(3))
    assert capacity_duals(replace(case, workers=(slower,))) == capacity_duals(case)


def test_duals_of_a_plan_are_prices_of_the_seconds_of_the_worker_itself():
    case = backlog([7, 7, 7], [4, 4, 4], 12, slots=3, workers=2)
    plan = replace(Plan.of(case, "none", [[], []]), duals={"w0": Duals(0.05, 0.0125), "w1": Duals(0.0, 0.0)})
    problem = Problem.of(case, "known", plan)
    assert planned_prices(problem, 0) == Duals(pytest.approx(1 / 6), pytest.approx(1 / 24))
    assert planned_prices(problem, 1) is None
