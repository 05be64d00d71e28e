"""The instance object: validation of values that come from code, immutability, selection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmsched_mip import AffinePrefill, Cost, DecodeTime, Instance, LevelPrefill, Plan, Requests, Stage, Worker
from llmsched_mip.errors import InfeasibleInstanceError, InvalidInputError
from llmsched_mip.plan import WorkerPlan, relative_gap

WORKER = Worker("w0", AffinePrefill(1.0, 0.1), DecodeTime(1.0))
TWO = (["a", "b"], [3, 4], [5, 6])


def requests(**columns):
    return Requests(*TWO, **columns)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Requests(["a"], [1.5], [1]), "requests.prefill_tokens: expected integers, got float64"),
        (lambda: Requests(["a"], [True], [1]), "requests.prefill_tokens: expected integers, got bool"),
        (lambda: Requests(["a"], ["1"], [1]), "requests.prefill_tokens: expected integers, got <U1"),
        (lambda: Requests(["a"], [0], [1]), "requests.prefill_tokens[0]: request 'a': expected an integer"),
        (lambda: Requests(["a"], [1], [2**31]), "requests.decode_tokens[0]: request 'a': expected at most"),
        (lambda: Requests(["a"], [[1]], [1]), "requests.prefill_tokens: expected a list with one number"),
        (
            lambda: Requests(["a"], [1, 2], [1]),
            "requests.prefill_tokens: expected 1 values as in requests.id",
        ),
        (lambda: Requests(["a", "a"], [1, 2], [1, 1]), "requests.id: request 'a': ids must be unique"),
        (lambda: Requests([""], [1], [1]), "requests.id: an id must not be empty"),
        (lambda: requests(arrival_s=[0, -1]), "requests.arrival_s[1]: request 'b': expected a finite number"),
        (lambda: requests(arrival_s=[0, np.nan]), "requests.arrival_s[1]: request 'b': expected a finite"),
        (lambda: requests(weight=[0, 1]), "requests.weight[0]: request 'a': expected a finite number > 0"),
        (lambda: requests(weight=["x", "y"]), "requests.weight: expected numbers, got <U1"),
        (lambda: requests(decode_lower=[1, 1]), "requests.decode_upper: decode_lower and decode_upper go"),
        (
            lambda: requests(decode_lower=[4, 4], decode_upper=[5, 3]),
            "requests.decode_upper[1]: request 'b': expected decode_upper ≥ decode_lower, got 3",
        ),
        (lambda: Instance("n", requests(), ()), "workers: expected at least one worker"),
        (lambda: Instance("n", Requests([], [], []), (WORKER,)), "requests: expected at least one request"),
        (lambda: Instance("n", requests(), (WORKER, WORKER)), "workers[1].name: names must be unique"),
        (
            lambda: Instance("n", requests(), (WORKER,), "sum"),
            "objective: expected one of makespan, total_co",
        ),
        (
            lambda: Instance("n", requests(), (WORKER,), semantics="serial"),
            "semantics: expected one of exclusive, mixed",
        ),
    ],
)
def test_wrong_values(make, message):
    with pytest.raises(InvalidInputError) as error:
        make()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("worker", "message"),
    [
        (Worker("", WORKER.prefill_time, WORKER.decode_time), "workers[0].name: a worker needs a name"),
        (
            Worker("w", WORKER.prefill_time, WORKER.decode_time, slots=0),
            "workers[0].slots: expected an integer",
        ),
        (
            Worker("w", AffinePrefill(-1, 0), WORKER.decode_time),
            "workers[0].prefill_time.base_s: expected a f",
        ),
        (
            Worker("w", WORKER.prefill_time, DecodeTime(1, np.inf)),
            "workers[0].decode_time.per_sequence_s: exp",
        ),
        (
            replace(WORKER, cost=Cost(-1)),
            "workers[0].cost.price_per_hour: expected a finite number ≥ 0 or null, got -1",
        ),
        (
            replace(WORKER, cost=Cost(True)),
            "workers[0].cost.price_per_hour: expected a finite number ≥ 0 or null, got T",
        ),
        (replace(WORKER, cost=Cost(1, np.inf)), "workers[0].cost.watts_idle: expected a finite number"),
        (replace(WORKER, cost=Cost(1, 50, 40)), "workers[0].cost.watts_busy: expected at least watts_idle, 50, got 40"),
        (
            Worker("w", LevelPrefill((), ()), DecodeTime(1)),
            "workers[0].prefill_time.levels: expected at least",
        ),
        (
            Worker("w", LevelPrefill((9,), ()), DecodeTime(1)),
            "workers[0].prefill_time.levels: expected as many",
        ),
        (
            Worker("w", LevelPrefill((9, 9), (1, 2)), DecodeTime(1)),
            "workers[0].prefill_time.levels[1].tokens: expected more than 9, got 9",
        ),
    ],
)
def test_wrong_workers(worker, message):
    with pytest.raises(InvalidInputError) as error:
        Instance("n", requests(), (worker,))
    assert str(error.value).startswith(message)


def test_fits_at_the_limit_and_not_beyond():
    at = Worker("w0", LevelPrefill((4,), (1.0,)), DecodeTime(1.0), kv_capacity=10, prefill_token_cap=4)
    assert Instance("n", requests(), (at,)).fits_worker.tolist() == [[True], [True]]
    for worker in (
        Worker("w0", at.prefill_time, at.decode_time, kv_capacity=9),
        Worker("w0", at.prefill_time, at.decode_time, prefill_token_cap=3),
        Worker("w0", LevelPrefill((3,), (1.0,)), at.decode_time),
    ):
        with pytest.raises(InfeasibleInstanceError, match="requests\\[1\\]: request 'b': fits no worker"):
            Instance("n", requests(), (worker,))


def test_columns_cannot_be_changed():
    given = np.array([3, 4])
    made = Requests(["a", "b"], given, [5, 6])
    given[0] = 99
    assert made.prefill_tokens.tolist() == [3, 4]
    with pytest.raises(ValueError, match="read-only"):
        made.prefill_tokens[0] = 9


def test_take_selects_every_column():
    full = requests(arrival_s=[1, 2], weight=[3, 4], decode_lower=[1, 2], decode_upper=[7, 8])
    taken = Instance("n", full, (WORKER,)).take([1, 0]).requests
    assert taken.id == ("b", "a")
    columns = ("prefill_tokens", "decode_tokens", "arrival_s", "weight", "decode_lower", "decode_upper")
    for name in columns:
        assert getattr(taken, name).tolist() == getattr(full, name).tolist()[::-1]


def test_stages_are_packed_and_unpacked():
    stages = [Stage([1], [0], 3), Stage([], None, 0), Stage([0, 2], [1, 0], 2, 4.5)]
    made = WorkerPlan.from_stages("w0", stages)
    assert list(made) == [Stage([1], [0], 3), Stage([], [], 0), Stage([0, 2], [1, 0], 2, 4.5)]
    assert len(made) == 3
    assert WorkerPlan.from_stages("w0", []).offsets.tolist() == [0]


def test_claims_of_a_plan():
    instance = Instance("n", requests(), (WORKER,))
    plan = Plan.of(instance, "test", [[Stage([0, 1], None, 6)]])
    assert (plan.claims.status, plan.claims.value, plan.claims.bound, plan.claims.gap) == ("feasible", None, None, None)
    open_gap = plan.with_claims(8.0, {"area": 6.0, "longest": 4.0}, 1.0).claims
    assert (open_gap.status, open_gap.bound, open_gap.gap) == ("feasible", 6.0, 0.25)
    closed = plan.with_claims(8.0, {"area": 8.0 + 1e-12}, 1.0).claims
    assert (closed.status, closed.bound, closed.gap) == ("optimal", 8.0, 0.0)
    assert plan.with_claims(8.0, {}, 1.0).claims.gap is None
    assert relative_gap(0.0, 0.0) == 0.0


def test_limits_asked_of_a_worker_are_finite_and_no_more_than_needed():
    assert (WORKER.most_slots(7), WORKER.most_kv(90), WORKER.most_prefill(40)) == (7, 90, 40)
    limited = Worker("w1", LevelPrefill((16, 32), (1.0, 2.0)), DecodeTime(1.0), slots=3, kv_capacity=50)
    assert (limited.most_slots(7), limited.most_kv(90), limited.most_prefill(40)) == (3, 50, 32)
    assert (limited.most_slots(2), limited.most_kv(20), limited.most_prefill(8)) == (2, 20, 8)


def test_work_of_requests_is_infinite_where_they_do_not_fit():
    small = Worker("w1", AffinePrefill(1.0, 0.1), DecodeTime(1.0), kv_capacity=9)
    seconds = Instance("two", requests(), [WORKER, small]).work_seconds
    assert seconds.shape == (2, 2)
    assert np.isfinite(seconds).tolist() == [[True, True], [True, False]]
    # Alone on the first worker: its rounds and the slope of its prompt.
    assert seconds[:, 0].tolist() == [5 + 0.1 * 3, 6 + 0.1 * 4]


def test_another_objective_is_one_that_there_is():
    instance = Instance("two", requests(), [WORKER])
    assert instance.with_objective("makespan") is instance
    assert instance.with_objective("total_completion").digest == instance.digest
    with pytest.raises(InvalidInputError, match="objective: expected one of makespan, total_completion"):
        instance.with_objective("speed")


def test_cost_is_no_part_of_the_problem():
    priced = replace(WORKER, cost=Cost(price_per_hour=2.5, watts_idle=60, watts_busy=300))
    plain, with_cost = Instance("n", requests(), (WORKER,)), Instance("n", requests(), (priced,))
    assert with_cost.digest == plain.digest
    assert priced.kind == WORKER.kind and priced != WORKER
