"""Mixed replay: the event-driven executor against the plain simulator of the tests, in one run.

`vllm` on a backlog of azure-conv on one worker of 256 slots and 41,408 KV tokens; the plain simulator, which steps
through every iteration, on a slice of it, and has to end at the same makespan.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from llmsched_mip import Instance
from llmsched_mip.execution import replay
from llmsched_mip.mixed_engine import IterationTime, MixedEngine
from llmsched_mip.workload import generate

SIMULATOR = Path(__file__).resolve().parent.parent / "tests" / "mixed_simulator.py"

TARGET_S = 120.0
SLOTS, KV_TOKENS = 256, 41_408
DECODE = IterationTime(0.0168, per_sequence_s=4.2e-5, per_kv_token_s=1.5e-7)
MIXED = IterationTime(0.0142, 8e-5, 4.2e-9, 1e-4, 3.5e-7)
"""About those of a Llama-3.1-8B on an RTX 4090."""


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark mixed_replay", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--slice", type=int, default=3_000, help="requests of it for the plain simulator")
    options = parser.parse_args()
    whole, simulate = _instance(options.requests), runpy.run_path(str(SIMULATOR))["simulate"]
    part = whole.take(np.arange(min(options.slice, whole.n)))
    began = time.perf_counter()
    ours = replay(part, "vllm")
    part_s = time.perf_counter() - began
    began = time.perf_counter()
    _, jobs = simulate(part)
    plain_s = time.perf_counter() - began
    end_s = max(job.end for job in jobs)
    if abs(ours.measures.makespan - end_s) > 1e-9 * end_s:
        sys.exit(f"benchmark mixed_replay: makespans differ, {ours.measures.makespan} and {end_s}")
    table = Table("requests", "seconds", "target", "plain simulator s", "ratio", "makespan s", "evictions")
    table.add_row(
        f"{part.n}",
        f"{part_s:.3f}",
        "",
        f"{plain_s:.2f}",
        f"{plain_s / part_s:.1f}",
        f"{end_s:.1f}",
        f"{ours.evictions}",
    )
    began = time.perf_counter()
    outcome = replay(whole, "vllm")
    seconds = time.perf_counter() - began
    makespan = outcome.measures.makespan
    table.add_row(f"{whole.n}", f"{seconds:.1f}", f"{TARGET_S:g}", "", "", f"{makespan:.1f}", f"{outcome.evictions}")
    Console(width=120).print(table)


def _instance(requests: int) -> Instance:
    instance = generate("azure-conv", requests)
    worker = replace(
        instance.workers[0],
        slots=SLOTS,
        kv_capacity=KV_TOKENS,
        prefill_token_cap=None,
        engine=MixedEngine(decode=DECODE, mixed=MIXED),
    )
    return replace(instance, workers=(worker,), semantics="mixed")


if __name__ == "__main__":
    main()
