"""The online rules as makers of plans: which are executed, and which are left for later."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from llmsched_mip import clock
from llmsched_mip.execution import replay
from llmsched_mip.methods import Search
from llmsched_mip.methods.rules import (
    AS_LAGRANGIAN,
    AS_SHORTEST_FIRST,
    CHECK,
    GLANCE,
    QUICK_RULES,
    SHARE,
    SLOW_RULES,
    Rules,
    Started,
    expected_s,
)
from llmsched_mip.normal_form import NormalForm
from llmsched_mip.policies import make_policy
from llmsched_mip.workload import deployment, generate

SMALL = generate("kv-uniform", 40, 0)


@pytest.mark.parametrize("objective", ["makespan", "total_completion"])
@pytest.mark.parametrize("family", ["kv-uniform", "gsm8k-65b", "mixture"])
def test_rules_that_are_left_out_decide_as_another(family, objective):
    instance = generate(family, 50, 3).with_objective(objective)
    expected = replay(instance, "shortest-first").measures.objective(objective)
    for name in AS_SHORTEST_FIRST:
        assert replay(instance, name).measures.objective(objective) == expected
    expected = replay(instance, "lagrangian").measures.objective(objective)
    for name in (*AS_LAGRANGIAN, *(("rolling",) if objective == "makespan" else ())):
        assert replay(instance, name).measures.objective(objective) == expected


def test_no_rule_is_better_than_the_result():
    search = Search(SMALL, 600.0)
    rules = Rules(search)
    rules.rules(search)
    assert not rules.left and search.failures == []
    for name in (*QUICK_RULES, *SLOW_RULES, *AS_SHORTEST_FIRST):
        assert replay(SMALL, name).measures.objective(SMALL.objective) >= search.value


def test_what_a_glance_does_not_finish_is_left():
    with clock.counting(1.0):
        search = Search(SMALL, 100.0)
        rules = Rules(search)
        rules.glance(search)
        assert rules.left


def test_a_rule_goes_on_where_it_was_cut_off():
    """By a clock that counts its readings: in parts it makes the plan that it makes at once."""
    instance = generate("kv-uniform", 300, 0)
    with clock.counting(1.0):
        search = Search(instance, 1e6)
        rule, parts = Started("svf"), 1
        while not rule.go_on(search, parts * 2e-6):
            assert search.plan is None
            parts += 1
        assert 3 < parts < 1000
    assert search.value == replay(instance, "svf").measures.objective(instance.objective)


def test_the_quick_ones_come_first_and_what_would_take_long_is_left(monkeypatch):
    expected = {"fcfs": 30.0, "svf": 10.0, "machine-time": 20.0, "longest-first": 1000.0}
    search, gone_on = Search(generate("kv-uniform", 600, 0), 600.0), []
    monkeypatch.setattr(Started, "expected_s", lambda rule: expected[rule.name])
    monkeypatch.setattr(Started, "go_on", lambda rule, search, share: gone_on.append(rule.name) or share == SHARE)
    rules = Rules(search)
    rules.light, rules.heavy = [Started(name) for name in expected], []
    rules.quick(search)
    assert gone_on == [*expected, *2 * ("svf", "machine-time", "fcfs")]
    assert [rule.name for rule in rules.light] == ["longest-first"]


def test_a_rule_that_turns_out_slow_is_left(monkeypatch):
    """After a twentieth of the limit it is expected to take 700 of 600 seconds: it has no fifth of them."""
    search, shares = Search(generate("kv-uniform", 600, 0), 600.0), []

    def go_on(rule, search, share):
        shares.append(share)
        rule.spent_s = share * search.whole.seconds
        return False

    monkeypatch.setattr(Started, "expected_s", lambda rule: 700.0 if rule.spent_s >= CHECK * 600.0 else 100.0)
    monkeypatch.setattr(Started, "go_on", go_on)
    rules = Rules(search)
    rules.light, rules.heavy, rules.slow = [Started("svf")], [], []
    rules.rules(search)
    assert shares == [GLANCE, CHECK]


def test_a_rule_that_fails_takes_no_other_with_it(monkeypatch):
    def failing(name, problem):
        if name == "svf":
            raise ZeroDivisionError("a mistake")
        return make_policy(name, problem)

    monkeypatch.setattr("llmsched_mip.methods.rules.make_policy", failing)
    search = Search(SMALL, 600.0)
    rules = Rules(search)
    rules.rules(search)
    assert [failure.part for failure in search.failures] == ["svf"] and not rules.left
    assert search.value <= replay(SMALL, "machine-time").measures.objective(SMALL.objective)


def test_a_rule_that_would_take_long_is_not_begun():
    """By a clock that counts its readings: what a part of the requests takes says what all take."""
    instance = generate("mixture", 400, 0)
    with clock.counting(1.0):
        assert expected_s(Search(instance, 1e9), "lagrangian") < 1e9
        assert expected_s(Search(instance, 50.0), "lagrangian") == math.inf
    weighted = instance.with_requests(instance.requests)
    assert np.array_equal(weighted.requests.weight, np.ones(400))
    assert set(AS_SHORTEST_FIRST[2:]).isdisjoint(rule.name for rule in Rules(Search(weighted, 1.0)).light)


@pytest.mark.parametrize("family", ["azure-conv", "lmsys-chat"])
def test_a_rule_with_options_in_seconds_is_executed_as_replay_does(family):
    """Its options do not scale with the times of the instance, which the normal form does."""
    kinds = [deployment(name, published=True) for name in ("llama2-70b-a100-tp2", "llama31-8b-rtx4090")]
    workers = tuple(replace(worker, name=f"w{k}") for k, worker in enumerate(kinds))
    instance = replace(generate(family, 100), workers=workers, objective="total_completion")
    form = NormalForm.of(instance)
    search = Search(form.instance, 600.0, form=form)
    in_normal_form = replay(form.instance, "rolling").measures.total_completion
    expected = replay(instance, "rolling").measures.total_completion
    assert expected != pytest.approx(form.value(in_normal_form))
    assert Started("rolling").go_on(search, 1.0)
    assert form.value(search.value) == pytest.approx(expected, rel=1e-12)
