"""Instances that the fuzzer found, shrunk."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsched_mip import clock, evaluate, read_instance
from llmsched_mip.execution import replay
from llmsched_mip.methods import METHODS, solve

CASES = Path(__file__).resolve().parents[1] / "cases"


@pytest.mark.parametrize("method", METHODS)
def test_a_limit_within_a_solvers_tolerance(method):
    """Two requests pass a KV cache of 2^31 tokens by one: to HiGHS that is nothing, and its plan is left out."""
    instance = read_instance(CASES / "tolerance_of_a_token.json")
    with clock.counting(5e-3):
        result = solve(instance, method=method, time_limit_s=0.4, threads=1)
    assert not result.failures
    assert evaluate(instance, result.plan).violations == []


@pytest.mark.parametrize("policy", ["sorted-lp", "lp-swap"])
def test_a_relaxation_that_the_simplex_method_gives_up(policy):
    """HiGHS ends with "excessive primal values" and no status; its interior point method solves it."""
    instance = read_instance(CASES / "simplex_gives_up.json")
    assert replay(instance, policy, lengths="unknown").measures.makespan > 0
