"""The learned policy and its training: better than the start, repeatable, resumable, and free of units."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from conftest import ROOT

from llmsched_mip import AffinePrefill, DecodeTime, Instance, Requests, Worker
from llmsched_mip.cli import main
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.execution import Executor, replay
from llmsched_mip.io import write_instance
from llmsched_mip.learning import Goal, Settings, policy_text, train
from llmsched_mip.learning.search import FIRST_TRAINING_SEED, Effort
from llmsched_mip.learning.train import MOST_VALIDATED
from llmsched_mip.policies.learned import LearnedRule
from llmsched_mip.policies.parts.learned_file import SHIPPED, read_policy, shipped_policy
from llmsched_mip.policies.parts.learned_parameters import LOWER, STARTS, STEPS, UPPER, Parameters
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.workload import generate

TOY = Effort(seed=1, seeds=2, population=4, generations=2)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Ten short requests behind two long ones on one slot: the order is all that counts for the total completion."""
    decode = np.array([60, 60, *[2] * 10])
    worker = Worker("w", AffinePrefill(1.0, 0.0), DecodeTime(1.0), slots=1)
    requests = Requests([f"r{i}" for i in range(12)], [5] * 12, decode, decode_lower=decode, decode_upper=decode + 1)
    path = tmp_path_factory.mktemp("toy") / "toy.json"
    write_instance(Instance("toy", requests, (worker,), objective="total_completion"), path)
    return path


def trained(goal, **settings):
    return train([goal], Settings(TOY, jobs=1, **settings), lambda _: None)


def test_training_finds_the_order_and_repeats(toy):
    goal = Goal(str(toy), "interval")
    document = trained(goal, validated=3)
    entry = document["entries"][0]
    start = goal.value(0, STARTS["fcfs"])
    found = goal.value(0, Parameters(**entry["parameters"]))
    assert found < 0.5 * start
    # Shortest first, by hand: a prefill of a second and two rounds each, then the two long ones.
    assert found == pytest.approx(sum(3 * k for k in range(1, 11)) + (30 + 61) + (30 + 122))
    assert {rule["policy"]: rule["value"] for rule in entry["validation"]["rules"]}["fcfs"] > found
    again = trained(goal, validated=3)
    for each in (document, again):
        del each["training"]["seconds"]
    assert again == document


def test_a_training_that_was_ended_goes_on_as_if_it_had_not(toy, tmp_path):
    goal, state = Goal(str(toy), "interval"), tmp_path / "p.json.state"
    whole = trained(goal, validated=0)
    notes = []

    def interrupt(text):
        notes.append(text)
        raise KeyboardInterrupt

    ended = train([goal], Settings(TOY, jobs=1, validated=0, state=state), interrupt)
    assert ended["training"]["interrupted"] and len(notes) == 1 and state.exists()
    more = trained(goal, validated=0, state=state, resume=True)
    assert more["entries"] == whole["entries"] and not state.exists()
    train([goal], Settings(TOY, jobs=1, validated=0, state=state), interrupt)
    with pytest.raises(InvalidInputError, match="begun with other goals"):
        trained(Goal(str(toy), "unknown"), state=state, resume=True)
    state.write_text('{"format": "llmsched-training", "version": 1, "settings": {}}')
    with pytest.raises(InvalidInputError, match=r"p\.json\.state: losses: missing"):
        trained(goal, state=state, resume=True)


def test_a_policy_file_says_what_was_trained(toy, tmp_path):
    entry = trained(Goal(str(toy), "interval"), validated=0)
    path = tmp_path / "of: colons.json"
    path.write_text(policy_text(entry))
    assert asdict(read_policy(path).entries[0].parameters) == entry["entries"][0]["parameters"]
    folder = str(toy)
    arguments = ["replay", folder, "--policy", f"learned:{path}", "--lengths", "interval", "--json"]
    assert main(arguments) == 0


def test_replay_takes_the_entry_of_the_view_and_objective(toy, tmp_path, capsys):
    goal = Goal(str(toy), "interval")
    document = trained(goal, validated=0)
    (tmp_path / "policy.json").write_text(policy_text(document))
    name = f"learned:{tmp_path / 'policy.json'}"
    value = replay(goal.instance(0), name, lengths="interval").measures.total_completion
    assert value == pytest.approx(goal.value(0, Parameters(**document["entries"][0]["parameters"])))
    unknown = replay(goal.instance(0), name, lengths="unknown").measures.total_completion
    assert unknown > value
    capsys.readouterr()


@pytest.mark.parametrize("lengths", ["interval", "unknown"])
def test_other_units_of_time_change_no_decision(lengths):
    instance = generate("lmsys-chat", 300, 3, intervals=4.0).with_objective("total_completion")
    worker, factor = instance.workers[0], 1024.0
    prefill, decode = worker.prefill_time, worker.decode_time
    scaled = {name: factor * value for name, value in asdict(decode).items()}
    slow = replace(
        worker,
        prefill_time=AffinePrefill(factor * prefill.base_s, factor * prefill.per_token_s),
        decode_time=DecodeTime(**scaled),
    )
    values = [
        replay(case, "learned", lengths=lengths).measures.total_completion
        for case in (instance, replace(instance, workers=(slow,)))
    ]
    assert values[1] == pytest.approx(factor * values[0], rel=1e-9)


def test_ranges_hold_the_starts_and_any_vector():
    for start in STARTS.values():
        assert start.require() == start
    assert np.all(STEPS.vector > 0) and np.all(LOWER < UPPER)
    far = Parameters.of(np.full(len(LOWER), 1e9))
    assert np.array_equal(far.vector, UPPER) and far.require() == far
    instance = generate("gsm8k-opt66b-a100", 60, 3, slots=10, kv_capacity=3000, intervals=3.0)
    rng = np.random.default_rng(0)
    for lengths in ("known", "interval", "unknown"):
        for _ in range(4):
            rule = LearnedRule(Problem.of(instance, lengths), Parameters.of(rng.uniform(LOWER, UPPER)))
            executor = Executor(instance, rule)
            assert executor.run()


def test_training_seeds_and_held_out_seeds_are_apart():
    assert FIRST_TRAINING_SEED > MOST_VALIDATED


def test_the_shipped_policy_is_trained_for_both_views():
    entries = shipped_policy().entries
    assert {entry.lengths for entry in entries} == {"interval", "unknown"}
    text = (ROOT / "llmsched_mip" / "learned" / SHIPPED).read_text()
    assert json.loads(text)["format"] == "llmsched-policy"


def test_without_cma_there_is_one_line(toy, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "cma", None)
    assert main(["train", str(toy), "--jobs", "1", "--seeds", "1", "-o", str(tmp_path / "p.json")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "pip install 'llmsched-mip[train]'" in error
    assert list(tmp_path.iterdir()) == []
