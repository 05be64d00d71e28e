"""Plans made without seeing the lengths: value of the stochastic solution and of perfect information over seeds."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from _ledger import Table
from _results import markdown_table, run_with, write_page

from llmsched_mip.execution import replay
from llmsched_mip.methods.stochastic.solve import solve_stochastic
from llmsched_mip.workload import generate
from llmsched_mip.workload.predictions import with_predictions

CASES = (
    ("gsm8k-65b", "makespan", 1319),
    ("gsm8k-opt66b-a100", "makespan", 1319),
    ("lmsys-chat", "total_completion", 400),
    ("azure-conv", "total_completion", 400),
)
SIGHTS = ("interval", "unknown")
FIELDS = (
    "expected_value",
    "value_of_stochastic_solution",
    "value_of_stochastic_solution_half_width",
    "value_of_perfect_information",
    "value_of_perfect_information_half_width",
    "most_value_of_perfect_information",
)

Case = tuple[tuple[str, str, int], str, int]


def main() -> None:
    """Solve what is not in the ledger and write docs/results/stochastic.md."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark stochastic", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--time-limit", type=float, default=15.0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/stochastic"), help="folder of the ledger")
    options = parser.parse_args()
    began, table = time.perf_counter(), Table(options.out / "stochastic.csv")
    todo = [(case, sight, seed) for seed in range(options.seeds) for case in CASES for sight in SIGHTS]
    todo = [case for case in todo if _key(case) not in table]
    with ProcessPoolExecutor(options.jobs) as pool:
        for case, row in zip(todo, pool.map(partial(_run, options.time_limit), todo), strict=True):
            table.add(_key(case), row)
            print(_key(case), row, flush=True)
    command = shlex.join(["scripts/benchmark", "stochastic", *sys.argv[1:]])
    intro = (
        f"`solve --lengths` for {options.time_limit:g} s in one process, seeds 0 to {options.seeds - 1}, intervals "
        "u = 4 l. Means over the seeds in seconds, in brackets the mean of their 95 % half widths. *VSS*: value of the "
        "stochastic solution. *EVPI*: value of perfect information, an estimate from below; *at most*: by proven "
        "bounds. *Executed*: the order on the true lengths, over the policy `lagrangian` that sees the same. With "
        "nothing known there is no history, only the prior of [docs/stochastic.md](../stochastic.md)."
    )
    how = run_with(command, began).replace("one thread", f"{options.jobs} at a time")
    page = ["# Stochastic solutions", intro, how, _table(table, options.seeds)]
    print(f"wrote {write_page('stochastic.md', page)}")


def _key(case: Case) -> str:
    (family, _, requests), sight, seed = case
    return f"{family}|{requests}|{sight}|{seed}"


def _run(limit_s: float, case: Case) -> dict[str, object]:
    (family, objective, requests), sight, seed = case
    instance = generate(family, requests, seed).with_objective(objective)
    instance = with_predictions(instance, "intervals:4", seed)
    result = solve_stochastic(instance, sight, time_limit_s=limit_s, threads=1, seed=seed)
    values = result.plan.stochastic
    assert values is not None
    online = replay(instance, "lagrangian", lengths=sight).measures.objective(objective)
    return {
        "case": f"{family}|{objective}|{requests}|{sight}",
        "executed": values.executed_value,
        "online": online,
        **{name: getattr(values, name) for name in FIELDS},
    }


def _table(table: Table, seeds: int) -> str:
    header = ["family", "objective", "requests", "lengths", "expected", "VSS", "EVPI", "at most", "executed"]
    lines = []
    for family, objective, requests in CASES:
        for sight in SIGHTS:
            case = f"{family}|{objective}|{requests}|{sight}"
            rows = [row for row in table.rows.values() if row["case"] == case]
            if len(rows) < seeds:
                continue
            column = {name: [float(row[name]) for row in rows if row[name]] for name in (*FIELDS, "executed", "online")}

            def mean(name: str, column: dict[str, list[float]] = column) -> str:
                return f"{np.mean(column[name]):.4g}" if column[name] else "-"

            vss, evpi = "value_of_stochastic_solution", "value_of_perfect_information"
            ratio = np.mean(np.array(column["executed"]) / np.array(column["online"]))
            line = [family, objective.replace("_", " "), str(requests), sight, mean("expected_value")]
            line += [f"{mean(name)} ({mean(name + '_half_width')})" for name in (vss, evpi)]
            lines.append([*line, mean("most_value_of_perfect_information"), f"{ratio:.3f}"])
    return markdown_table(header, lines)


if __name__ == "__main__":
    main()
