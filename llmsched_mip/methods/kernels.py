"""All compiled functions called once: Numba keeps the machine code on disk, so that no solve waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from llmsched_mip.bounds import compute
from llmsched_mip.budget import Budget
from llmsched_mip.compilation import compilations
from llmsched_mip.execution import replay
from llmsched_mip.methods.portfolio import solve
from llmsched_mip.methods.rule_beam import rule_beam
from llmsched_mip.methods.search import Search
from llmsched_mip.methods.stochastic.solve import solve_stochastic
from llmsched_mip.workload import generate

SECONDS = 1.0
"""Of each call, beside what it compiles."""


def compile_kernels(told: Callable[[str], None] = lambda _: None) -> int:
    """Compile what is not in the cache of this machine; how many functions that were.

    Parameters
    ----------
    told : callable
        Called with the name of each function when its compilation begins.
    """
    names: list[str] = []

    def begins(name: str) -> None:
        names.append(name)
        told(name)

    with compilations(begins):
        for call in _calls():
            call()
    return len(names)


def _calls() -> Iterator[Callable[[], object]]:
    """Small instances through the methods, bounds and policies that have compiled parts."""
    unit, larger = generate("kv-uniform", 8, 0), generate("kv-uniform", 40, 0)
    timed = generate("gsm8k-opt66b-a100", 30, 0)
    worker = replace(timed.workers[0], kv_capacity=2000, slots=None)
    timed = replace(timed, workers=(worker,))
    fleet = replace(timed, workers=(worker, replace(worker, name="w1", kv_capacity=1500)))
    for objective in ("total_completion", "makespan"):
        for instance in (unit, larger, timed, fleet):
            yield partial(solve, instance.with_objective(objective), time_limit_s=SECONDS, threads=1)
        for method in ("unit-round", "branch-and-bound"):
            yield partial(solve, unit.with_objective(objective), method=method, time_limit_s=SECONDS, threads=1)
        for method in ("large-neighbourhood", "order-search"):
            yield partial(solve, timed.with_objective(objective), method=method, time_limit_s=SECONDS, threads=1)
        for instance in (unit, larger, timed):
            yield partial(compute, instance.with_objective(objective), Budget(SECONDS))
    yield partial(rule_beam, Search(timed.with_objective("total_completion"), SECONDS))
    for method in ("serial", "fleet", "chains", "prefill-rounds"):
        slots = replace(timed, workers=(replace(worker, kv_capacity=None, slots=5),))
        yield partial(solve, slots.with_objective("makespan"), method=method, time_limit_s=SECONDS, threads=1)
    yield partial(solve_stochastic, timed, "unknown", time_limit_s=SECONDS, threads=1)
    for policy in ("sorted-f", "sorted-f:exact", "sorted-f:swap", "lp-swap"):
        yield partial(replay, unit, policy)
