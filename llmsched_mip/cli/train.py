"""`llmsched train`: a learned policy for workloads of one's own."""

from __future__ import annotations

import codecs
import json
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmsched_mip import io, learning
from llmsched_mip.cli import console
from llmsched_mip.cli.arguments import AsJson, Seed, at_least, listed
from llmsched_mip.cli.interrupts import Ending
from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import require_writable
from llmsched_mip.learning.search import Effort
from llmsched_mip.learning.train import MOST_VALIDATED
from llmsched_mip.limits import MOST_REQUESTS, MOST_THREADS
from llmsched_mip.names import LENGTHS, OBJECTIVES
from llmsched_mip.policies.parts.learned_file import read_policy
from llmsched_mip.workload import FAMILIES

if TYPE_CHECKING:
    from llmsched_mip.learning import Goal

MOST_EFFORT = 100_000
INTERVALS = "intervals:4"
HIDDEN = ["interval", "unknown"]

Sources = Annotated[
    list[str],
    typer.Argument(metavar="FAMILY...", help="Families or instance files (requests drawn anew)." + listed(FAMILIES)),
]
PolicyPath = Annotated[Path, typer.Option("--output", "-o", metavar="POLICY", help="Policy file to write, .json.")]
LengthsNames = Annotated[
    list[str],
    typer.Option("--lengths", metavar="WHAT", help="What the rule sees: known, interval, unknown; may be repeated."),
]
ObjectiveName = Annotated[
    str | None,
    typer.Option("--objective", metavar="NAME", help="makespan or total_completion; default the workload's."),
]
Predictions = Annotated[
    str | None,
    typer.Option("--predictions", metavar="KIND:NUMBERS", help=f"Intervals as in generate; of families {INTERVALS}."),
]


def train(
    sources: Sources,
    output: PolicyPath,
    lengths: LengthsNames = HIDDEN,
    objective: ObjectiveName = None,
    predictions: Predictions = None,
    requests: Annotated[
        int | None, typer.Option("--requests", metavar="N", help="Number of requests; default the family's.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="Instances that each candidate runs on.")] = 4,
    generations: Annotated[int, typer.Option("--generations", metavar="N", help="Generations of the search.")] = 30,
    population: Annotated[int, typer.Option("--population", metavar="N", help="Candidates of a generation.")] = 12,
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="M", help="Wall time of the search; runs then do not repeat.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", metavar="N", help="Processes; default one for each core.")
    ] = None,
    seed: Seed = 0,
    validate: Annotated[
        int, typer.Option("--validate", metavar="N", help="Held-out seeds for the table at the end; 0: none.")
    ] = 10,
    add: Annotated[
        bool, typer.Option("--add", help="Keep the other entries of the policy file that is there.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a training that was ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a learned policy on the simulator: numbers of a rule for each workload and view of the lengths."""
    for option, value in (("--seeds", seeds), ("--generations", generations)):
        at_least(option, value, 1, MOST_EFFORT)
    at_least("--population", population, 4, MOST_EFFORT)
    at_least("--requests", requests, 1, MOST_REQUESTS)
    at_least("--jobs", jobs, 1, MOST_THREADS)
    at_least("--seed", seed, 0)
    at_least("--validate", validate, 0, MOST_VALIDATED)
    at_least("--minutes", minutes, 0)
    require_writable(output)
    goals = [_goal(*each, objective, predictions, requests) for each in product(sources, dict.fromkeys(lengths))]
    kept = _kept(output) if add else []
    effort = Effort(seed, seeds, population, generations)
    state = output.with_name(output.name + ".state")
    seconds = None if minutes is None else 60 * minutes
    settings = learning.Settings(effort, seconds, jobs, validate, state, resume)
    with Ending() as ending:
        document = learning.train(goals, settings, console.note)
        ending.keep()
        if document["training"]["interrupted"]:
            console.note(f"llmsched train: ended early; --resume continues from {state}")
        new = {_key(entry) for entry in document["entries"]}
        document["entries"] += [entry for entry in kept if _key(entry) not in new]
        io.write_bytes(output, learning.policy_text(document).encode())
    trained = document["entries"][: len(new)]
    console.note(f"{output}: {len(document['entries'])} entries, {len(trained)} of them new")
    if as_json:
        console.emit_json({"file": str(output), "training": document["training"], "entries": trained})
    else:
        for entry in trained:
            _show(entry)


def _goal(source: str, visible: str, objective: str | None, predictions: str | None, requests: int | None) -> Goal:
    """A goal that can be trained for."""
    if source not in FAMILIES and not source.endswith((".json", ".json.gz")) and not source.startswith("example:"):
        raise InvalidInputError("FAMILY", f"unknown {source!r}, expected a .json file or one of {', '.join(FAMILIES)}")
    if visible not in LENGTHS:
        raise InvalidInputError("--lengths", f"expected one of {', '.join(LENGTHS)}, got {visible!r}")
    if objective is not None:
        objective = objective.replace("-", "_")
        if objective not in OBJECTIVES:
            raise InvalidInputError("--objective", f"expected one of {', '.join(OBJECTIVES)}, got {objective!r}")
    if predictions is None and source in FAMILIES:
        predictions = INTERVALS
    goal = learning.Goal(source, visible, objective, requests, predictions if visible == "interval" else None)
    goal.instance(0)
    return goal


def _kept(path: Path) -> list[dict[str, Any]]:
    """The entries of a policy file."""
    read_policy(path)
    return list(json.loads(io.read_bytes(path).removeprefix(codecs.BOM_UTF8))["entries"])


def _key(entry: dict[str, Any]) -> tuple[str, str, str]:
    return entry["family"], entry["objective"], entry["lengths"]


def _show(entry: dict[str, Any]) -> None:
    """The table of one rule."""
    curve, validation = entry["curve"], entry["validation"]
    console.emit(f"\n{entry['family']}, {entry['objective'].replace('_', ' ')}, lengths {entry['lengths']}")
    if curve:
        gain = f"{curve[0]['mean']:.4f} to {curve[-1]['mean']:.4f} of fcfs in the mean"
        console.emit(f"from {entry['start']}: {len(curve)} generations, {gain}")
    if validation is None:
        return
    rows = [["learned", f"{validation['value']:.4f}", "", "", ""]]
    for rule in validation["rules"]:
        better = f"{rule['better']} of {validation['instances']}"
        rows.append([rule["policy"], f"{rule['value']:.4f}", f"{rule['ratio']:.4f}", better, f"{rule['p']:.2g}"])
    console.emit(console.table(rows, ["held-out seeds", "mean value s", "learned / it", "better", "p"]))
