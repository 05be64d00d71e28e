"""`solve` against what a user would do instead in the same time, on the same round-indexed model without its
strengthenings: Pyomo and HiGHS, PuLP and CBC, and OR-Tools CP-SAT on the model's MPS file in a process of its own.

Building the model counts.  Plans of the alternatives are read off their values as they are, without a check.  Each runs
in a process of its own, which is killed when it has taken the limit and half of it again (CBC may overrun its
limit by hours) and may take 12 GiB.  Resumable.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _ledger import Table as Ledger
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
values = [solver.objective_value, solver.best_objective_bound] if found else [None, None]
print(json.dumps([None if value is None else float(value) for value in values]))
"""


OVERRUN, MOST_BYTES = 1.5, 12 * 2**30


def main() -> None:
    """Print a row for each instance and way."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark alternatives", description=__doc__)
    parser.add_argument("--families", nargs="*", default=["kv-uniform", "gsm8k-65b", "azure-conv"])
    parser.add_argument("--requests", type=int, nargs="*", default=[8, 20, 50])
    parser.add_argument("--time-limit", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/alternatives"), help="folder of the ledger")
    parser.add_argument("--one", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        print(json.dumps(WAYS[options.one](_instance(options.families[0], options.requests[0]), options)))
        return
    ledger = Ledger(options.out / "alternatives.csv")
    table = Table("instance", "way", "value", "bound", "gap", "value over ours", title=__doc__.split("\n")[0])
    for family in options.families:
        for count in options.requests:
            for way in WAYS:
                key = f"{family}-n{count}-{way}-t{options.threads}-{options.time_limit:g}s"
                if key not in ledger:
                    value, bound, note = _apart(way, family, count, options)
                    ledger.add(key, {"value": value, "bound": bound, "note": note})
                row = ledger.rows[key]
                if way == "llmsched solve":
                    ours = float(row["value"])
                cells = _cells(_number(row["value"]), _number(row["bound"]), row["note"], ours)
                table.add_row(f"{family} {count}", way, *cells)
                print(f"{family} {count}", way, *cells, sep="  ", flush=True)
    Console(width=120).print(table)


def _instance(family: str, count: int) -> Instance:
    return generate(family, count, 1, **({"slots": 8} if family == "gsm8k-65b" else {}))


def _number(text: str) -> float | None:
    return float(text) if text else None


def _cells(value: float | None, bound: float | None, note: str, ours: float) -> list[str]:
    gap = "-" if value is None or bound is None or not math.isfinite(bound) else f"{(value - bound) / value:.2%}"
    shown = note or "no plan" if value is None else f"{value:.6g}"
    return [shown, "-" if bound is None else f"{bound:.6g}", gap, "-" if value is None else f"{value / ours:.4f}"]


def _apart(way: str, family: str, count: int, options: argparse.Namespace) -> tuple[object, object, str]:
    """Value and bound of a way in a process of its own, empty where there is none, and why."""
    limits = ["--time-limit", str(options.time_limit), "--threads", str(options.threads)]
    command = [sys.executable, __file__, "--one", way, "--families", family, "--requests", str(count), *limits]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
        try:
            output, _ = process.communicate(timeout=OVERRUN * options.time_limit + 30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return "", "", "killed"
    if process.returncode:
        return "", "", "failed"
    value, bound = json.loads(output.strip().splitlines()[-1])
    return "" if value is None else value, "" if bound is None else bound, ""


def _ours(instance: Instance, options: argparse.Namespace) -> Found:
    ours = solved_apart(instance, options.time_limit, options.threads)
    return ours.value, ours.bound


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


WAYS: dict[str, Callable[[Instance, argparse.Namespace], Found]] = {
    "llmsched solve": _ours,
    "Pyomo, HiGHS": _highs,
    "PuLP, CBC": _cbc,
    "OR-Tools CP-SAT": _cp_sat,
}


if __name__ == "__main__":
    main()
