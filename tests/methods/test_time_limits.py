"""The time limit holds for every method on large instances, and there is always a plan.

The clock counts its readings, so a limit is one of work: every part must ask for the time, and end once it has passed.
What that is in real time: `scripts/benchmark time_limits`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from llmsched_mip import clock
from llmsched_mip.evaluation import evaluate
from llmsched_mip.methods import solve
from llmsched_mip.workload import generate

OBJECTIVES = ("makespan", "total_completion")
READING_S = 0.015
SLACK = 1.25


def large(name):
    """Instances whose full model has millions of nonzeros or more."""
    if name == "kv-uniform":
        return generate("kv-uniform", 700, 1)
    instance = generate(name, 400, 1)
    return replace(instance, workers=(replace(instance.workers[0], kv_capacity=4000, slots=None),))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("method", ["full", "auto", "pattern", "unit-round", "large-neighbourhood"])
@pytest.mark.parametrize("family", ["gsm8k-opt66b-a100", "kv-uniform"])
def test_one_second(family, method, objective):
    instance = large(family)
    with clock.counting(READING_S):
        plan = solve(instance.with_objective(objective), method=method, time_limit_s=1.0, threads=1).plan
    assert not evaluate(instance, plan).violations
    assert plan.claims.seconds <= SLACK


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_five_seconds_of_a_model_that_is_slow_to_build(objective):
    """Below the limit of size, so it is built: building counts."""
    instance = generate("gsm8k-65b", 60, 1, slots=8)
    with clock.counting(READING_S):
        plan = solve(instance.with_objective(objective), method="full", time_limit_s=5.0, threads=1).plan
    assert plan.claims.seconds <= 5.0 * SLACK
    assert not evaluate(instance, plan).violations
