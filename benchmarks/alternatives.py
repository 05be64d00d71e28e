"""`solve` against what a user would do instead in the same time, on the same round-indexed model without its
strengthenings: Pyomo and HiGHS, PuLP and CBC, and OR-Tools CP-SAT on the model's MPS file in a process of its own.

Building the model counts.  Plans of the alternatives are read off their values as they are, without a check.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _solves import solved_apart
from rich.console import Console
from rich.table import Table

from llmsched_mip import Instance
from llmsched_mip.budget import Budget
from llmsched_mip.models import round_indexed
from llmsched_mip.models.horizon import whole_horizon
from llmsched_mip.models.round_indexed import Options
from llmsched_mip.solvers import solve, solve_with_cbc, write_model
from llmsched_mip.workload import generate

PLAIN = Options(
    types=False, symmetry=False, windows=False, covers=False, prefill=False, completions=False, precedence=False
)
Found = tuple[float | None, float | None]
CP_SAT = """
import json, sys
from ortools.linear_solver.python import model_builder
model = model_builder.Model()
model.import_from_mps_file(sys.argv[1])
solver = model_builder.Solver("sat")
solver.set_time_limit_in_seconds(float(sys.argv[2]))
solver.set_solver_specific_parameters("num_workers:" + sys.argv[3])
found = solver.solve(model) in (model_builder.SolveStatus.OPTIMAL, model_builder.SolveStatus.FEASIBLE)
print(json.dumps([solver.objective_value if found else None, solver.best_objective_bound]))
"""


def main() -> None:
    """Print a row for each instance and way."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark alternatives", description=__doc__)
    parser.add_argument("--families", nargs="*", default=["kv-uniform", "gsm8k-65b", "azure-conv"])
    parser.add_argument("--requests", type=int, nargs="*", default=[8, 20, 50])
    parser.add_argument("--time-limit", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    table = Table(
        "instance", "objective", "way", "value", "bound", "gap", "value over ours", title=__doc__.split("\n")[0]
    )
    for family in options.families:
        for count in options.requests:
            instance = generate(family, count, 1, **({"slots": 8} if family == "gsm8k-65b" else {}))
            _rows(instance, options, table)
    Console(width=120).print(table)


def _rows(instance: Instance, options: argparse.Namespace, table: Table) -> None:
    ours = solved_apart(instance, options.time_limit, options.threads)
    ways: dict[str, Callable[[], Found]] = {
        "llmsched solve": lambda: (ours.value, ours.bound),
        "Pyomo, HiGHS": lambda: _highs(instance, options),
        "PuLP, CBC": lambda: _cbc(instance, options),
        "OR-Tools CP-SAT": lambda: _cp_sat(instance, options),
    }
    for way, run in ways.items():
        try:
            value, bound = run()
        except (MemoryError, subprocess.SubprocessError, ValueError) as error:
            table.add_row(instance.name, instance.objective, way, f"failed: {str(error)[:40]}", "", "", "")
            continue
        gap = "-" if value is None or bound is None or not math.isfinite(bound) else f"{(value - bound) / value:.2%}"
        over = "-" if value is None else f"{value / ours.value:.4f}"
        cells = ["no plan" if value is None else f"{value:.6g}", "-" if bound is None else f"{bound:.6g}"]
        table.add_row(instance.name, instance.objective, way, *cells, gap, over)


def _model(instance: Instance) -> object:
    return round_indexed.build(instance, horizon=whole_horizon(instance), options=PLAIN)


def _highs(instance: Instance, options: argparse.Namespace) -> Found:
    budget = Budget(options.time_limit)
    result = solve(_model(instance), budget=budget, threads=options.threads, load=False)
    return result.value, result.bound


def _cbc(instance: Instance, options: argparse.Namespace) -> Found:
    budget = Budget(options.time_limit)
    result = solve_with_cbc(_model(instance), budget=budget, threads=options.threads, load=False)
    return result.value, result.bound if result.status.proven else None


def _cp_sat(instance: Instance, options: argparse.Namespace) -> Found:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mps"
        write_model(_model(instance), path)
        left = max(1.0, options.time_limit - (time.perf_counter() - began))
        command = [sys.executable, "-c", CP_SAT, str(path), str(left), str(options.threads)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=left + 60)
    if done.returncode:
        raise ValueError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no output")
    value, bound = json.loads(done.stdout.strip().splitlines()[-1])
    return value, bound


if __name__ == "__main__":
    main()
