"""Real arrivals, online: latency, time to first token and evictions of every policy."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path

from _results import markdown_table, run_with, write_page

from llmsched_mip import Instance
from llmsched_mip.errors import SchedulingError
from llmsched_mip.execution import replay
from llmsched_mip.instance import Worker
from llmsched_mip.policies import POLICIES
from llmsched_mip.workload import deployment, import_csv
from llmsched_mip.workload.predictions import with_intervals

DATA = Path("../shared/data")
ALPHA = 0.2
KNOWN = ("fcfs", "shortest-first", "mc-sf", "sorted-f", "svf", "lagrangian")
INTERVAL = ("a-max", "a-min", "mc-sf", "lagrangian", "lagrangian-stochastic", "geometric-slicing")


def cases() -> dict[str, tuple[str, tuple[Worker, ...], str]]:
    """Name to file, workers and a line on them; the numbers of workers are ours: near, and not beyond, saturation."""
    tp2 = deployment("llama2-70b-a100-tp2", published=True)
    small = replace(tp2, kv_capacity=16_492)
    azure = tuple(replace(tp2, name=f"w{k}") for k in range(5))
    return {
        "azure_conv_2023": (
            "azure_conv_2023.csv",
            azure,
            "5 workers, Llama-2-70B on 2 A100 each, KV cache of 50,859 tokens, 256 slots",
        ),
        "vtc_arena_clients": (
            "vtc_arena_clients.csv",
            (small,),
            "1 worker, Llama-2-70B on 2 A100 with a KV cache of 16,492 tokens, 256 slots",
        ),
    }


def main() -> None:
    """Run the traces and write docs/results/arrivals.md."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark arrivals", description=__doc__)
    parser.add_argument("--limit", type=int, help="only the first requests of each trace")
    parser.add_argument("--page", default="arrivals.md")
    options = parser.parse_args()
    began, parts = time.perf_counter(), []
    for name, (file, workers, described) in cases().items():
        if not (DATA / file).exists():
            print(f"skipped {name}: {DATA / file} is not there", file=sys.stderr)
            continue
        instance = import_csv(DATA / file, workers[0], limit=options.limit, name=name)
        instance = replace(instance, workers=workers, objective="total_completion")
        parts += [f"## {name}", f"{instance.n} requests, {described}.", _table(instance)]
    if not parts:
        return
    intro = (
        f"Arrivals and lengths of the traces. *interval*: the policy sees [l, u] with l = {ALPHA:g} u, at random "
        "around the length on a logarithmic scale. Latency is completion less arrival, seconds; *first token* is the "
        "mean time to it."
    )
    command = shlex.join(["scripts/benchmark", "arrivals", *sys.argv[1:]])
    page = write_page(options.page, ["# Real arrivals", intro, run_with(command, began), *parts])
    print(f"wrote {page}")


def _table(instance: Instance) -> str:
    rows = []
    hidden = with_intervals(instance, 1 / ALPHA, 0)
    runs = [(name, "known") for name in KNOWN] + [(name, "interval") for name in INTERVAL]
    for policy, lengths in runs:
        if policy not in POLICIES:
            continue
        began = time.perf_counter()
        try:
            outcome = replay(hidden, policy, lengths=lengths)
        except SchedulingError as error:
            print(f"{policy}, {lengths}: {error}", file=sys.stderr)
            continue
        m = outcome.measures
        cells = [f"{m.mean_latency:.2f}", f"{m.p99_latency:.2f}", f"{m.mean_time_to_first_token:.2f}"]
        overflow = max(0, m.kv_peak - max(worker.kv_capacity or m.kv_peak for worker in instance.workers))
        seconds = f"{time.perf_counter() - began:.1f}"
        rows.append([policy, lengths, *cells, outcome.evictions, overflow, seconds])
        print(instance.name, *rows[-1], file=sys.stderr, flush=True)
    header = ["policy", "lengths", "mean latency", "p99 latency", "first token", "evictions", "KV overflow", "seconds"]
    return markdown_table(header, rows)


if __name__ == "__main__":
    main()
