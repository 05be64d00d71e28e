"""Every policy on the instances with proven optima: feasible, and not below the optimum."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from _optima import Proven, proven_values
from _results import markdown_table, run_with, write_page

from llmsched_mip.errors import SchedulingError
from llmsched_mip.evaluation import evaluate
from llmsched_mip.execution import replay

POLICIES = (
    "fcfs",
    "shortest-first",
    "mc-sf",
    "sorted-f:exact",
    "sorted-f",
    "sorted-lp",
    "lp-swap",
    "svf",
    "longest-first",
    "lagrangian",
)
TOLERANCE = 1e-9


def main() -> None:
    """Check the folders and write docs/results/exactness.md; exit code 1 when a policy breaks a rule."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark exactness", description=__doc__)
    parser.add_argument("--folders", nargs="*", default=["instances/exact", "instances/hindsight"])
    parser.add_argument("--page", default="exactness.md")
    options = parser.parse_args()
    began, parts, wrong = time.perf_counter(), [], 0
    for folder in options.folders:
        entries = [entry for entry in proven_values(Path(folder)) if entry.objective == "total_completion"]
        entries += [entry for entry in proven_values(Path(folder)) if entry.objective == "makespan"]
        if not entries:
            print(f"skipped {folder}: no table of proven values there", file=sys.stderr)
            continue
        for objective in ("total_completion", "makespan"):
            chosen = [entry for entry in entries if entry.objective == objective]
            table, broken = _table(chosen)
            wrong += broken
            parts += [f"## {folder}, {objective}: {len(chosen)} instances", table] if chosen else []
    if parts:
        intro = (
            "Lengths known. *feasible*: the plan of the replay has no violation in `evaluate`. *below*: plans "
            "below the proven optimum or bound. *over*: value over the optimum "
            "(where that is open, over the bound)."
        )
        command = shlex.join(["scripts/benchmark", "exactness", *sys.argv[1:]])
        page = write_page(options.page, ["# Policies against proven optima", intro, run_with(command, began), *parts])
        print(f"wrote {page}")
    sys.exit(1 if wrong else 0)


def _table(entries: list[Proven]) -> tuple[str, int]:
    over: dict[str, list[float]] = defaultdict(list)
    feasible: dict[str, int] = defaultdict(int)
    below: dict[str, int] = defaultdict(int)
    for entry in entries:
        instance = replace(entry.instance, objective=entry.objective)
        for policy in POLICIES:
            try:
                outcome = replay(instance, policy)
                found = evaluate(instance, outcome.to_plan(instance))
            except SchedulingError as error:
                print(f"{instance.name}, {policy}: {error}", file=sys.stderr)
                continue
            value = found.measures.objective(entry.objective)
            feasible[policy] += not found.violations
            below[policy] += value < entry.bound * (1 - TOLERANCE)
            over[policy].append(value / entry.bound)
    rows = []
    for policy, ratios in over.items():
        optimal = sum(ratio <= 1 + 1e-6 for ratio in ratios)
        cells = [f"{feasible[policy]} of {len(entries)}", below[policy], f"{fmean(ratios):.3f}", f"{max(ratios):.3f}"]
        rows.append([policy, *cells, optimal])
    header = ["policy", "feasible", "below", "mean over", "worst over", "at the optimum"]
    wrong = sum(below.values()) + sum(len(entries) - feasible[policy] for policy in over)
    return markdown_table(header, rows), wrong


if __name__ == "__main__":
    main()
