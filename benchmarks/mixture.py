"""Short chats and long summarisations in the unit-round model: every policy against the best lower bound."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections import defaultdict
from statistics import fmean

from _results import CAPACITY, best_bound, in_unit_rounds, markdown_table, run_with, write_page

from llmsched_mip.errors import SchedulingError
from llmsched_mip.execution import replay
from llmsched_mip.workload import generate

BASELINES = ("fcfs", "shortest-first")
POLICIES = (*BASELINES, "mc-sf", "longest-first", "sorted-f:swap", "sorted-f:quantile", "sorted-f", "svf", "lagrangian")
SMALL_ONLY = ("sorted-lp", "lp-swap")


def main() -> None:
    """Run the seeds as the command line says and write docs/results/mixture.md."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark mixture", description=__doc__)
    parser.add_argument("--requests", type=int, nargs="*", default=[200, 1000, 5000])
    parser.add_argument("--seeds", type=int, default=10, help="seeds 0 .. N-1")
    parser.add_argument("--family", default="mixture")
    parser.add_argument("--bound-seconds", type=float, default=20.0, help="for the lower bound of one instance")
    parser.add_argument("--page", default="mixture.md")
    options = parser.parse_args()
    began, parts = time.perf_counter(), []
    for count in options.requests:
        parts += _table(options.family, count, options.seeds, options.bound_seconds)
    command = shlex.join(["scripts/benchmark", "mixture", *sys.argv[1:]])
    intro = (
        f"Family `{options.family}`, seeds 0 to {options.seeds - 1}, unit rounds (prefill takes no time, a round 1), "
        f"M = {CAPACITY:,} KV tokens, no slots, lengths known. Total completion in rounds; the bound is the best of "
        "`alone`, `kv_volume` and `kv_dual`."
    )
    page = write_page(options.page, ["# Total completion of a mixture", intro, run_with(command, began), *parts])
    print(f"wrote {page}")


def _table(family: str, count: int, seeds: int, bound_seconds: float) -> list[str]:
    values: dict[str, dict[int, float]] = defaultdict(dict)
    seconds: dict[str, list[float]] = defaultdict(list)
    bounds = {}
    for seed in range(seeds):
        instance = in_unit_rounds(generate(family, count, seed))
        bounds[seed] = best_bound(instance, bound_seconds)
        for policy in POLICIES + (SMALL_ONLY if count <= 1000 else ()):
            began = time.perf_counter()
            try:
                outcome = replay(instance, policy)
            except SchedulingError as error:
                print(f"{policy}: {error}", file=sys.stderr)
                continue
            seconds[policy].append(time.perf_counter() - began)
            values[policy][seed] = outcome.measures.total_completion
        shown = {policy: f"{by_seed[seed]:.4g}" for policy, by_seed in values.items() if seed in by_seed}
        print(count, seed, f"bound {bounds[seed].value:.4g}", shown, file=sys.stderr, flush=True)
    rows = []
    for policy, by_seed in values.items():
        over = [by_seed[seed] / bounds[seed].value for seed in by_seed]
        wins = sum(all(by_seed[seed] < values[base][seed] for base in BASELINES) for seed in by_seed)
        rows.append(
            [
                policy,
                f"{by_seed[0]:.4g}",
                f"{fmean(by_seed.values()):.4g}",
                f"{fmean(over):.3f}",
                f"{max(over):.3f}",
                "-" if policy in BASELINES else f"{wins} of {len(by_seed)}",
                f"{fmean(seconds[policy]):.2f}",
            ]
        )
    names = sorted({bound.name for bound in bounds.values()})
    mean_bound = fmean(bound.value for bound in bounds.values())
    mean_seconds = fmean(bound.seconds for bound in bounds.values())
    rows.append([f"bound ({', '.join(names)})", f"{bounds[0].value:.4g}", f"{mean_bound:.4g}", "1", "1", "-", ""])
    header = [
        "policy",
        "seed 0",
        "mean",
        "mean / bound",
        "worst / bound",
        "below both fcfs and shortest-first",
        "seconds",
    ]
    return [f"## n = {count}", markdown_table(header, rows), f"The best bound took {mean_seconds:.1f} s on average."]


if __name__ == "__main__":
    main()
