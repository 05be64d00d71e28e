"""The online rules as makers of plans: which are executed, and which are left for later."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched_mip import clock
from llmsched_mip.execution import replay
from llmsched_mip.methods import Search
from llmsched_mip.methods.rules import AS_SHORTEST_FIRST, HEAVY_RULES, Rules, is_quick
from llmsched_mip.workload import generate

SMALL = generate("kv-uniform", 40, 0)


@pytest.mark.parametrize("objective", ["makespan", "total_completion"])
@pytest.mark.parametrize("family", ["kv-uniform", "gsm8k-65b", "mixture"])
def test_rules_that_are_left_out_decide_as_another(family, objective):
    instance = generate(family, 50, 3).with_objective(objective)
    expected = replay(instance, "shortest-first").measures.objective(objective)
    for name in AS_SHORTEST_FIRST:
        assert replay(instance, name).measures.objective(objective) == expected


def test_no_rule_is_better_than_the_result():
    search = Search(SMALL, 600.0)
    rules = Rules(search)
    rules.glance_at_rules(search)
    rules.rules(search)
    assert not rules.left and search.failures == []
    for name in (*rules.light, *HEAVY_RULES, *AS_SHORTEST_FIRST, "fcfs", "svf", "machine-time"):
        assert replay(SMALL, name).measures.objective(SMALL.objective) >= search.value


def test_what_a_glance_does_not_finish_is_left():
    with clock.counting(1.0):
        search = Search(SMALL, 100.0)
        rules = Rules(search)
        rules.glance_at_rules(search)
        assert rules.left


def test_a_rule_that_would_take_long_is_not_begun():
    """By a clock that counts its readings: what a part of the requests takes says what all take."""
    instance = generate("mixture", 400, 0)
    with clock.counting(1.0):
        assert is_quick(Search(instance, 1e9), "lagrangian")
        assert not is_quick(Search(instance, 50.0), "lagrangian")
    weighted = instance.with_requests(instance.requests)
    assert np.array_equal(weighted.requests.weight, np.ones(400))
    assert set(AS_SHORTEST_FIRST[2:]).isdisjoint(Rules(Search(weighted, 1.0)).light)
