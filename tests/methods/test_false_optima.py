"""What is called optimal is optimal, and no bound lies above it, whatever the unit of time and the first arrival."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from exhaustive import optimum
from random_tiny import tiny_instance
from transformed import scaled

from llmsched_mip import clock, evaluate, read_instance
from llmsched_mip.methods import METHODS, solve
from llmsched_mip.tolerance import RELATIVE_TOLERANCE, at_most

CASES = Path(__file__).resolve().parent.parent / "cases"


def require_truth(instance, objective, plan):
    best = optimum(instance, objective)
    assert evaluate(instance, plan).violations == []
    assert plan.claims.value >= best * (1 - RELATIVE_TOLERANCE)
    for name, bound in plan.claims.bounds.items():
        assert at_most(bound, best), name
    if plan.claims.status == "optimal":
        assert plan.claims.value <= best * (1 + RELATIVE_TOLERANCE)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("objective", ["makespan", "total_completion"])
def test_times_of_microseconds(method, objective):
    """HiGHS called 1.0518e-5 optimal where the optimum is 1.0018e-5."""
    instance = read_instance(CASES / "small_times.json")
    plan = solve(instance.with_objective(objective), method=method, time_limit_s=5, threads=1).plan
    require_truth(instance, objective, plan)
    if objective == "makespan" and method in ("full", "auto"):
        assert plan.claims.status == "optimal" and plan.claims.value == pytest.approx(1.0018240081726326e-05, rel=1e-12)


@pytest.mark.parametrize("method", ["auto", "full"])
@pytest.mark.parametrize("seed", range(8))
def test_units_and_first_arrivals(method, seed):
    """Times from 1e-8 to 1e6, arrivals from 0 or from a Unix timestamp on."""
    chance = random.Random(seed)
    for objective in ("makespan", "total_completion"):
        instance = scaled(tiny_instance(seed, objective), chance.randint(-27, 20))
        if chance.random() < 0.5:
            r = instance.requests
            instance = instance.with_requests(replace(r, arrival_s=r.arrival_s + 1.7e9))
        with clock.counting(1e-2):
            plan = solve(instance, method=method, time_limit_s=20, threads=1).plan
        require_truth(instance, objective, plan)
