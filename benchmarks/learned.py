"""The shipped learned policy against every hand-made rule that sees the same, on held-out seeds, and its curves."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _charts import COLORS, SVG
from _results import markdown_table, run_with, write_page
from matplotlib import rc_context
from matplotlib.figure import Figure

from llmsched_mip.learning.crew import Crew
from llmsched_mip.learning.goal import Goal
from llmsched_mip.learning.validation import validate
from llmsched_mip.policies.parts.learned_file import FOLDER, SHIPPED
from llmsched_mip.policies.parts.learned_parameters import NAMES, Parameters

WRONG = ("wrong:4:0.2", "biased:4:0.3", "biased:4:1.4")


def main() -> None:
    """Validate as the command line says and write docs/results/learned.md and learned.svg."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark learned", description=__doc__)
    parser.add_argument("--seeds", type=int, default=30, help="held-out seeds 0 .. N-1")
    parser.add_argument("--jobs", type=int, default=None)
    parser.add_argument("--rules", nargs="*", help="hand-made rules; default all that run with hidden lengths")
    parser.add_argument("--page", default="learned.md")
    options = parser.parse_args()
    began = time.perf_counter()
    document = json.loads((FOLDER / SHIPPED).read_text())
    parts, rows = [], []
    with Crew(options.jobs) as crew:
        for entry in document["entries"]:
            found = validate(_goal(entry), Parameters(**entry["parameters"]), options.seeds, crew, options.rules)
            parts += _section(entry, found)
            print(entry["family"], entry["lengths"], "done", file=sys.stderr, flush=True)
            if entry["lengths"] == "interval":
                rows.append([entry["family"], *_robust(entry, document["entries"], options.seeds, crew)])
    robust = [
        "## Wrong intervals",
        "The rule for intervals where they are wrong, over the rule that sees nothing, on the same seeds (mean).",
        markdown_table(["family", *WRONG], rows),
    ]
    command = shlex.join(["scripts/benchmark", "learned", *sys.argv[1:]])
    text = run_with(command, began)
    page = write_page(
        options.page, ["# Learned policy", _intro(document, options), text, "![Curves](learned.svg)", *parts, *robust]
    )
    _draw(page.with_suffix(".svg"), document["entries"])
    print(f"wrote {page}")


def _goal(entry: dict[str, Any], predictions: str | None = None) -> Goal:
    kind = predictions or entry["predictions"]
    return Goal(entry["family"], entry["lengths"], entry["objective"], entry["requests"], kind)


def _intro(document: dict[str, Any], options: argparse.Namespace) -> str:
    training = document["training"] or {}
    return (
        f"The policy that ships, trained by `scripts/train`: CMA-ES with {training.get('population')} candidates, "
        f"{training.get('generations')} generations and {training.get('seeds')} instances for each candidate, seeds "
        f"from 10,000 on. Tables: held-out seeds 0 to {options.seeds - 1}; mean value in seconds, mean ratio of the "
        "learned rule to the hand-made one, how often it is better, and p of Wilcoxon's signed-rank test (one-sided)."
    )


def _section(entry: dict[str, Any], found: dict[str, Any]) -> list[str]:
    title = f"## {entry['family']}, {entry['objective'].replace('_', ' ')}, lengths {entry['lengths']}"
    rows = [["learned", f"{found['value']:.2f}", "", "", ""]]
    for rule in found["rules"]:
        better = f"{rule['better']} of {found['instances']}"
        rows.append([rule["policy"], f"{rule['value']:.2f}", f"{rule['ratio']:.4f}", better, f"{rule['p']:.2g}"])
    used = ", ".join(f"{name} {entry['parameters'][name]:.3g}" for name in NAMES)
    start = f"{entry['requests']} requests. Start: {entry['start']}. Numbers: {used}."
    return [title, start, markdown_table(["policy", "mean value s", "learned / it", "better", "p"], rows)]


def _robust(entry: dict[str, Any], entries: list[dict[str, Any]], seeds: int, crew: Crew) -> list[str]:
    """Value with wrong intervals over that with nothing known, for each kind of them."""
    key = ("family", "objective")
    blind = next(e for e in entries if e["lengths"] == "unknown" and all(e[k] == entry[k] for k in key))
    numbers, count = list(range(seeds)), seeds
    base = np.array(crew.map(_goal(blind).value, numbers, [Parameters(**blind["parameters"])] * count))
    cells = []
    for kind in WRONG:
        goal = replace(_goal(entry), predictions=kind)
        values = np.array(crew.map(goal.value, numbers, [Parameters(**entry["parameters"])] * count))
        cells.append(f"{np.mean(values / base):.3f}")
    return cells


def _draw(path: Path, entries: list[dict[str, Any]]) -> None:
    """The mean of each generation over fcfs, a line for each entry."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.add_subplot(xlabel="generation", ylabel="objective over that of fcfs, mean of a generation")
    for k, entry in enumerate(entries):
        if entry["curve"]:
            x = [generation["generation"] + 1 for generation in entry["curve"]]
            y = [generation["mean"] for generation in entry["curve"]]
            label = f"{entry['family']}, {entry['lengths']}"
            axes.plot(x, y, marker="o", markersize=3, color=COLORS[k % len(COLORS)], label=label, gid=f"line-{k}")
    axes.grid(color="#dddddd")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small")
    with rc_context(SVG):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
