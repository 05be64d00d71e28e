"""The bare Lagrangian rule of docs/problem.md, section 6, by hand: prefills and rounds of one second, two slots."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import replay
from llmsched_mip.plan import Claims, Plan, Stage


def instance(slots=2, scale=1.0):
    worker = Worker("w", AffinePrefill(scale, 0.0), DecodeTime(scale), slots)
    return Instance("hand", Requests(["r0", "r1", "r2", "r3"], [1, 1, 1, 1], [6, 1, 2, 1]), (worker,))


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_a_prefill_runs_when_the_idle_time_is_worth_the_stall(scale):
    """Longest first: r0 r2 at 0.  r2 ends at 3; stalling r0 of two slots for a second costs 1/2, which one idle
    slot-second at λ = 1/2 is worth: r1 at 4.  Until then 3 seconds held 5 slot-seconds: λ = 0.9 / 2 + 0.1 · 3 / 5 =
    0.51.  r1 ends at 6; 1 / 1.02 slot-seconds take a round: r3 at 7, and with r0 it ends at 9."""
    schedule = replay(instance(scale=scale), "lagrangian:published").schedule
    assert schedule.prefill_start_s.tolist() == [0, 4 * scale, 0, 7 * scale]
    assert schedule.completion_s.tolist() == [9 * scale, 6 * scale, 3 * scale, 9 * scale]


def test_the_price_starts_from_the_bounds_of_the_plan_and_its_order_is_taken():
    """KV binds twice as hard as the slots: λ = 1/4.  r0 r1 at 0; r1 ends at 2, and two idle rounds are worth 1/2: r3 at
    4.  3 seconds held 4 slot-seconds: λ = 0.9 / 4 + 0.1 · 3 / 4 = 0.3.  r3 ends at 6; 0.5 / 0.3 slot-seconds take two
    rounds, and then r0 has ended too: r2 starts on the empty worker."""
    case = instance()
    stages = [Stage([0, 1], [0, 1], 1), Stage([3], [1], 1), Stage([2], [1], 4)]
    plan = replace(Plan.of(case, "hand", [stages]), claims=Claims(bounds={"area": 10.0, "kv_volume": 20.0}))
    schedule = replay(case, "lagrangian:published", plan=plan).schedule
    assert schedule.prefill_start_s.tolist() == [0, 0, 8, 4]
    assert schedule.completion_s.tolist() == [8, 2, 11, 6]


def test_without_a_slot_limit_a_worker_is_as_large_as_what_fits():
    """r0 r1 r2 at 0.  At 2 r1 has ended and r3 is there: stalling two of three costs 2/3, at 1/3 two slot-seconds.  At
    3 one has passed and r2 has ended: stalling one of two costs 1/2, at 1/2 one slot-second, so r3 starts."""
    case = instance(None)
    case = case.with_requests(replace(case.requests, arrival_s=np.array([0.0, 0.0, 0.0, 1.5])))
    assert replay(case, "lagrangian:published").schedule.prefill_start_s.tolist() == [0, 0, 0, 3]


def test_another_option_is_refused():
    with pytest.raises(InvalidInputError, match="lagrangian: expected the option 'published', got 'bare'"):
        replay(instance(), "lagrangian:bare")
