"""No policy's plan is infeasible or below a proven optimum, on every instance with one in `instances/`."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from llmsched_mip import read_instance
from llmsched_mip.evaluation import evaluate
from llmsched_mip.execution import replay
from llmsched_mip.policies import POLICIES

NAMES = sorted(set(POLICIES) - {"plan", "vllm"})


def proven(folder):
    for table, column in (("OPTIMA.csv", "optimum_s"), ("best.csv", "bound")):
        if (folder / table).exists():
            with open(folder / table, newline="") as file:
                for row in csv.DictReader(file):
                    name = row["instance"].removesuffix(".json")
                    yield name, row["objective"], float(row[column])


@pytest.mark.parametrize("policy", NAMES)
@pytest.mark.parametrize("folder", ["tiny", "exact"])
def test_feasible_and_not_below_the_optimum(root, folder, policy):
    entries = list(proven(root / "instances" / folder))
    if not entries:
        pytest.skip(f"instances/{folder} has no table of proven values")
    for name, objective, bound in entries:
        instance = replace(read_instance(root / "instances" / folder / f"{name}.json"), objective=objective)
        outcome = replay(instance, policy)
        value = outcome.measures.objective(objective)
        assert value >= bound * (1 - 1e-9), name
        if not outcome.evictions:
            found = evaluate(instance, outcome.to_plan(instance))
            assert not found.violations, name
            assert found.measures.objective(objective) == pytest.approx(value)
