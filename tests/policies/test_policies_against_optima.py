"""No policy's plan is infeasible or below a proven optimum, on every instance with one in `instances/`."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from llmsched_mip import read_instance
from llmsched_mip.evaluation import evaluate
from llmsched_mip.execution import replay
from llmsched_mip.policies import POLICIES, sorted_lp
from llmsched_mip.relaxations.interval_indexed import mean_start_rounds

ALIKE = ("lp-swap", "sorted-lp")
"""They begin with the same relaxation, which is solved once."""
GROUPS = [ALIKE, *((name,) for name in sorted(set(POLICIES) - {"plan", "vllm", *ALIKE}))]


def proven(folder):
    for table, column in (("OPTIMA.csv", "optimum_s"), ("best.csv", "bound")):
        if (folder / table).exists():
            with open(folder / table, newline="") as file:
                for row in csv.DictReader(file):
                    name = row["instance"].removesuffix(".json")
                    yield name, row["objective"], float(row[column])


@pytest.fixture
def _relaxations_are_solved_once(monkeypatch):
    solved = {}

    def remembered(prompts, lengths, weight, capacity, slots):
        key = prompts.tobytes(), lengths.tobytes(), weight.tobytes(), capacity, slots
        if key not in solved:
            solved[key] = mean_start_rounds(prompts, lengths, weight, capacity, slots)
        return solved[key].copy()

    monkeypatch.setattr(sorted_lp, "mean_start_rounds", remembered)


@pytest.mark.usefixtures("_relaxations_are_solved_once")
@pytest.mark.parametrize("policies", GROUPS, ids=["+".join(group) for group in GROUPS])
@pytest.mark.parametrize("folder", ["tiny", "exact"])
def test_feasible_and_not_below_the_optimum(root, folder, policies):
    entries = list(proven(root / "instances" / folder))
    if not entries:
        pytest.skip(f"instances/{folder} has no table of proven values")
    for name, objective, bound in entries:
        instance = replace(read_instance(root / "instances" / folder / f"{name}.json"), objective=objective)
        for policy in policies:
            outcome = replay(instance, policy)
            value = outcome.measures.objective(objective)
            assert value >= bound * (1 - 1e-9), (name, policy)
            if not outcome.evictions:
                found = evaluate(instance, outcome.to_plan(instance))
                assert not found.violations, (name, policy)
                assert found.measures.objective(objective) == pytest.approx(value)
