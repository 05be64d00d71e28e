"""What each strengthening of the round-indexed model is worth, one by one: size, LP bound, bound and time of HiGHS.

`plain` is the textbook form.  Each row below it adds one thing alone; `all` has everything.  The steps that come
from outside the model: `horizon` takes T from the best constructed plan, `latest` the latest completion of each
request, `cut` the best combinatorial bound as a row, `start` hands the plan to HiGHS.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from llmsched_mip import bounds, read_instance
from llmsched_mip.budget import Budget
from llmsched_mip.instance import Instance
from llmsched_mip.methods.construct import construct
from llmsched_mip.methods.full import Setting
from llmsched_mip.methods.search import Search
from llmsched_mip.models import round_indexed
from llmsched_mip.models.round_indexed import Options
from llmsched_mip.solvers import ArrayModel, solve, solve_arrays
from llmsched_mip.workload import generate

SWITCHES = ("types", "symmetry", "windows", "covers", "prefill", "completions", "precedence")
OUTSIDE = ("horizon", "latest", "cut", "start")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/benchmark formulations", description=__doc__)
    parser.add_argument("instances", nargs="*", help="instance files; default: a generated one")
    parser.add_argument("--family", default="kv-uniform")
    parser.add_argument("--requests", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--time-limit", type=float, default=20.0, help="seconds for each row")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    cases = [read_instance(path) for path in options.instances]
    for instance in cases or [generate(options.family, options.requests, options.seed)]:
        _table(instance, options)


def _table(instance: Instance, options: argparse.Namespace) -> None:
    with Search(instance, options.time_limit) as search:
        search.raise_bounds(bounds.compute(instance, Budget(options.time_limit)))
        construct(search)
        setting = Setting.of(search)
    table = Table(
        "form", "columns", "nonzeros", "LP bound", "value", "bound", "gap", "build s", "total s", "nodes", "status",
        title=f"{instance.name}, {instance.objective}: constructed {search.value:.6g}, bound {search.bound:.6g}",
    )  # fmt: skip
    forms = [("plain", (), ())]
    forms += [(name, (name,), ()) for name in SWITCHES] + [(name, (), (name,)) for name in OUTSIDE]
    forms += [("all switches", SWITCHES, ()), ("all", SWITCHES, OUTSIDE)]
    for name, switches, outside in forms:
        table.add_row(name, *_row(instance, search, setting, switches, outside, options))
    Console(width=130).print(table)


def _row(
    instance: Instance,
    search: Search,
    setting: Setting,
    switches: tuple[str, ...],
    outside: tuple[str, ...],
    options: argparse.Namespace,
) -> list[str]:
    needed = ("windows",) if "latest" in outside else ()
    began = time.perf_counter()
    arguments: dict[str, Any] = {
        "horizon": setting.horizon if "horizon" in outside else None,
        "latest_s": setting.latest_s if "latest" in outside else None,
        "objective_bound": setting.objective_bound if "cut" in outside else None,
        "options": Options(**{name: name in switches or name in needed for name in SWITCHES}),
    }
    model = round_indexed.build(instance, **arguments)
    built = time.perf_counter() - began
    started = "start" in outside and search.plan is not None and round_indexed.start(model, search.plan)
    result = solve(model, start=started, load=False, budget=Budget(options.time_limit), threads=options.threads)
    total = time.perf_counter() - began
    form = ArrayModel(**model.layout.form.matrix_form())
    relaxed = ArrayModel(**{**vars(form), "integer": np.zeros(len(form.integer), dtype=bool)})
    linear = solve_arrays(relaxed, threads=options.threads, budget=Budget(options.time_limit))
    return [
        f"{len(form.cost):,}",
        f"{form.matrix.nnz:,}",
        "-" if linear.value is None else f"{linear.value:.6g}",
        "-" if result.value is None else f"{result.value:.6g}",
        f"{result.bound:.6g}",
        f"{result.gap:.2%}",
        f"{built:.2f}",
        f"{total:.2f}",
        str(result.nodes),
        result.status.value,
    ]


if __name__ == "__main__":
    main()
