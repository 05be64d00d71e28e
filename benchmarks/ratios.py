"""Competitive ratios on the families that make them: tables and log-log charts in docs/results."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from _charts import write_loglog
from _results import RESULTS, best_bound, markdown_table, run_with, write_page

from llmsched_mip import Instance
from llmsched_mip.execution import replay
from llmsched_mip.workload.adversarial import blocked, octaves, overestimated, whales

KNOWN = ("fcfs", "shortest-first", "mc-sf", "sorted-f", "svf")
HIDDEN = ("a-max", "a-min", "geometric-slicing")


class Case(NamedTuple):
    """A family with its sizes, the policies run on it, and what their total completion is compared with."""

    family: Callable[[int], Instance]
    sizes: tuple[int, ...]
    size_name: str
    policies: tuple[str, ...]
    lengths: str
    references: tuple[str, ...]


CASES = (
    # of whales the plan with the small requests first is the one that svf makes
    Case(whales, (100, 400, 1600, 6400, 25_600), "M", KNOWN, "known", ("svf",)),
    Case(blocked, (100, 400, 1600, 6400, 25_600), "M", KNOWN, "known", ("sorted-f",)),
    Case(overestimated, (1, 2, 4, 8, 16, 32, 64, 128), "1/α", HIDDEN, "interval", ("h-sf",)),
    Case(octaves, (1, 2, 4, 8, 16, 32, 64), "1/α", HIDDEN, "interval", ("h-sf",)),
)


def main() -> None:
    """Run the families as the command line says and write docs/results/ratios.md and ratios-*.svg."""
    parser = argparse.ArgumentParser(prog="scripts/reproduce_ratios", description=__doc__)
    parser.add_argument("--families", nargs="*", choices=[case.family.__name__ for case in CASES])
    parser.add_argument("--sizes", type=int, help="only this many sizes of each family, the smallest")
    parser.add_argument("--bound-seconds", type=float, default=5.0, help="for the lower bound of one instance")
    options = parser.parse_args()
    began, parts = time.perf_counter(), []
    for case in CASES:
        if not options.families or case.family.__name__ in options.families:
            parts += _family(case._replace(sizes=case.sizes[: options.sizes]), options.bound_seconds)
    command = shlex.join(["scripts/reproduce_ratios", *sys.argv[1:]])
    page = write_page("ratios.md", ["# Competitive ratios", run_with(command, began), *parts])
    print(f"wrote {page}")


def _family(case: Case, bound_seconds: float) -> list[str]:
    lines: dict[str, list[tuple[float, float]]] = defaultdict(list)
    rows = []
    for size in case.sizes:
        instance = case.family(size)
        values = {policy: _total(instance, policy, case.lengths) for policy in case.policies}
        references = {p: values.get(p) or _total(instance, p, "known") for p in case.references}
        reference = min(references, key=references.__getitem__)
        bound = best_bound(instance, bound_seconds)
        for policy, value in values.items():
            lines[policy].append((size, value / references[reference]))
        ratios = [f"{value / references[reference]:.2f}" for value in values.values()]
        cells = [f"{references[reference]:.0f} ({reference})", f"{references[reference] / bound.value:.3f}"]
        rows.append([size, instance.n, *cells, *ratios])
        print(case.family.__name__, *rows[-1], file=sys.stderr, flush=True)
    name = case.family.__name__
    chart = f"ratios-{name}.svg"
    title = f"{name}: total completion over the reference"
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_loglog(RESULTS / chart, title, case.size_name, "ratio", lines)
    paragraphs = (case.family.__doc__ or "").split("\n\n    Parameters")[0].split("\n\n")
    described = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    header = [case.size_name, "requests", "reference", "reference / bound", *case.policies]
    described += f" Below, the reference is the plan of {' or '.join(case.references)}."
    return [f"## {name}", described, markdown_table(header, rows), f"![ratio against size]({chart})"]


def _total(instance: Instance, policy: str, lengths: str) -> float:
    return replay(instance, policy, lengths=lengths).measures.total_completion


if __name__ == "__main__":
    main()
