"""What is run for docs/results/hidden.md: instances, sights and policies; one result a replay, resumable."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _ledger import Table
from _results import in_unit_rounds
from arrivals import DATA, cases

from llmsched_mip import Instance
from llmsched_mip.bounds import best, compute
from llmsched_mip.errors import SchedulingError
from llmsched_mip.execution import replay
from llmsched_mip.policies import POLICIES
from llmsched_mip.relaxations.hidden_lengths.start_order import makespan_in_order
from llmsched_mip.workload import generate, import_csv
from llmsched_mip.workload.predictions import with_predictions

SIGHTS = ("interval", "unknown")
ADAPTIVE = ("lagrangian", "lagrangian-stochastic", "rolling", "learned")
MISSES = {"20 % wrong": "wrong:5:0.2", "0.3 too short": "biased:5:0.3", "1.4 too long": "biased:5:1.4"}
MAKESPAN_FAMILIES = ("gsm8k-65b", "gsm8k-opt66b-a100")
COMPLETION_FAMILIES = ("azure-code", "azure-conv", "mooncake-conv", "lmsys-chat", "mixture", "arxiv-summarization")
COMPLETION_POLICIES = ("fcfs", "svf", "machine-time", "lagrangian", "rolling", "learned")
WRONG_SEEDS, ARRIVAL_SEEDS, COMPLETION_SEEDS = 5, 5, 10
COMPLETION_REQUESTS = 400
QUICK = ("area", "longest", "kv_volume", "mmbpp", "prefill_grid")


class Case(NamedTuple):
    """One instance with what is replayed on it."""

    section: str
    family: str
    seed: int
    kind: str
    runs: tuple[tuple[str, str], ...]
    """Policies with what each sees."""

    def key(self, policy: str, sight: str) -> str:
        """The name of one replay in the ledger."""
        return "|".join((self.section, self.family, str(self.seed), self.kind, policy, sight))


def all_cases(seeds: int, sections: Iterable[str]) -> Iterator[Case]:
    """Every case of the sections named, seed by seed."""
    makers = {"makespan": _makespan, "completion": _completion, "wrong": _wrong, "arrivals": _arrivals}
    for section in sections:
        yield from makers[section](seeds)


def _makespan(seeds: int) -> Iterator[Case]:
    runs = [("fcfs", "known"), ("lagrangian", "known"), ("longest-first", "interval")]
    runs += [(policy, sight) for sight in SIGHTS for policy in ("fcfs", "lagrangian", "learned")]
    for seed in range(seeds):
        for family in MAKESPAN_FAMILIES:
            yield Case("makespan", family, seed, "intervals:4", tuple(runs))


def _completion(seeds: int) -> Iterator[Case]:
    runs = tuple((policy, sight) for sight in ("known", *SIGHTS) for policy in COMPLETION_POLICIES)
    for seed in range(min(seeds, COMPLETION_SEEDS)):
        for family in COMPLETION_FAMILIES:
            yield Case("completion", family, seed, "intervals:4", runs)


def _wrong(seeds: int) -> Iterator[Case]:
    for seed in range(min(seeds, WRONG_SEEDS)):
        for family in ("lmsys-chat", "mixture", *MAKESPAN_FAMILIES):
            policies = ("lagrangian", "learned") if family in MAKESPAN_FAMILIES else ADAPTIVE
            yield Case("wrong", family, seed, "intervals:5", tuple((policy, "unknown") for policy in policies))
            for kind in ("intervals:5", *MISSES.values()):
                yield Case("wrong", family, seed, kind, tuple((policy, "interval") for policy in policies))


def _arrivals(seeds: int) -> Iterator[Case]:
    hand_made = ("svf", "machine-time", "a-max", "mc-sf", "lagrangian")
    for seed in range(min(seeds, ARRIVAL_SEEDS)):
        for family in cases():
            runs = [("fcfs", "known")]
            runs += [(policy, "interval") for policy in (*hand_made, "rolling", "rolling:ageing=0", "learned")]
            yield Case("arrivals", family, seed, "intervals:5", tuple(runs))


def make(case: Case) -> Instance:
    """The instance of a case."""
    if case.section == "arrivals":
        file, workers, _ = cases()[case.family]
        instance = import_csv(DATA / file, workers[0], name=case.family)
        instance = replace(instance, workers=workers, objective="total_completion")
    elif case.section == "completion":
        instance = generate(case.family, COMPLETION_REQUESTS, case.seed).with_objective("total_completion")
    elif case.section == "wrong" and case.family not in MAKESPAN_FAMILIES:
        instance = in_unit_rounds(generate(case.family, 1000, case.seed))
    else:
        instance = generate(case.family, 1319, case.seed)
    return with_predictions(instance, case.kind, case.seed)


def _bounds(instance: Instance) -> dict[str, float]:
    """What those who see cannot be below, and those who start in this order."""
    proven = best(compute(instance, names=QUICK)).value
    return {"bound": proven, "blind_bound": makespan_in_order(instance, instance.requests.decode_tokens)}


def run_case(case: Case, done: frozenset[str]) -> list[tuple[str, dict[str, object]]]:
    """Rows of the ledger for what is not done yet."""
    left = [run for run in case.runs if case.key(*run) not in done and run[0].partition(":")[0] in POLICIES]
    if not left:
        return []
    instance, rows = make(case), []
    bounds = _bounds(instance) if case.section == "makespan" else {"bound": None, "blind_bound": None}
    for policy, sight in left:
        began = time.perf_counter()
        try:
            outcome = replay(instance, policy, lengths=sight)
        except SchedulingError as error:
            print(f"{case.key(policy, sight)}: {error}", flush=True)
            continue
        measures = outcome.measures
        values: dict[str, object] = {
            "section": case.section, "family": case.family, "seed": case.seed, "kind": case.kind, "policy": policy,
            "sight": sight, "value": measures.objective(instance.objective), "mean_latency": measures.mean_latency,
            "p99_latency": measures.p99_latency, "evictions": outcome.evictions,
            "seconds": round(time.perf_counter() - began, 3), **bounds,
        }  # fmt: skip
        rows.append((case.key(policy, sight), values))
    return rows


def run_all(todo: list[Case], ledger: Path, jobs: int) -> Table:
    """Replay what is not in the ledger yet, in so many processes."""
    table = Table(ledger)
    done = frozenset(table.rows)
    with ProcessPoolExecutor(jobs) as pool:
        running = [pool.submit(run_case, case, done) for case in todo]
        for count, future in enumerate(as_completed(running), 1):
            for key, values in future.result():
                table.add(key, values)
            if count % 20 == 0:
                print(f"{count} of {len(todo)} instances", flush=True)
    return table


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    """A column of the ledger by seed, as numbers."""
    return np.array([float(row[name]) for row in sorted(rows, key=lambda row: int(row["seed"]))])
