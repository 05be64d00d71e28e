"""Time to proof of unit-round instances (M = 30): this toolkit against the textbook model in HiGHS, in one run."""

from __future__ import annotations

import argparse
import time

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import sparse

from llmsched_mip import read_instance
from llmsched_mip.budget import Budget
from llmsched_mip.methods import solve
from llmsched_mip.solvers import ArrayModel, SolveResult, solve_arrays
from llmsched_mip.spans import within
from llmsched_mip.timing import run_kv_peak
from llmsched_mip.unit_rounds import UnitRounds


def plain_model(problem: UnitRounds, horizon: int) -> ArrayModel:
    """x_is = 1 when request i starts at round s; each once, KV in every round, nothing else."""
    last = horizon - problem.d + 1
    request = np.repeat(np.arange(problem.n), last)
    start = within(last)
    length = problem.d[request]
    column = np.repeat(np.arange(len(request)), length)
    age = within(length) + 1
    rows = np.concatenate((request, problem.n + start[column] + age - 1))
    held = run_kv_peak(age, 1, problem.p[request[column]]).astype(float)
    matrix = sparse.csc_array(
        (np.concatenate((np.ones(len(request)), held)), (rows, np.concatenate((np.arange(len(request)), column)))),
        shape=(problem.n + horizon, len(request)),
    )
    count = len(request)
    return ArrayModel(
        problem.weight[request] * (start + length),
        matrix,
        np.concatenate((np.ones(problem.n), np.full(horizon, -np.inf))),
        np.concatenate((np.ones(problem.n), np.full(horizon, float(problem.capacity)))),
        np.zeros(count),
        np.ones(count),
        np.ones(count, dtype=bool),
    )


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark strong", description=__doc__)
    parser.add_argument("--requests", type=int, nargs="*", default=[10, 12, 15])
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(6)))
    parser.add_argument("--plain-limit", type=float, default=60.0, help="seconds for the textbook model, 0: leave out")
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds for this toolkit")
    options = parser.parse_args()
    solve(read_instance("instances/exact/kv30-sum-n10-s0.json"), time_limit_s=60)  # compiles, once and not measured
    table = Table(
        "instance", "value", "status", "seconds", "plain value", "plain bound", "plain status", "plain s", "ratio"
    )
    for count in options.requests:
        for seed in options.seeds:
            _row(f"kv30-sum-n{count}-s{seed}", options, table)
    Console(width=130).print(table)


def _row(name: str, options: argparse.Namespace, table: Table) -> None:
    instance = read_instance(f"instances/exact/{name}.json")
    problem = UnitRounds.of(instance)
    assert problem is not None
    began = time.perf_counter()
    plan = solve(instance, time_limit_s=options.time_limit, threads=1).plan
    seconds = time.perf_counter() - began
    cells = [name, f"{plan.claims.value:g}", plan.claims.status, f"{seconds:.2f}"]
    if options.plain_limit:
        # The horizon is generous to the textbook model: the end of the best plan is not known to it beforehand.
        horizon = int(sum(int(worker_plan.rounds.sum()) for worker_plan in plan.workers) * 1.2)
        result: SolveResult = solve_arrays(
            plain_model(problem, horizon), threads=1, budget=Budget(options.plain_limit), mip_abs_gap=0.99
        )
        plain_s = sum(result.seconds)
        value = "-" if result.value is None else f"{result.value:.0f}"
        cells += [value, f"{result.bound:.1f}", result.status.value, f"{plain_s:.2f}", f"{plain_s / seconds:.0f}x"]
    table.add_row(*cells)


if __name__ == "__main__":
    main()
