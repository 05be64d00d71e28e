"""Large neighbourhood search against its start and against the plain full model, in one run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from llmsched_mip import Instance, read_instance
from llmsched_mip.methods import METHODS
from llmsched_mip.methods.construct import construct
from llmsched_mip.methods.lists import list_schedules
from llmsched_mip.methods.search import Search
from llmsched_mip.workload import generate

KV_TOKENS = 4000
GROUPS = ("kv-bound", "hindsight", "short", "slots")


def instances(group: str, seeds: int) -> Iterator[Instance]:
    """Instances of a group: KV-bound requests with measured times, or some of the libraries."""
    if group == "kv-bound":
        for count in (60, 100, 200):
            for seed in range(1, seeds + 1):
                instance = generate("gsm8k-opt66b-a100", count, seed)
                worker = replace(instance.workers[0], kv_capacity=KV_TOKENS, slots=None)
                yield replace(instance, workers=(worker,), objective="total_completion")
    names = {
        "hindsight": [f"hindsight/kv-uniform-s{seed}" for seed in range(1, seeds + 1)],
        "short": [
            "exact/short-sum-n10-j2-s6",
            "exact/short-sum-n12-j3-s7",
            "exact/short-makespan-n12-j4-kv100-s2",
            "exact/short-makespan-n16-j4-kv100-s4",
            "exact/short-makespan-n18-j4-kv100-s5",
        ],
        "slots": [
            "exact/slots-llama31-n24-j6-s7",
            "exact/slots-opt-n40-j7-s18",
            "exact/slots-llama2-n40-j6-s17",
        ],
    }
    for name in names.get(group, []):
        yield read_instance(f"instances/{name}.json")


def best(instance: Instance, limit: float, *methods: str) -> tuple[float, str]:
    """Value and method of the best plan after these, one after the other, within the limit."""
    steps = {"lists": list_schedules, "construct": construct}
    with Search(instance, limit, threads=1) as search:
        for name in methods:
            if not search.budget.spent():
                (steps.get(name) or METHODS[name])(search)
    assert search.value is not None and search.plan is not None
    return search.value, search.plan.method


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark neighbourhood", description=__doc__)
    parser.add_argument("--time-limit", type=float, default=20.0, help="seconds for each method")
    parser.add_argument("--groups", nargs="*", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--seeds", type=int, default=2, help="seeds of the groups that have them")
    options = parser.parse_args()
    limit = options.time_limit
    table = Table("instance", "objective", "lists", "start", "neighbourhood", "to lists", "to start", "full", "to full")
    table.title = f"{limit:g} s each; start: the construction; unit rounds: annealing in place of full"
    for group in options.groups:
        for instance in instances(group, options.seeds):
            lists, _ = best(instance, limit, "lists")
            start, _ = best(instance, limit, "construct")
            found, _ = best(instance, limit, "large-neighbourhood")
            rival, method = best(instance, limit, "unit-round" if group == "hindsight" else "full")
            ratios = [f"{found / other:.4f}" for other in (lists, start, rival)]
            table.add_row(
                instance.name, instance.objective, f"{lists:.4g}", f"{start:.6g}", f"{found:.6g}",
                ratios[0], ratios[1], f"{rival:.6g} ({method})", ratios[2],
            )  # fmt: skip
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
