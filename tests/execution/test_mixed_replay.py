"""Mixed semantics: the executor against a plain simulator, a case by hand, and laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mixed_instances import drawn
from mixed_simulator import least_loaded, round_robin, simulate

from llmsched_mip.errors import InfeasibleInstanceError, InvalidInputError, InvalidPlanError
from llmsched_mip.execution import replay
from llmsched_mip.execution.mixed_executor import MixedExecutor
from llmsched_mip.execution.mixed_executor import round_robin as in_turn
from llmsched_mip.execution.mixed_queue import ArrivalOrder
from llmsched_mip.instance import Instance, Requests, Worker
from llmsched_mip.mixed_engine import IterationTime, MixedEngine
from llmsched_mip.timing import AffinePrefill, DecodeTime, request_kv_volume

ROUTES = {"round-robin": round_robin, "least-loaded": least_loaded}
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
KEYS = {
    "shortest-first": lambda job: job.length,
    "longest-first": lambda job: -job.length,
    "svf": lambda job: float(request_kv_volume(job.prompt, job.length)),
}


def require_same(outcome, servers, jobs):
    schedule, measures = outcome.schedule, outcome.measures
    np.testing.assert_allclose(schedule.completion_s, [job.end for job in jobs], **CLOSE)
    np.testing.assert_allclose(schedule.first_token_s, [job.first_token for job in jobs], **CLOSE)
    np.testing.assert_allclose(schedule.prefill_start_s, [job.prefill_start for job in jobs], **CLOSE)
    counts = (measures.prefill_iterations, measures.decode_rounds, outcome.evictions, outcome.prefix_hit_tokens)
    assert counts == tuple(
        sum(getattr(server, name) for server in servers)
        for name in ("prompt_iterations", "decode_iterations", "evictions", "hits")
    )
    assert measures.kv_peak == max(server.peak * server.engine.block_tokens for server in servers)
    if measures.utilization is not None:
        slots = sum(server.worker.slots for server in servers) * measures.makespan
        assert measures.utilization == pytest.approx(sum(server.busy for server in servers) / slots, rel=1e-9)


@pytest.mark.parametrize("balancer", ROUTES)
@pytest.mark.parametrize("first", range(0, 60, 15))
def test_replay_is_what_the_simulator_steps_through(first, balancer):
    for seed in range(first, first + 15):
        instance = drawn(seed)
        outcome = replay(instance, "vllm", balancer=balancer, lengths="unknown")
        require_same(outcome, *simulate(instance, route=ROUTES[balancer]))


@pytest.mark.parametrize("policy", KEYS)
def test_an_order_of_the_queue_is_what_the_simulator_takes_first(policy):
    for seed in range(212, 224):
        instance = drawn(seed, workers=1)
        require_same(replay(instance, policy), *simulate(instance, KEYS[policy]))


def test_the_random_instances_evict_and_hit():
    outcomes = [replay(drawn(seed), "vllm") for seed in range(40)]
    assert sum(outcome.evictions > 0 for outcome in outcomes) > 10
    assert sum((outcome.prefix_hit_tokens or 0) > 0 for outcome in outcomes) > 10


def test_nothing_is_held_at_the_end():
    for seed in range(20):
        instance = drawn(seed)
        executor = MixedExecutor(instance, [ArrivalOrder() for _ in instance.workers], in_turn(instance))
        assert executor.run()
        assert all(not lane.running and lane.blocks.held == lane.decodes.count == 0 for lane in executor.lanes)
        assert all(lane.decodes.kv_tokens == 0 and not lane.view.started for lane in executor.lanes)


@pytest.mark.parametrize("policy", ["vllm", "machine-time"])
def test_all_times_twice_as_long_and_everything_is(policy):
    """Powers of two: nothing is rounded otherwise."""

    def longer(time):
        if time is None:
            return None
        names = ("base_s", "per_token_s", "per_attention_s", "per_sequence_s", "per_kv_token_s")
        table = time.table and replace(time.table, seconds=tuple(2 * s for s in time.table.seconds))
        both = time.collective
        twice = both and replace(both, base_s=2 * both.base_s, per_token_s=2 * both.per_token_s)
        return replace(time, **{n: 2 * getattr(time, n) for n in names}, table=table, collective=twice)

    def slower(worker):
        engine = replace(worker.engine, decode=longer(worker.engine.decode), mixed=longer(worker.engine.mixed))
        return replace(
            worker, engine=engine, prefill_time=worker.prefill_time.scaled(1), decode_time=worker.decode_time.scaled(1)
        )

    for seed in range(15):
        one = drawn(seed)
        requests = replace(one.requests, arrival_s=2 * one.requests.arrival_s)
        other = replace(one, requests=requests, workers=tuple(slower(worker) for worker in one.workers))
        a, b = replay(one, policy), replay(other, policy)
        assert (2 * a.schedule.completion_s == b.schedule.completion_s).all()
        assert (a.evictions, a.prefix_hit_tokens) == (b.evictions, b.prefix_hit_tokens)


def worker(lag=0, **engine):
    times = {"decode": IterationTime(1.0), "mixed": IterationTime(2.0)}
    made = MixedEngine(token_budget=4, block_tokens=2, async_lag=lag, **times, **engine)
    return Worker("w", AffinePrefill(1.0, 0.0), DecodeTime(1.0), slots=2, kv_capacity=16, engine=made)


def by_hand(lag, prefix=None, arrival=(0.0, 0.0)):
    requests = Requests(("a", "b"), [6, 4], [2, 3], np.array(arrival), prefix_blocks=prefix)
    return Instance("by-hand", requests, (worker(lag),), semantics="mixed")


def test_two_requests_by_hand():
    """Iterations: a 4 tokens; a 2 and b 2, first token of a at 4; a decodes and b 2, which ends a at 6 = 3 + 4
    blocks, all but one; b's first token at 6, then two decodes."""
    outcome = replay(by_hand(0), "vllm")
    np.testing.assert_array_equal(outcome.schedule.first_token_s, [4.0, 6.0])
    np.testing.assert_array_equal(outcome.schedule.completion_s, [6.0, 8.0])
    assert (outcome.evictions, outcome.measures.prefill_iterations, outcome.measures.decode_rounds) == (0, 3, 2)


def test_an_arrival_waits_for_the_iteration_that_is_scheduled_already():
    """b comes at 0.5, during the first iteration of a.  Without lag the second one takes it in; with lag that was
    scheduled when the first began, so b's first chunk runs in the third, together with the decode of a, from 4 to 6."""
    alone, late = replay(by_hand(0, arrival=(0.0, 0.5)), "vllm"), replay(by_hand(1, arrival=(0.0, 0.5)), "vllm")
    np.testing.assert_array_equal(alone.schedule.prefill_start_s, [0.0, 2.0])
    np.testing.assert_array_equal(late.schedule.prefill_start_s, [0.0, 4.0])


def test_a_prompt_that_is_known_computes_its_last_block():
    """b is the first four tokens of a: two blocks are known, of which the second is computed again."""
    outcome = replay(by_hand(0, prefix=[[1, 2, 3], [1, 2]]), "vllm")
    assert outcome.prefix_hit_tokens == 2
    np.testing.assert_array_equal(outcome.schedule.first_token_s, [4.0, 4.0])


def test_the_last_admitted_gives_way_and_comes_back_with_its_tokens():
    """Five blocks: both prompts of 4 take two each, the first decode of a takes the fifth, b finds none and is evicted.

    a decodes alone until 5, and its seventh token takes the last block of b.  Then b comes back, finds its first block
    and computes 3 of its 5 tokens in an iteration of 2 s, which yields its second token; the third follows."""
    requests = Requests(("a", "b"), [4, 4], [4, 3])
    one = replace(worker(), kv_capacity=10, engine=replace(worker().engine, token_budget=8))
    instance = Instance("evicts", requests, (one,), semantics="mixed")
    outcome = replay(instance, "vllm")
    assert (outcome.evictions, outcome.prefix_hit_tokens) == (1, 2)
    np.testing.assert_array_equal(outcome.schedule.first_token_s, [2.0, 2.0])
    np.testing.assert_array_equal(outcome.schedule.completion_s, [5.0, 8.0])
    without = replace(instance, workers=(replace(one, engine=replace(one.engine, prefix_cache=False)),))
    assert replay(without, "vllm").prefix_hit_tokens == 0


def test_a_plan_is_taken_for_either_semantics():
    mixed = drawn(3, workers=2)
    exclusive = mixed.exclusive()
    assert mixed.plan_digest == exclusive.digest != mixed.digest
    plan = replay(exclusive, "fcfs").to_plan(exclusive)
    outcome = replay(mixed, "plan-order", plan=plan)
    placed = {i: part.name for part in plan.workers for i in part.requests.tolist()}
    assert [mixed.workers[w].name for w in outcome.schedule.worker] == [placed[i] for i in range(mixed.n)]
    with pytest.raises(InvalidPlanError, match="chunked prefill"):
        outcome.to_plan(mixed)
    with pytest.raises(InvalidInputError, match="another instance"):
        replay(drawn(4, workers=2), "plan-order", plan=plan)


def test_vllm_runs_an_exclusive_instance_as_mixed():
    mixed = drawn(7)
    a, b = replay(mixed, "vllm"), replay(mixed.exclusive(), "vllm")
    np.testing.assert_array_equal(a.schedule.completion_s, b.schedule.completion_s)


def test_what_makes_no_sense_says_so():
    mixed = drawn(1)
    for given, message in (
        ({"policy": "geometric-slicing"}, "mixed engine"),
        ({"policy": "vllm", "balancer": "best"}, "least-loaded, round-robin, plan"),
        ({"policy": "vllm", "balancer": "plan"}, "needs a plan"),
        ({"policy": "plan"}, "needs a plan"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            replay(mixed, **given)
    with pytest.raises(InvalidInputError, match="goes with mixed"):
        replay(mixed.exclusive(), "fcfs", balancer="round-robin")
    with pytest.raises(InfeasibleInstanceError, match="17 KV tokens, in whole blocks"):
        replace(by_hand(0), requests=Requests(("a",), [10], [8]))
