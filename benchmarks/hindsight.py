"""The published scale: plans and proven gaps of instances/hindsight/ against MC-SF; plain LP bound beside."""

from __future__ import annotations

import argparse
import csv

import numpy as np
from rich.console import Console
from rich.table import Table

from llmsched_mip import read_instance
from llmsched_mip.algorithms.unit_round.shortest_first import shortest_first
from llmsched_mip.budget import Budget
from llmsched_mip.methods import solve
from llmsched_mip.plan import relative_gap
from llmsched_mip.relaxations.time_indexed.unit_prices import ascend
from llmsched_mip.unit_rounds import UnitRounds


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark hindsight", description=__doc__)
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds for each instance")
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(20)))
    parser.add_argument("--stored", action="store_true", help="values and bounds of best.csv instead of new solves")
    options = parser.parse_args()
    stored = _stored() if options.stored else {}
    table = Table("seed", "n", "M", "MC-SF", "plan", "better", "plain LP / MC-SF", "bound / MC-SF", "gap", "seconds")
    rows = [_row(seed, options.time_limit, table, stored) for seed in options.seeds]
    mean = np.mean(rows, axis=0)
    table.add_row("mean", "", "", "", "", f"{mean[0]:.2%}", f"{mean[1]:.2%}", f"{mean[2]:.2%}", f"{mean[3]:.2%}", "")
    Console(width=120).print(table)


def _stored() -> dict[str, tuple[float, float, float]]:
    """Value, bound and seconds by instance."""
    with open("instances/hindsight/best.csv", newline="") as file:
        return {
            r["instance"]: (float(r["value"]), float(r["bound"]), float(r["seconds"])) for r in csv.DictReader(file)
        }


def _row(
    seed: int, time_limit_s: float, table: Table, stored: dict[str, tuple[float, float, float]]
) -> tuple[float, float, float, float]:
    """One instance.  "Plain LP" are the best prices found on KV rounds alone: a lower estimate of that LP's value."""
    instance = read_instance(f"instances/hindsight/kv-uniform{f'-s{seed}' if seed else ''}.json")
    problem = UnitRounds.of(instance)
    assert problem is not None
    starts = shortest_first(problem)
    baseline = problem.value(starts)
    horizon = int((starts + problem.d).max())
    plain = ascend(problem, horizon, baseline, Budget(5.0), windows=[]).value
    if instance.name in stored:
        value, bound, seconds = stored[instance.name]
    else:
        plan = solve(instance, time_limit_s=time_limit_s, threads=1).plan
        assert plan.claims.value is not None and plan.claims.bound is not None
        value, bound, seconds = plan.claims.value, plan.claims.bound, plan.claims.seconds
    row = 1 - value / baseline, plain / baseline, bound / baseline, relative_gap(value, bound)
    cells = [seed, problem.n, problem.capacity, f"{baseline:.0f}", f"{value:.0f}"]
    table.add_row(*map(str, cells), *(f"{x:.2%}" for x in row), f"{seconds:.1f}")
    return row


if __name__ == "__main__":
    main()
