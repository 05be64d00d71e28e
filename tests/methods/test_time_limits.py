"""The time limit holds for every method on large instances, and there is always a plan."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from llmsched_mip.evaluate import evaluate
from llmsched_mip.methods import solve
from llmsched_mip.workload import generate

OBJECTIVES = ("makespan", "total_completion")
SLACK_S = 0.7


def large(name):
    """Instances whose full model has millions of nonzeros or more."""
    if name == "kv-uniform":
        return generate("kv-uniform", 1000, 1)
    instance = generate(name, 400, 1)
    return replace(instance, workers=(replace(instance.workers[0], kv_capacity=4000, slots=None),))


@pytest.fixture(scope="module", autouse=True)
def compiled():
    """Compiling is no part of a solve: `scripts/setup` has done it, but not for a changed source."""
    for instance in (generate("kv-uniform", 8, 0), large("gsm8k-opt66b-a100").take(range(12))):
        for method in ("auto", "large-neighbourhood"):
            solve(instance, objective="total_completion", method=method, time_limit_s=1.0, threads=1)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("method", ["full", "auto", "pattern", "unit-round", "large-neighbourhood"])
@pytest.mark.parametrize("family", ["gsm8k-opt66b-a100", "kv-uniform"])
def test_one_second(family, method, objective):
    """The better of two runs: a machine that runs other tests at the same time stops for longer than the slack."""
    instance, seconds = large(family), []
    for _ in range(2):
        began = time.perf_counter()
        plan = solve(instance, objective=objective, method=method, time_limit_s=1.0, threads=1).plan
        seconds.append(time.perf_counter() - began)
        assert not evaluate(instance, plan).violations
        if seconds[-1] < 1.0 * 1.1 + SLACK_S:
            return
    pytest.fail(f"{seconds} s with a limit of 1 s")


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_five_seconds_of_a_model_that_is_slow_to_build(objective):
    """Below the limit of size, so it is built: building counts."""
    instance = generate("gsm8k-65b", 60, 1, slots=8)
    began = time.perf_counter()
    plan = solve(instance, objective=objective, method="full", time_limit_s=5.0, threads=1).plan
    assert time.perf_counter() - began < 5.0 * 1.1 + SLACK_S
    assert not evaluate(instance, plan).violations
