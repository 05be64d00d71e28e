"""Slots that open and close during a run: by hand, by property, and the file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import instances

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.errors import InvalidInputError, InvalidPlanError, UnreadableFileError
from llmsched_mip.execution import Executor, SlotTimetable, replay
from llmsched_mip.policies import POLICIES, make_policy
from llmsched_mip.policies.protocol import Problem

SECOND = AffinePrefill(1.0, 0.0), DecodeTime(1.0)
NAMES = [name for name in POLICIES if name not in ("plan", "sorted-lp", "lp-swap")]


def instance(prefill, decode, **limits):
    ids = [f"r{i}" for i in range(len(prefill))]
    return Instance("hand", Requests(ids, prefill, decode), (Worker("w", *SECOND, **limits),))


def run(case, timetable, name="fcfs"):
    return replay(case, name, slot_timetable=timetable).schedule.completion_s.tolist()


def test_one_slot_opens_later():
    """One slot until 3.5 s: r0 is prefilled 0..1 and decodes from 1; at the boundary 4, the first after 3.5, r1 is
    prefilled until 5; both make tokens: r1 two until 7, r0 (six in all, three until 4) until 8."""
    timetable = SlotTimetable((0.0, 3.5), ("w", "w"), (1, 2))
    assert run(instance([1, 1], [6, 2], slots=2), timetable) == [8.0, 7.0]


def test_closing_slots_drain():
    """Both run from 1; at 2 one slot closes: r0 and r1 go on, r1 ends at 3 and leaves r0 in the one slot that is open,
    so r2 starts only when r0 is done at 6: prefill until 7, one token until 8."""
    timetable = SlotTimetable((2.0,), ("w",), (1,))
    assert run(instance([1, 1, 1], [5, 2, 1], slots=2), timetable) == [6.0, 3.0, 8.0]


def test_no_slot_for_a_while():
    """Nothing starts before 10; prefill 10..11, tokens until 13."""
    timetable = SlotTimetable((0.0, 10.0), ("w", "w"), (0, 1))
    assert run(instance([1], [2], slots=3), timetable) == [13.0]


def test_slots_that_never_open_are_reported():
    with pytest.raises(InvalidPlanError, match="stopped with 1 requests not complete"):
        run(instance([1], [2], slots=3), SlotTimetable((0.0,), ("w",), (0,)))


@settings(max_examples=60)
@given(data=st.data())
def test_no_request_starts_above_the_count(data):
    case = data.draw(instances(most_requests=9))
    workers = [worker for worker in case.workers if worker.slots is not None]
    entries = []
    for worker in workers:
        times = data.draw(st.lists(st.floats(0, 60), max_size=3))
        entries += [(time, worker.name, data.draw(st.integers(0, worker.slots))) for time in times]
        entries.append((80.0, worker.name, worker.slots))
    timetable = SlotTimetable(*(tuple(column) for column in zip(*entries, strict=True))) if entries else None
    name, lengths = data.draw(st.sampled_from(NAMES)), data.draw(st.sampled_from(("known", "unknown")))
    policy = make_policy(name, Problem.of(case, "known" if name == "h-sf" else lengths))
    events = []
    executor = Executor(case, policy, events.append, timetable)
    executor.run()
    opened = {w: worker.slots for w, worker in enumerate(case.workers)}
    active = dict.fromkeys(opened, 0)
    completed = 0
    for event in events:
        w = event.worker
        if event.event == "slots":
            opened[w] = event.slot
        elif event.event == "prefill":
            active[w] += 1
            assert opened[w] is None or active[w] <= opened[w]
            assert opened[w] is None or event.slot < opened[w]
        elif event.event in ("complete", "evict"):
            active[w] -= 1
            completed += event.event == "complete"
    assert completed == case.n


def test_timetable_file(tmp_path):
    path = tmp_path / "slots.csv"
    path.write_text("time_s,worker,slots\n0,w,1\n3.5,w,2\n")
    assert SlotTimetable.read(path) == SlotTimetable((0.0, 3.5), ("w", "w"), (1, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_s,worker\n", "slots: column is missing"),
        ("time_s,worker,slots\n1,w,x\n", r"line 2.*expected a number and an integer, got '1' and 'x'"),
        ("time_s,worker,slots\n1,w\n", "expected a number and an integer"),
    ],
)
def test_bad_files_are_one_line(tmp_path, text, message):
    path = tmp_path / "slots.csv"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        SlotTimetable.read(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UnreadableFileError, match="not UTF-8"):
        SlotTimetable.read(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ((1.0, "x", 1), "no worker 'x'"),
        ((1.0, "w", 4), "expected 0 to 3 slots"),
        ((1.0, "w", -1), "expected 0 to 3 slots"),
        ((float("nan"), "w", 1), "finite time_s"),
        ((1.0, "free", 1), "has no slot limit"),
    ],
)
def test_bad_entries_are_refused(entry, message):
    requests = Requests(["a"], [1], [1])
    case = Instance("two", requests, (Worker("w", *SECOND, slots=3), Worker("free", *SECOND)))
    with pytest.raises(InvalidInputError, match=message):
        replay(case, "fcfs", slot_timetable=SlotTimetable(*((value,) for value in entry)))
