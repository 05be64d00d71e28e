"""Which part of a fleet's gap is order, one worker's own, and placement: each worker of the plan solved alone."""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

from _results import markdown_table
from scale_cases import CASES

from llmsched_mip import Instance, Plan
from llmsched_mip.methods import solve

HEADER = ("case", "value", "workers alone", "their bounds", "bound", "order", "each worker", "placement")
MIXED = [name for name in CASES if name.endswith("-w8-sum")]


def main() -> None:
    """Solve each case, then the requests of each worker of its plan alone, and print the sums."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark fleet_gap", description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=MIXED, default=MIXED, metavar="NAME")
    parser.add_argument("--share", type=float, default=1.0, help="of each case's time limit, for the whole")
    parser.add_argument("--each", type=float, default=60.0, help="seconds for each worker alone")
    parser.add_argument("--jobs", type=int, default=1, help="workers alone at once")
    options = parser.parse_args()
    rows = []
    for name in options.cases:
        case = CASES[name]
        instance = case.make()
        result = solve(instance, time_limit_s=options.share * case.seconds, threads=options.jobs)
        with ProcessPoolExecutor(options.jobs) as pool:
            parts = list(pool.map(partial(_alone, instance, result.plan, options.each), range(len(instance.workers))))
        value, bound = result.value, result.bound or 0.0
        alone, proven = (sum(column) for column in zip(*parts, strict=True))
        shares = [(value - alone) / value, (alone - proven) / value, (proven - bound) / value]
        print(name, value, alone, proven, bound, *parts, flush=True)
        rows.append([name, *(f"{x:.6g}" for x in (value, alone, proven, bound)), *(f"{x:.2%}" for x in shares)])
    print(markdown_table(HEADER, rows))


def _alone(instance: Instance, plan: Plan, limit_s: float, w: int) -> tuple[float, float]:
    """Value and bound of the requests that the plan gives to worker `w`."""
    chosen = instance.take(plan.workers[w].requests)
    result = solve(replace(chosen, workers=(instance.workers[w],)), time_limit_s=limit_s, threads=1)
    return result.value, result.bound or 0.0


if __name__ == "__main__":
    main()
