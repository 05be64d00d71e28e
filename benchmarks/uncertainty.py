"""Policies that see only prediction intervals, against hindsight shortest first, over α = l / u."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections import defaultdict
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

from _results import CAPACITY, in_unit_rounds, markdown_table, run_with, write_page

from llmsched_mip import Instance
from llmsched_mip.execution import replay
from llmsched_mip.policies import POLICIES
from llmsched_mip.workload import generate
from llmsched_mip.workload.predictions import with_predictions

ALPHAS = (1.0, 0.8, 0.5, 0.3, 0.2, 0.1, 0.05)
REFERENCE = "h-sf"
CANDIDATES = ("a-max", "a-min", "mc-sf", "mc-sf:0", "lagrangian", "lagrangian-stochastic", "geometric-slicing")
TARGET_ALPHA, TARGET = 0.2, 1.15
INTERVALS = {f"α = {alpha:g}": f"intervals:{1 / alpha:.12g}" for alpha in ALPHAS}
MISSES = {
    "α = 0.2, 0.7 too short": "biased:5:0.7",
    "0.3 too short": "biased:5:0.3",
    "1.4 too long": "biased:5:1.4",
    "20 % wrong": "wrong:5:0.2",
    "log-normal, σ = 0.5": "lognormal:0.5",
}


class Run(NamedTuple):
    """One policy on one instance."""

    ratio: float
    evictions: int
    overflow: int


def main() -> None:
    """Run the seeds as the command line says and write docs/results/uncertainty.md."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark uncertainty", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 .. N-1")
    parser.add_argument("--families", nargs="*", default=["lmsys-chat", "mixture"])
    parser.add_argument("--page", default="uncertainty.md")
    options = parser.parse_args()
    began, parts = time.perf_counter(), []
    for family in options.families:
        for timed in (False, True):
            parts += _section(family, options.requests, options.seeds, timed, INTERVALS)
        parts += _section(family, options.requests, options.seeds, False, MISSES)
    intro = (
        f"n = {options.requests} requests, all there from the start, seeds 0 to {options.seeds - 1}, M = {CAPACITY:,} "
        "KV tokens. Each policy sees [l, u] with l = α u, placed at random around the true length on a logarithmic "
        f"scale. Cells: total completion over that of `{REFERENCE}`, which knows the lengths (mean over the seeds), "
        "and in brackets the evictions for every 100 requests. *KV overflow* is the most tokens above M that were ever "
        "held at the end of an iteration."
    )
    command = shlex.join(["scripts/benchmark", "uncertainty", *sys.argv[1:]])
    page = write_page(options.page, ["# Unknown lengths", intro, run_with(command, began), *parts])
    print(f"wrote {page}")


def _section(family: str, count: int, seeds: int, timed: bool, shown: dict[str, str]) -> list[str]:
    policies = [name for name in CANDIDATES if name.partition(":")[0] in POLICIES]
    runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for seed in range(seeds):
        backlog = replace(generate(family, count, seed), objective="total_completion")
        backlog = backlog if timed else in_unit_rounds(backlog)
        reference = replay(backlog, REFERENCE).measures.total_completion
        for kind in shown.values():
            predicted = with_predictions(backlog, kind, seed)
            for policy in policies:
                runs[policy, kind].append(_run(predicted, policy, reference))
        print(family, "timed" if timed else "unit rounds", f"seed {seed} done", file=sys.stderr, flush=True)
    rows = []
    for policy in policies:
        replays = [runs[policy, kind] for kind in shown.values()]
        overflow = max(run.overflow for each in replays for run in each)
        rows.append([policy, *(_cell(each, count) for each in replays), overflow])
    header = ["policy", *shown, "KV overflow"]
    model = "times of Llama-2-70B on 2 A100, 256 slots" if timed else "unit rounds, no slots"
    title = f"## {family}, {model}" + (", predictions that miss" if shown is MISSES else "")
    parts = [title, markdown_table(header, rows)]
    if shown is INTERVALS:
        reached = fmean(run.ratio for run in runs["a-min", INTERVALS[f"α = {TARGET_ALPHA:g}"]])
        word = "within" if reached <= TARGET else "not within"
        parts.append(f"At α = {TARGET_ALPHA:g}, `a-min` is at {reached:.3f} of `{REFERENCE}`: {word} 15 %.")
    return parts


def _run(instance: Instance, policy: str, reference: float) -> Run:
    outcome = replay(instance, policy, lengths="interval")
    capacity = instance.workers[0].kv_capacity or 0
    ratio = outcome.measures.total_completion / reference
    return Run(ratio, outcome.evictions, max(0, outcome.measures.kv_peak - capacity))


def _cell(runs: list[Run], count: int) -> str:
    evictions = 100 * fmean(run.evictions for run in runs) / count
    return f"{fmean(run.ratio for run in runs):.3f} ({evictions:.3g})"


if __name__ == "__main__":
    main()
