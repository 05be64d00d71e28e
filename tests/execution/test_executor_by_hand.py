"""Hand-computed replays: evictions, arrivals, several workers, and policies that break the model."""

from __future__ import annotations

import csv

import pytest
from event_log_checker import check_log

from llmsched_mip import AffinePrefill, DecodeTime, Instance, LevelPrefill, Requests, Worker
from llmsched_mip.errors import InvalidPlanError
from llmsched_mip.execution import Executor, replay
from llmsched_mip.policies import make_policy
from llmsched_mip.policies.protocol import Decode, Policy, Prefill, Problem, Wait

SECOND = AffinePrefill(1.0, 0.0), DecodeTime(1.0)


def instance(prefill, decode, arrival=None, workers=None, **limits):
    ids = [f"r{i}" for i in range(len(prefill))]
    return Instance("hand", Requests(ids, prefill, decode, arrival), workers or (Worker("w", *SECOND, **limits),))


def run(case, name="fcfs", lengths="known"):
    events = []
    executor = Executor(case, make_policy(name, Problem.of(case, lengths)), events.append)
    executor.run()
    outcome = executor.outcome(name, 0.0)
    check_log(case, events, outcome)
    return outcome, events


def test_eviction_loses_progress_and_prefills_again():
    """Both are prefilled 0..1 and make two tokens until 3, where 8 KV tokens are held.  r1 is evicted; r0 ends at 5;
    r1 is prefilled again 5..6 and makes all its three tokens until 9."""
    case = instance([2, 2], [4, 3], kv_capacity=8)
    outcome, events = run(case, lengths="unknown")
    assert outcome.evictions == 1
    assert outcome.schedule.completion_s.tolist() == [5.0, 9.0]
    assert outcome.schedule.prefill_start_s.tolist() == [0.0, 5.0]
    assert outcome.schedule.first_token_s.tolist() == [2.0, 2.0]
    assert outcome.measures.decode_rounds == 7 and outcome.measures.prefill_iterations == 2
    assert outcome.measures.kv_peak == 8
    assert [(e.time, e.event, e.request) for e in events if e.event in ("prefill", "evict")] == [
        (0.0, "prefill", 0),
        (0.0, "prefill", 1),
        (3.0, "evict", 1),
        (5.0, "prefill", 1),
    ]
    with pytest.raises(InvalidPlanError, match="evicted 1 requests"):
        outcome.to_plan(case)
    # The forward check sees the overflow: no eviction, r1 starts when r0 is done.
    known = run(case)[0]
    assert known.evictions == 0 and known.schedule.completion_s.tolist() == [5.0, 9.0]


def test_request_that_outgrows_its_worker_moves_to_one_that_holds_it():
    """Unknown: r0 (2 + 4 tokens) starts on w0 with 5 KV tokens, overflows at 4 s, runs on w1 from 4 s."""
    workers = (Worker("w0", *SECOND, slots=1, kv_capacity=5), Worker("w1", *SECOND, kv_capacity=20))
    outcome, _ = run(instance([2], [4], workers=workers), lengths="unknown")
    assert outcome.evictions == 1
    assert outcome.schedule.completion_s.tolist() == [9.0]
    assert outcome.schedule.worker.tolist() == [1] and outcome.schedule.slot.tolist() == [-1]


@pytest.mark.parametrize(
    ("arrivals", "slots", "completion"),
    [
        ([0.0, 3.5], 2, [12.0, 7.0]),
        ([0.0, 4.0], 2, [12.0, 7.0]),
        ([0.0, 0.5], 2, [12.0, 4.0]),
        ([0.0, 3.5], 1, [11.0, 14.0]),
        ([0.0, 20.0], 1, [11.0, 23.0]),
        ([2.0, 0.0], 2, [13.0, 4.0]),
    ],
)
def test_arrival_ends_an_open_run_at_the_next_boundary(arrivals, slots, completion):
    outcome, _ = run(instance([1, 1], [10, 2], arrivals, slots=slots))
    assert outcome.schedule.completion_s.tolist() == completion


def test_arrivals_before_the_same_boundary_share_the_prefill():
    outcome, _ = run(instance([1, 1, 1], [10, 2, 2], [0.0, 3.2, 3.7], slots=3))
    assert outcome.schedule.prefill_start_s.tolist() == [0.0, 4.0, 4.0]
    assert outcome.measures.prefill_iterations == 2


def test_arrival_cut_with_growing_rounds():
    """Rounds of 0.5 + 0.25 KV: 1 KV token prompts; rounds end at 1 + 1, + 1.25, + 1.5: the boundary after 3 s."""
    worker = Worker("w", AffinePrefill(1.0, 0.0), DecodeTime(0.5, 0.0, 0.25), slots=2)
    outcome, _ = run(instance([1, 1], [10, 1], [0.0, 3.0], (worker,)))
    assert outcome.schedule.prefill_start_s.tolist() == [0.0, 3.25]


def test_two_workers_share_the_queue():
    slow = Worker("slow", AffinePrefill(1.0, 0.0), DecodeTime(2.0), slots=1)
    workers = (Worker("fast", *SECOND, slots=1), slow)
    outcome, _ = run(instance([1, 1, 1], [2, 2, 2], workers=workers))
    assert outcome.schedule.completion_s.tolist() == [3.0, 5.0, 6.0]
    assert outcome.schedule.worker.tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", ["fcfs", "longest-first", "lagrangian"])
def test_request_that_fits_one_worker_does_not_block_the_other(name):
    """r0 (9 prompt tokens) fits w1 only, which is busy with nothing; w0 serves r1 and r2."""
    workers = (
        Worker("w0", LevelPrefill((4,), (1.0,)), DecodeTime(1.0), slots=1),
        Worker("w1", *SECOND, slots=1),
    )
    outcome, _ = run(instance([9, 1, 1], [5, 3, 2], workers=workers), name)
    assert outcome.schedule.worker.tolist() == [1, 0, 0]
    assert outcome.schedule.completion_s.tolist() == [6.0, 4.0, 7.0]


@pytest.mark.parametrize("name", ["fcfs", "longest-first", "lagrangian"])
def test_arrival_wakes_a_worker_whose_queue_holds_only_what_it_cannot_run(name):
    """w0 cannot run r1, which waits for w1; r2 arrives at 3.5 and starts on w0 at the next boundary, 4 s."""
    workers = (
        Worker("w0", LevelPrefill((4,), (1.0,)), DecodeTime(1.0), slots=2),
        Worker("w1", *SECOND, slots=1),
    )
    case = instance([1, 9, 9, 1], [30, 28, 2, 2], [0.0, 0.0, 0.5, 3.5], workers)
    outcome, _ = run(case, name)
    assert outcome.schedule.prefill_start_s[3] == 4.0


def test_longer_arrival_passes_a_head_that_does_not_fit():
    """KV 12: r1 (9 + 1) does not fit beside r0 (2 + 8); r2 (1 + 2), longer than r1, arrives at 3.5, fits at 4 s."""
    case = instance([2, 9, 1], [8, 1, 2], [0.0, 0.0, 3.5], kv_capacity=12)
    outcome, _ = run(case, "longest-first")
    assert outcome.schedule.prefill_start_s.tolist() == [0.0, 10.0, 4.0]
    assert run(case, "fcfs")[0].schedule.prefill_start_s.tolist() == [0.0, 9.0, 9.0]


class Scripted(Policy):
    """Answers with the given decisions in turn, then with the last."""

    def __init__(self, *decisions):
        self.decisions = list(decisions)

    def arrived(self, request, time):
        pass

    def evict(self, view):
        return []

    def decide(self, view):
        return self.decisions.pop(0) if len(self.decisions) > 1 else self.decisions[0]


CHEATS = {
    "not arrived": ([Prefill([2])], {}, "prefills request 'r2', which does not wait"),
    "twice": ([Prefill([0, 0])], {}, "prefills request 'r0', which does not wait"),
    "active": ([Prefill([0]), Prefill([0])], {}, "prefills request 'r0', which does not wait"),
    "complete": ([Prefill([1]), Decode(), Prefill([1])], {}, "prefills request 'r1', which does not wait"),
    "unknown": ([Prefill([7])], {}, "prefills request '7', which does not wait"),
    "negative": ([Prefill([-1])], {}, "prefills request '-1', which does not wait"),
    "empty": ([Prefill([])], {}, "empty batch"),
    "nothing to decode": ([Decode()], {}, "decodes with no active request"),
    "too many": ([Prefill([0, 1])], {"slots": 1}, "2 requests into 1 free slots"),
    "slot out of range": ([Prefill([0], [5])], {"slots": 1}, "slot that is held"),
    "too few slots": ([Prefill([0, 1], [0])], {"slots": 2}, "slot that is held"),
    "over the cap": ([Prefill([0, 1])], {"prefill_token_cap": 5}, "prefills 6 tokens in one iteration, at most 5"),
    "over the KV cache": ([Prefill([0]), Prefill([1])], {"kv_capacity": 5}, "KV use to 6 tokens, capacity 5"),
    "overflow": ([Prefill([0, 1]), Decode()], {"kv_capacity": 7}, "KV cache overflows and the policy evicts nothing"),
    "stops": ([Wait()], {}, "stopped with 3 requests not complete"),
    "waits for the past": ([Wait(0.0)], {}, "stopped with 3 requests not complete"),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_policy_that_breaks_the_model_is_stopped(cheat):
    decisions, limits, message = CHEATS[cheat]
    case = instance([3, 3, 1], [2, 1, 1], [0.0, 0.0, 9.0], **limits)
    with pytest.raises(InvalidPlanError, match=message) as caught:
        Executor(case, Scripted(*decisions)).run()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("victim", [2, 7])
def test_evicting_what_is_not_active_is_stopped(victim):
    class Evicts(Scripted):
        def evict(self, view):
            return [victim]

    case = instance([3, 3, 1], [2, 1, 1], kv_capacity=7)
    with pytest.raises(InvalidPlanError, match="overflows and the policy evicts nothing"):
        Executor(case, Evicts(Prefill([0, 1]), Decode())).run()


def test_decode_runs_at_most_the_rounds_asked_for():
    """One round, then the second request: r0 ends at 1 + 1 + 1 + 1."""
    case = instance([1, 1], [2, 1])
    executor = Executor(case, Scripted(Prefill([0]), Decode(1), Prefill([1]), Decode(50)))
    executor.run()
    assert executor.outcome("s", 0.0).schedule.completion_s.tolist() == [4.0, 4.0]


def test_event_log_file(tmp_path):
    case = instance([2, 2], [4, 3], kv_capacity=8, slots=4)
    path = tmp_path / "events.csv"
    replay(case, "fcfs", lengths="unknown", events=path)
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["time", "worker", "event", "request", "slot", "active", "kv"]
    assert rows[1:4] == [
        ["0.0", "", "arrive", "r0", "", "0", "0"],
        ["0.0", "", "arrive", "r1", "", "0", "0"],
        ["0.0", "w", "prefill", "r0", "0", "0", "4"],
    ]
    assert ["3.0", "w", "evict", "r1", "1", "1", "4"] in rows
    assert rows[-1] == ["9.0", "w", "complete", "r1", "0", "0", "0"]
