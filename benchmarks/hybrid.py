"""The hybrid method over seeds: baseline, offline plan, online rules, with bound, utilization and gap closure."""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from llmsched_mip import Instance
from llmsched_mip.errors import SchedulingError
from llmsched_mip.execution import Executor, Outcome, replay
from llmsched_mip.methods import solve
from llmsched_mip.methods.lists import places
from llmsched_mip.plan import Plan
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.policies.threshold import IdleThreshold
from llmsched_mip.workload import Columns, deployment, generate, import_csv
from llmsched_mip.workload.predictions import with_intervals

FAMILIES = ("gsm8k-65b", "gsm8k-opt66b-a100")
REAL = (("llama-65b-calibrated", 200), ("opt-66b-a100-tp4", 200))
REAL_LENGTHS = Path("../shared/data/gsm8k_test_lengths.csv")
INTERVAL_RATIO = 4.0
MOST_IDLE = 60


class Row(NamedTuple):
    """Measures of one rule on one instance."""

    makespan: float
    utilization: float
    closure: float
    gap: float
    evictions: int
    milliseconds: float


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark hybrid", description=__doc__)
    parser.add_argument("--family", choices=[*FAMILIES, "real"], default="gsm8k-65b", help="real: public GSM8K lengths")
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 .. N-1 of the family")
    parser.add_argument("--time-limit", type=float, default=20.0, help="seconds of the offline solve")
    parser.add_argument("--no-sweep", action="store_true", help="leave out the sweep of fixed thresholds")
    options = parser.parse_args()
    try:
        if options.family == "real":
            _real(options)
        else:
            cases = [generate(options.family, seed=s, intervals=INTERVAL_RATIO) for s in range(options.seeds)]
            _table(f"{options.family}, seeds 0 to {options.seeds - 1}", cases, options)
    except SchedulingError as error:
        print(f"benchmark hybrid: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _real(options: argparse.Namespace) -> None:
    if not REAL_LENGTHS.exists():
        print(f"skipped: {REAL_LENGTHS} is not there", file=sys.stderr)
        return
    for name, slots in REAL:
        instance = import_csv(
            REAL_LENGTHS,
            deployment(name, published=True),
            Columns(decode="decode_175b_verification"),
            slots=slots,
            name=f"gsm8k-real-{name}",
        )
        case = with_intervals(instance, INTERVAL_RATIO, 0)
        _table(f"real GSM8K lengths on {name}", [case], options)


def _table(title: str, cases: list[Instance], options: argparse.Namespace) -> None:
    rows: dict[str, list[Row]] = defaultdict(list)
    bounds, thresholds = [], []
    for case in cases:
        began = time.perf_counter()
        plan = solve(case, time_limit_s=options.time_limit).plan
        bounds.append(plan.claims.bound)
        for name, row in _rules(case, plan).items():
            rows[name].append(row)
        if not options.no_sweep:
            name, row = _sweep(case, plan)
            thresholds.append(name)
            rows[f"best fixed threshold (1 to {MOST_IDLE}, both orders)"].append(row)
        print(f"{case.name}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    _print(title, rows, fmean(bounds), len(cases), thresholds)


def _rules(case: Instance, plan: Plan) -> dict[str, Row]:
    base = replay(case, "fcfs")
    runs = {
        "fcfs": base,
        "longest-first": replay(case, "longest-first"),
        "plan (offline)": replay(case, "plan", plan=plan),
        "lagrangian, known, with the plan": replay(case, "lagrangian", plan=plan),
        "lagrangian, known, no plan": replay(case, "lagrangian"),
        "lagrangian, interval": replay(case, "lagrangian", lengths="interval"),
        "lagrangian, unknown": replay(case, "lagrangian", lengths="unknown"),
    }
    return {name: _row(outcome, base, plan) for name, outcome in runs.items()}


def _row(outcome: Outcome, base: Outcome, plan: Plan) -> Row:
    measures, bound = outcome.measures, plan.claims.bound or 0.0
    closure = (base.measures.makespan - measures.makespan) / (base.measures.makespan - bound)
    gap = (measures.makespan - bound) / measures.makespan
    return Row(measures.makespan, measures.utilization or 0.0, closure, gap, outcome.evictions, outcome.seconds * 1e3)


def _sweep(case: Instance, plan: Plan) -> tuple[str, Row]:
    """Best fixed threshold of idle slots in order of arrival or longest first, known lengths."""
    problem, best = Problem.of(case, "known"), None
    for order, place in (("arrival", None), ("longest first", places(-case.requests.decode_tokens))):
        for idle in range(1, MOST_IDLE + 1):
            executor = Executor(case, IdleThreshold(problem, place, idle))
            began = time.perf_counter()
            executor.run()
            outcome = executor.outcome("threshold", time.perf_counter() - began)
            if best is None or outcome.measures.makespan < best[1].measures.makespan:
                best = f"{idle} ({order})", outcome
    assert best is not None
    return best[0], _row(best[1], replay(case, "fcfs"), plan)


def _print(title: str, rows: dict[str, list[Row]], bound: float, count: int, thresholds: list[str]) -> None:
    table = Table(title=f"{title}: means over {count}, bound {bound:.2f} s")
    for column in ("rule", "makespan s", "utilization %", "gap closure %", "gap to bound %", "evictions", "replay ms"):
        table.add_column(column, justify="left" if column == "rule" else "right")
    for name, run in rows.items():
        mean = Row(*(fmean(values) for values in zip(*run, strict=True)))
        table.add_row(
            name,
            f"{mean.makespan:.2f}",
            f"{100 * mean.utilization:.1f}",
            f"{100 * mean.closure:.1f}",
            f"{100 * mean.gap:.2f}",
            f"{mean.evictions:.0f}",
            f"{mean.milliseconds:.0f}",
        )
    console = Console(width=128)
    console.print(table)
    if thresholds:
        console.print(f"best thresholds: {', '.join(thresholds)}")


if __name__ == "__main__":
    main()
