"""The policy rolling: plans take effect after their delay, replays repeat, nobody starves, nothing hidden is seen."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import Executor, replay
from llmsched_mip.policies import make_policy
from llmsched_mip.policies.protocol import VISIBILITY, Problem
from llmsched_mip.workload.predictions import with_intervals


def worker(name="w0", slots=4, kv_capacity=200):
    return Worker(name, AffinePrefill(0.1, 0.01), DecodeTime(0.1, 0.001, 0.0001), slots=slots, kv_capacity=kv_capacity)


def stream(count=60, seed=0, workers=2):
    """Arrivals at somewhat more than the rate at which they are served."""
    rng = np.random.default_rng(seed)
    requests = Requests(
        id=[f"r{i}" for i in range(count)],
        prefill_tokens=rng.integers(1, 60, count),
        decode_tokens=rng.integers(1, 60, count),
        arrival_s=np.sort(rng.uniform(0, 40, count)),
    )
    servers = tuple(worker(f"w{k}") for k in range(workers))
    instance = Instance(name="stream", requests=requests, workers=servers, objective="total_completion")
    return with_intervals(instance, 4, seed)


def starts(instance, option="", lengths="interval"):
    return replay(instance, "rolling" + option, lengths=lengths).schedule.prefill_start_s


@pytest.mark.parametrize("lengths", VISIBILITY)
def test_replays_repeat(lengths):
    assert np.array_equal(starts(stream(), lengths=lengths), starts(stream(), lengths=lengths))


@pytest.mark.parametrize("lengths", ["interval", "unknown"])
def test_lengths_are_not_seen_before_they_show(lengths):
    """Before the first completion two instances that differ in hidden lengths alone are served alike."""
    short = stream(workers=1)
    short = short.with_requests(replace(short.requests, arrival_s=short.requests.arrival_s / 40))
    d = short.requests.decode_tokens
    longer = short.with_requests(replace(short.requests, decode_tokens=np.where(np.arange(short.n) < 3, d, d + 7)))
    first, second = (replay(x, "rolling", lengths=lengths).schedule for x in (short, longer))
    until = min(np.min(first.completion_s), np.min(second.completion_s))
    early = (first.prefill_start_s < until) | (second.prefill_start_s < until)
    assert early.any()
    assert np.array_equal(first.prefill_start_s[early], second.prefill_start_s[early])


@pytest.mark.parametrize("delay", [0.0, 1.5, 20.0])
def test_a_plan_takes_effect_no_sooner_than_its_delay(delay):
    instance = stream()
    policy = make_policy(f"rolling:delay={delay},period=3", Problem.of(instance, "interval"))
    queue, asked, placed = policy.backlog.queue, [], []
    plan, place = policy._plan, queue.place

    def noted(time):
        asked.append(time)
        plan(time)

    def effect(keys):
        placed.append((asked[-1], policy.now))
        place(keys)

    follow = policy._follow

    def at(time):
        policy.now = time
        follow(time)

    policy._plan, queue.place, policy._follow = noted, effect, at
    Executor(instance, policy).run()
    assert placed or delay > 10
    assert all(now >= when + delay for when, now in placed)
    assert all(later >= sooner + min(delay, 3) for sooner, later in pairwise(asked))


def crowded(count=200):
    """One large request, and small ones that take all that a worker can do for as long as they come."""
    requests = Requests(
        id=[f"r{i}" for i in range(count + 1)],
        prefill_tokens=np.array([60] + [10] * count),
        decode_tokens=np.array([60] + [10] * count),
        arrival_s=np.array([1.0] + [0.65 * k for k in range(count)]),
    )
    one = worker(slots=2, kv_capacity=121)
    return Instance(name="crowded", requests=requests, workers=(one,), objective="total_completion")


def test_with_age_a_large_request_does_not_wait_for_all_small_ones():
    instance = crowded()
    waited = {ageing: starts(instance, f":ageing={ageing}", "known")[0] - 1.0 for ageing in (0, 1)}
    in_order = replay(instance, "fcfs").measures.p99_latency
    assert waited[0] > 2 * waited[1]
    assert waited[1] < 3 * in_order


def test_two_workers_share_out_what_comes():
    served = replay(stream(), "rolling", lengths="interval").schedule.worker
    assert min(np.bincount(served, minlength=2)) > 15


@pytest.mark.parametrize("lengths", VISIBILITY)
def test_a_mixed_engine_follows_its_order(lengths):
    instance = stream()
    mixed = replace(instance, semantics="mixed")
    measures = replay(mixed, "rolling", lengths=lengths).measures
    assert np.isfinite(measures.mean_latency)


@pytest.mark.parametrize("option", ["", "period=0", "delay=-1", "ageing=nan", "speed=2", "delay=1,delay=2", "risk=0.6"])
def test_options_that_are_none(option):
    with pytest.raises(InvalidInputError, match="rolling"):
        make_policy(f"rolling:{option}", Problem.of(stream(8), "known"))
