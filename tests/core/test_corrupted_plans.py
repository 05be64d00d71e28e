"""A random feasible plan with true claims and one corrupted field is caught.

Some changes of a field always make the plan invalid: those are asserted without condition (`ALWAYS`).
Others, such as one round more in a middle stage or a request moved to another stage, can leave a feasible
plan whose claims are still true (the time is absorbed by a wait, or another worker sets the makespan): there
the reference simulator, which shares no code with `evaluate`, decides what must be reported (`SOMETIMES`).
"""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference_simulator import claims_true, simulate
from strategies import feasible_plan, instances

from llmsched_mip import evaluate
from llmsched_mip.io.files import plan_document, read_plan


def stages_of(document):
    return [stage for worker in document["workers"] for stage in worker["stages"]]


def pick_stage(document, rng):
    return rng.choice(stages_of(document))


def unknown_id(document, instance, rng):
    stage = pick_stage(document, rng)
    stage["requests"][rng.randrange(len(stage["requests"]))] = "nobody"


def other_id(document, instance, rng):
    if instance.n < 2:
        return False
    stage = pick_stage(document, rng)
    place = rng.randrange(len(stage["requests"]))
    others = [i for i in instance.requests.id if i != stage["requests"][place]]
    stage["requests"][place] = rng.choice(others)
    return True


def duplicate(document, instance, rng):
    stage = pick_stage(document, rng)
    stage["requests"].append(rng.choice(instance.requests.id))
    if stage["slots"] is not None:
        stage["slots"].append(0)


def dropped(document, instance, rng):
    stage = pick_stage(document, rng)
    place = rng.randrange(len(stage["requests"]))
    del stage["requests"][place]
    if stage["slots"] is not None:
        del stage["slots"][place]


def dropped_stage(document, instance, rng):
    worker = rng.choice([worker for worker in document["workers"] if worker["stages"]])
    del worker["stages"][rng.randrange(len(worker["stages"]))]


def slot_out_of_range(document, instance, rng):
    with_slots = [s for s in stages_of(document) if s["slots"]]
    if not with_slots:
        return False
    stage = rng.choice(with_slots)
    stage["slots"][rng.randrange(len(stage["slots"]))] = rng.choice((-1, 4, 10**9))
    return True


def slot_occupied(document, instance, rng):
    shared = [s for s in stages_of(document) if s["slots"] and len(s["slots"]) > 1]
    if not shared:
        return False
    stage = rng.choice(shared)
    a, b = rng.sample(range(len(stage["slots"])), 2)
    stage["slots"][a] = stage["slots"][b]
    return True


def slots_null(document, instance, rng):
    with_slots = [s for s in stages_of(document) if s["slots"]]
    if not with_slots:
        return False
    rng.choice(with_slots)["slots"] = None
    return True


def slots_where_none(document, instance, rng):
    without = [s for s in stages_of(document) if s["slots"] is None]
    if not without:
        return False
    stage = rng.choice(without)
    stage["slots"] = list(range(len(stage["requests"])))
    return True


def last_rounds(change):
    def corrupt(document, instance, rng):
        worker = rng.choice([worker for worker in document["workers"] if worker["stages"]])
        worker["stages"][-1]["rounds"] += change

    return corrupt


def negative_rounds(document, instance, rng):
    pick_stage(document, rng)["rounds"] = -1


def claim(field, new):
    def corrupt(document, instance, rng):
        old = document[field]
        document[field] = new(old, document, rng)
        return document[field] != old

    return corrupt


def worker_name(document, instance, rng):
    rng.choice([worker for worker in document["workers"] if worker["stages"]])["name"] = "nobody"


def bounds_above(document, instance, rng):
    document["bounds"]["area"] = document["value"] * 1.01


def optimal_status(document, instance, rng):
    if document["gap"] <= 1e-6:
        return False
    document["status"] = "optimal"
    return True


ALWAYS = {
    "unknown id": unknown_id,
    "id of another request": other_id,
    "duplicate": duplicate,
    "dropped": dropped,
    "dropped stage": dropped_stage,
    "slot out of range": slot_out_of_range,
    "slot occupied": slot_occupied,
    "slots null": slots_null,
    "slots without a limit": slots_where_none,
    "a round less at the end": last_rounds(-1),
    "a round more at the end": last_rounds(1),
    "negative rounds": negative_rounds,
    "value raised": claim("value", lambda old, d, rng: old * (1 + rng.choice((1e-6, 0.5)))),
    "value lowered": claim("value", lambda old, d, rng: old * (1 - rng.choice((1e-6, 0.5)))),
    "bound raised": claim("bound", lambda old, d, rng: d["value"] * 1.001),
    "bound lowered": claim("bound", lambda old, d, rng: old * 0.9),
    "bound dropped": claim("bound", lambda old, d, rng: None),
    "bounds above the value": bounds_above,
    "gap": claim("gap", lambda old, d, rng: old + rng.choice((-1e-3, 1e-3, 1e-8))),
    "gap dropped": claim("gap", lambda old, d, rng: None),
    "status not earned": optimal_status,
    "status unknown": claim("status", lambda old, d, rng: "best"),
    "digest": claim("instance_digest", lambda old, d, rng: old[:-1] + ("0" if old[-1] != "0" else "1")),
    "objective unknown": claim("objective", lambda old, d, rng: "sum"),
    "instance name": claim("instance", lambda old, d, rng: old + "x"),
    "worker name": worker_name,
}


def middle_rounds(document, instance, rng):
    stage = pick_stage(document, rng)
    stage["rounds"] = max(0, stage["rounds"] + rng.choice((-1, 1)))


def moved(document, instance, rng):
    stage, other = pick_stage(document, rng), pick_stage(document, rng)
    place = rng.randrange(len(stage["requests"]))
    other["requests"].append(stage["requests"].pop(place))
    if stage["slots"] is not None and other["slots"] is not None:
        other["slots"].append(stage["slots"].pop(place))
    elif stage["slots"] is not None:
        del stage["slots"][place]
    elif other["slots"] is not None:
        other["slots"].append(0)


def stages_swapped(document, instance, rng):
    worker = rng.choice([worker for worker in document["workers"] if worker["stages"]])
    rng.shuffle(worker["stages"])


def not_before(document, instance, rng):
    stage = pick_stage(document, rng)
    stage["not_before_s"] = rng.choice((0.0, stage.get("not_before_s", 0.0) + rng.choice((0.5, 20.0))))


def other_slot(document, instance, rng):
    with_slots = [s for s in stages_of(document) if s["slots"]]
    if not with_slots:
        return
    stage = rng.choice(with_slots)
    stage["slots"][rng.randrange(len(stage["slots"]))] = rng.randrange(4)


def other_objective(document, instance, rng):
    names = {"makespan": "total_completion", "total_completion": "makespan"}
    document["objective"] = names[document["objective"]]


SOMETIMES = {
    "rounds of any stage": middle_rounds,
    "moved request": moved,
    "stages in another order": stages_swapped,
    "not before": not_before,
    "another slot": other_slot,
    "the other objective": other_objective,
}


@pytest.fixture(scope="module")
def plan_path(tmp_path_factory):
    return tmp_path_factory.mktemp("plans") / "plan.json"


def corrupted(corrupt, instance, seed, closed, plan_path):
    """The plan read back from its corrupted file, or None where this corruption does not apply."""
    plan = feasible_plan(instance, seed)
    value = evaluate(instance, plan).measures.objective(plan.objective)
    plan = plan.with_claims(value, {"area": value if closed else 0.7 * value, "longest": 0.5 * value}, 0.1)
    assert evaluate(instance, plan).violations == []
    document = plan_document(plan, instance)
    before = json.dumps(document)
    applied = corrupt(document, instance, random.Random(seed))
    if applied is False or json.dumps(document) == before:
        return None
    plan_path.write_text(json.dumps(document))
    return read_plan(plan_path, instance)


@pytest.mark.parametrize("kind", ALWAYS)
@settings(max_examples=25)
@given(instances(), st.integers(0, 10**6), st.booleans())
def test_always_caught(kind, plan_path, instance, seed, closed):
    plan = corrupted(ALWAYS[kind], instance, seed, closed, plan_path)
    assume(plan is not None)
    assert evaluate(instance, plan).violations != []


@pytest.mark.parametrize("kind", SOMETIMES)
@settings(max_examples=60)
@given(instances(), st.integers(0, 10**6), st.booleans())
def test_caught_when_the_simulator_finds_it_false(kind, plan_path, instance, seed, closed):
    plan = corrupted(SOMETIMES[kind], instance, seed, closed, plan_path)
    assume(plan is not None)
    reference = simulate(instance, plan)
    valid = not reference.broken and claims_true(instance, plan, reference)
    assert evaluate(instance, plan).feasible == valid
