"""The cases of docs/results/scale.md: what `solve` has to reach at scale, as functions that make the instances."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from _results import CAPACITY, in_unit_rounds

from llmsched_mip import Instance, Worker, read_instance, write_instance
from llmsched_mip.workload import deployment, generate

FLEET = ("llama2-70b-a100-tp2", "llama2-70b-a100-tp4", "opt-66b-a100-tp4", "llama31-8b-rtx4090")
HINDSIGHT = Path(__file__).resolve().parent.parent / "instances" / "hindsight"
FEW_FIT = 2


class Case(NamedTuple):
    """A case: how to make it, and the gap that is to be reached within seconds."""

    make: Callable[[], Instance]
    gap: float
    seconds: float


def main() -> None:
    """Write every case, or those that are named, as instance files."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark scale_cases", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the instance files")
    parser.add_argument("--cases", nargs="*", choices=sorted(CASES), default=list(CASES), metavar="NAME")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.cases:
        instance = CASES[name].make()
        write_instance(instance, options.out / f"{name}.json")
        print(f"{name}: {instance.n} requests, {len(instance.workers)} workers, {instance.objective}", flush=True)


def timed(family: str, count: int | None, objective: str, worker: str | None = None) -> Instance:
    """A family as generated, on its own worker or another."""
    return generate(family, count, worker=worker).with_objective(objective)


def unit(family: str, count: int, objective: str) -> Instance:
    """The requests of a family in the unit-round model with `CAPACITY` KV tokens."""
    return in_unit_rounds(generate(family, count), CAPACITY).with_objective(objective)


def long_prompts(count: int, worker: str) -> Instance:
    """The first `count` requests of mooncake-conv that fit the worker."""
    drawn, chosen = generate("mooncake-conv", FEW_FIT * count), deployment(worker, published=True)
    r = drawn.requests
    fits = chosen.fits(r.prefill_tokens, r.decode_tokens).nonzero()[0][:count]
    assert len(fits) == count
    name = f"mooncake-conv-n{count}-{worker}"
    return replace(drawn.take(fits), name=name, workers=(chosen,), objective="makespan")


def fleet(family: str, count: int, workers: int, objective: str = "makespan") -> Instance:
    """A backlog on `workers` workers of the four kinds of `FLEET` in turn."""
    kinds = [deployment(name, published=True) for name in FLEET]
    instance = generate(family, count).with_objective(objective)
    return on_workers(instance, [kinds[k % len(kinds)] for k in range(workers)])


def on_workers(instance: Instance, workers: list[Worker]) -> Instance:
    """The instance on these workers, which get a number each."""
    numbered = tuple(replace(worker, name=f"{worker.name}-{k}") for k, worker in enumerate(workers))
    return replace(instance, name=f"{instance.name}-w{len(workers)}", workers=numbered)


def _hindsight() -> dict[str, Case]:
    names = sorted(path.stem for path in HINDSIGHT.glob("*.json"))
    return {f"hindsight-{name}": Case(partial(read_instance, HINDSIGHT / f"{name}.json"), 0.07, 120) for name in names}


CASES: dict[str, Case] = {
    "mixture-1000-unit-sum": Case(partial(unit, "mixture", 1000, "total_completion"), 0.04, 120),
    "mixture-1000-sum": Case(partial(timed, "mixture", 1000, "total_completion"), 0.06, 120),
    "lmsys-chat-10000-sum": Case(partial(timed, "lmsys-chat", 10_000, "total_completion"), 0.06, 300),
    "azure-conv-400-sum": Case(partial(timed, "azure-conv", 400, "total_completion"), 0.08, 60),
    "lmsys-chat-400-sum": Case(partial(timed, "lmsys-chat", 400, "total_completion"), 0.08, 60),
    "azure-conv-2000-w8-sum": Case(partial(fleet, "azure-conv", 2000, 8, "total_completion"), 0.1, 60),
    "lmsys-chat-2000-w8-sum": Case(partial(fleet, "lmsys-chat", 2000, 8, "total_completion"), 0.1, 60),
    "azure-conv-100000-w64-sum": Case(partial(fleet, "azure-conv", 100_000, 64, "total_completion"), 0.1, 120),
    "azure-conv-5000-tp2": Case(partial(timed, "azure-conv", 5000, "makespan", FLEET[0]), 0.015, 120),
    "mooncake-conv-1000-tp2": Case(partial(long_prompts, 1000, FLEET[0]), 0.04, 120),
    "azure-conv-10000-w8": Case(partial(fleet, "azure-conv", 10_000, 8), 0.02, 120),
    "azure-conv-100000-w64": Case(partial(fleet, "azure-conv", 100_000, 64), 0.02, 600),
    "gsm8k-opt66b-a100": Case(partial(timed, "gsm8k-opt66b-a100", None, "makespan"), 0.005, 60),
    "gsm8k-65b": Case(partial(timed, "gsm8k-65b", None, "makespan"), 0.001, 30),
    "mixture-400-unit": Case(partial(unit, "mixture", 400, "makespan"), 0.03, 60),
    "azure-conv-400-unit": Case(partial(unit, "azure-conv", 400, "makespan"), 0.03, 60),
    **_hindsight(),
}


if __name__ == "__main__":
    main()
