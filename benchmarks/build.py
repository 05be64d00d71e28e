"""Time and peak memory of building the round-indexed model and handing it to HiGHS, by three routes in one run.

blocks   our Pyomo model, made from arrays block by block, handed over as a matrix (Pyomo's standard form)
scalar   the same model as plain Pyomo with a rule and a sum for each row, handed over in the same way
matrix   the same blocks as a sparse matrix, handed to highspy without Pyomo

Each route runs in a process of its own; peak memory is that of the process less what importing takes.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

import highspy
import numpy as np
import pyomo.environ as pyo
from _figures import Figure
from rich.console import Console
from rich.table import Table

from llmsched_mip.models import round_indexed
from llmsched_mip.models.blocks import LinearBlocks
from llmsched_mip.solvers.arrays import ArrayModel, standard_form
from llmsched_mip.solvers.highs import highs_model
from llmsched_mip.workload import generate

ROUTES = ("blocks", "scalar", "matrix")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/benchmark build", description=__doc__)
    parser.add_argument("--family", default="kv-uniform")
    parser.add_argument("--requests", type=int, nargs="*", default=[10, 20, 40])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each route, the fastest counts")
    parser.add_argument("--route", choices=ROUTES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.route:
        print(json.dumps(_measure(options.route, options.family, options.requests[0], options.seed)))
        return
    table = Table("requests", "route", "rows", "columns", "nonzeros", "build s", "hand-over s", "ratio", "peak MB")
    for requests in options.requests:
        runs = {route: _best(route, requests, options.family, options.seed, options.repeat) for route in ROUTES}
        least = sum(runs["matrix"][key] for key in ("build_s", "handover_s"))
        for route, run in runs.items():
            table.add_row(*_cells(requests, route, run, least))
    Console(width=110).print(table)


def figures() -> list[Figure]:
    """For the table of results by version: 20 requests."""
    best = {route: _best(route, 20, "kv-uniform", 1, 3) for route in ROUTES}
    seconds = {route: run["build_s"] + run["handover_s"] for route, run in best.items()}
    what = "round_indexed, 20 requests of kv-uniform, {}"
    return [
        Figure(what.format(route), seconds[route], "the same as a matrix", seconds[route] / seconds["matrix"])
        for route in ("blocks", "scalar")
    ]


def _best(route: str, requests: int, family: str, seed: int, repeat: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--route", route, "--family", family]
    command += ["--requests", str(requests), "--seed", str(seed)]
    runs = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(repeat)]
    return min(runs, key=lambda run: run["build_s"] + run["handover_s"])


def _cells(requests: int, route: str, run: dict[str, Any], least: float) -> list[str]:
    total = run["build_s"] + run["handover_s"]
    size = [f"{run[key]:,}" for key in ("rows", "columns", "nonzeros")]
    return [
        str(requests),
        route,
        *size,
        f"{run['build_s']:.3f}",
        f"{run['handover_s']:.3f}",
        f"{total / least:.1f}x",
        f"{run['peak_mb']:.0f}",
    ]


def _measure(route: str, family: str, requests: int, seed: int) -> dict[str, Any]:
    instance = generate(family, requests, seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    blocks = round_indexed.formulate(instance).form
    if route == "matrix":
        arrays = ArrayModel(**blocks.matrix_form())
        built = time.perf_counter()
    else:
        model = blocks.pyomo("round_indexed") if route == "blocks" else _scalar(blocks)
        built = time.perf_counter()
        form = standard_form(model)
        assert form is not None
        arrays = form.model
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.passModel(highs_model(arrays))
    ended = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows, columns = arrays.matrix.shape
    return {
        "rows": rows,
        "columns": columns,
        "nonzeros": int(arrays.matrix.nnz),
        "build_s": built - began,
        "handover_s": ended - built,
        "peak_mb": (peak - before) / 1024,
    }


def _scalar(blocks: LinearBlocks) -> pyo.ConcreteModel:
    """The model as one would type it: scalar variables, a rule for each row, a Python sum of products in it."""
    model = pyo.ConcreteModel("scalar")
    columns: list[Any] = []
    for block in blocks.variables:
        limits = dict(zip(block.labels, zip(block.lower.tolist(), block.upper.tolist(), strict=True), strict=True))
        variable = pyo.Var(
            block.labels,
            domain=pyo.Integers if block.integer else pyo.Reals,
            bounds=lambda _, *label, limits=limits: limits[label if len(label) > 1 else label[0]],
        )
        setattr(model, block.name, variable)
        columns += [variable[label] for label in block.labels]
    for block in blocks.rows:
        matrix = block.terms.matrix(len(block.labels), blocks.columns)
        number = {label: r for r, label in enumerate(block.labels)}

        def rule(_: Any, *label: Any, matrix: Any = matrix, number: Any = number, block: Any = block) -> Any:
            r = number[label if len(label) > 1 else label[0]]
            span = range(matrix.indptr[r], matrix.indptr[r + 1])
            body = sum(float(matrix.data[j]) * columns[matrix.indices[j]] for j in span)
            low, high = float(block.lower[r]), float(block.upper[r])
            if low == high:
                return body == low
            return body <= high if np.isfinite(high) else body >= low

        setattr(model, block.name, pyo.Constraint(block.labels, rule=rule))
    cost = blocks.objective.matrix(1, blocks.columns)
    terms = zip(cost.data.tolist(), cost.indices.tolist(), strict=True)
    model.objective = pyo.Objective(expr=sum(value * columns[j] for value, j in terms))
    return model


if __name__ == "__main__":
    main()
