"""A solver's tolerances are absolute: what it calls optimal of a model in tiny units is not believed."""

from __future__ import annotations

import pytest
from exhaustive import optimum
from random_tiny import tiny_instance
from transformed import scaled

from llmsched_mip.budget import Budget
from llmsched_mip.models import round_indexed
from llmsched_mip.solvers import Status, solve, solve_with_cbc


@pytest.mark.parametrize("solver", [solve, solve_with_cbc], ids=["highs", "cbc"])
@pytest.mark.parametrize("exponent", [-27, -20, 0, 20])
def test_models_built_by_hand(solver, exponent):
    """The round-indexed model in seconds, as a user may build it: never a false optimum, whatever the unit."""
    for seed in range(6):
        for objective in ("makespan", "total_completion"):
            instance = scaled(tiny_instance(seed, objective), exponent)
            best = optimum(instance, objective)
            result = solver(round_indexed.build(instance), budget=Budget(60), threads=1)
            assert result.value is not None
            if result.status is Status.OPTIMAL:
                assert result.value == pytest.approx(best, rel=1e-6)
            if exponent >= 0:
                assert result.status is Status.OPTIMAL
