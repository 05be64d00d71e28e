"""MMBPP side by side in one run: `pack`, the assignment model in HiGHS (with and without a start), CBC."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from _figures import Figure
from rich.console import Console
from rich.table import Table

from llmsched_mip import read_instance
from llmsched_mip.algorithms.packing import pack
from llmsched_mip.algorithms.packing.construct import longest_first
from llmsched_mip.algorithms.packing.lower_bounds import area_bound, longest_bound
from llmsched_mip.budget import Budget
from llmsched_mip.errors import InvalidInputError, SchedulingError
from llmsched_mip.models import mmbpp
from llmsched_mip.solvers import SolveResult, solve, solve_with_cbc
from llmsched_mip.timing import IntArray


class Row(NamedTuple):
    """One line of the table; seconds include building the model."""

    method: str
    value: float | None
    bound: float
    seconds: float
    status: str


def main() -> None:
    """Run the benchmark as the command line says."""
    options = _arguments()
    try:
        for name, lengths, bins in _cases(options):
            _table(name, lengths, bins, options)
    except SchedulingError as error:
        print(f"benchmark mmbpp: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def figures() -> list[Figure]:
    """For the table of results by version: 150 lengths in 20 bins, 10 s for HiGHS."""
    lengths, bins = sample(1, 150), 20
    options = argparse.Namespace(time_limit=10.0, threads=1)
    packed, modelled = _pack(lengths, bins, 10.0), _highs(lengths, bins, options, start=True)
    what = f"pack, 150 lengths in 20 bins, {packed.status}"
    return [Figure(what, packed.seconds, f"HiGHS, {modelled.status}", packed.seconds / modelled.seconds)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/benchmark mmbpp", description=__doc__)
    parser.add_argument("--instance", default="instances/gsm8k-65b.json", help="instance file, one worker")
    parser.add_argument("--seeds", type=int, nargs="*", help="sample the family with these seeds instead")
    parser.add_argument("--requests", type=int, help="take only the first requests")
    parser.add_argument("--bins", type=int, help="default: the worker's slots")
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds for each method")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument(
        "--methods",
        nargs="*",
        choices=["pack", "highs", "highs-start", "cbc"],
        default=["pack", "highs", "highs-start", "cbc"],
    )
    return parser.parse_args()


def _cases(options: argparse.Namespace) -> list[tuple[str, IntArray, int]]:
    if options.seeds:
        bins = options.bins or 200
        n = options.requests or 1319
        return [(f"seed {seed}", sample(seed, n), bins) for seed in options.seeds]
    instance = read_instance(options.instance)
    bins = options.bins or instance.workers[0].slots
    if len(instance.workers) != 1 or bins is None:
        raise InvalidInputError("workers", "expected one worker with slots", source=options.instance)
    return [(instance.name, instance.requests.decode_tokens[: options.requests], bins)]


def sample(seed: int, n: int) -> IntArray:
    """Lengths like those of gsm8k-65b: 54.7 % at 512, the rest log-normal below 512 (mean 143, std 60)."""
    random = np.random.default_rng(seed)
    variance = np.log1p((60 / 143) ** 2)
    drawn = random.lognormal(np.log(143) - variance / 2, np.sqrt(variance), 4 * n)
    short = np.maximum(1, np.rint(drawn[drawn < 511.5])).astype(np.int64)[:n]
    return np.where(random.random(n) < 0.547, 512, short)


def _table(name: str, lengths: IntArray, bins: int, options: argparse.Namespace) -> None:
    runs: dict[str, Callable[[], Row]] = {
        "pack": lambda: _pack(lengths, bins, options.time_limit),
        "highs": lambda: _highs(lengths, bins, options, start=False),
        "highs-start": lambda: _highs(lengths, bins, options, start=True),
        "cbc": lambda: _cbc(lengths, bins, options),
    }
    rows = []
    for method in options.methods:
        print(f"{name}: {method} ...", file=sys.stderr, flush=True)
        rows.append(runs[method]())
    title = (
        f"{name}: {len(lengths)} lengths, {bins} bins, {options.time_limit:g} s each; "
        f"area {area_bound(lengths, bins)}, longest {longest_bound(-np.sort(-lengths))}"
    )
    table = Table("method", "value", "bound", "gap (v-b)/v", "(v-b)/b", "seconds", "ratio", "status", title=title)
    for row in rows:
        table.add_row(*_cells(row, rows[0].seconds))
    Console(width=130).print(table)


def _cells(row: Row, reference: float) -> list[str]:
    gap = over = "-"
    if row.value is not None and np.isfinite(row.bound):
        gap = f"{(row.value - row.bound) / row.value:.2%}"
        over = f"{(row.value - row.bound) / row.bound:.2%}" if row.bound > 0 else "-"
    return [
        row.method,
        "-" if row.value is None else f"{row.value:.0f}",
        f"{row.bound:.2f}" if np.isfinite(row.bound) else "-",
        gap,
        over,
        f"{row.seconds:.3f}",
        f"{row.seconds / reference:.0f}x",
        row.status,
    ]


def _pack(lengths: IntArray, bins: int, time_limit_s: float) -> Row:
    packing = pack(lengths, bins, budget=Budget(time_limit_s))
    status = f"{packing.status} ({packing.how})"
    return Row("pack", packing.makespan, packing.bound, packing.seconds, status)


def _highs(lengths: IntArray, bins: int, options: argparse.Namespace, start: bool) -> Row:
    began = time.perf_counter()
    model = mmbpp.build_packing(lengths, bins)
    if start:
        order = np.argsort(-lengths, kind="stable")
        assignment = np.empty(len(lengths), dtype=np.int64)
        assignment[order] = longest_first(lengths[order], bins)
        mmbpp.start(model, lengths, assignment)
    built = time.perf_counter() - began
    left = max(0.0, options.time_limit - built)
    result = solve(model, start=start, load=False, budget=Budget(left), threads=options.threads)
    name = "HiGHS, longest-first start" if start else "HiGHS"
    return _row(name, result, time.perf_counter() - began)


def _cbc(lengths: IntArray, bins: int, options: argparse.Namespace) -> Row:
    began = time.perf_counter()
    model = mmbpp.build_packing(lengths, bins)
    result = solve_with_cbc(model, load=False, budget=Budget(options.time_limit), threads=options.threads)
    return _row("CBC (PuLP)", result, time.perf_counter() - began)


def _row(name: str, result: SolveResult, seconds: float) -> Row:
    return Row(name, result.value, result.bound, seconds, result.status.value)


if __name__ == "__main__":
    main()
