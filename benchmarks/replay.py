"""Replay: the event-driven executor against a plain loop that steps round by round, in one run.

Every policy on gsm8k-65b (known lengths, best of several replays, after loading), then fcfs on a backlog of a
million requests of the family azure-conv on one worker of 256 slots.  The plain loop runs fcfs on the same
instances, on a slice of the large one, and has to end at the same makespan.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from typing import TypeVar

from _figures import Figure
from rich.console import Console
from rich.table import Table

from llmsched_mip import Instance, Plan, read_instance
from llmsched_mip.errors import SchedulingError
from llmsched_mip.execution import Executor, Outcome
from llmsched_mip.instance import Worker
from llmsched_mip.policies import POLICIES, make_policy
from llmsched_mip.policies.protocol import Problem
from llmsched_mip.workload import generate

Result = TypeVar("Result")
SMALL_TARGET_S, LARGE_TARGET_S = 0.050, 30.0


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark replay", description=__doc__)
    parser.add_argument("--instance", default="instances/gsm8k-65b.json", help="instance file, one worker, a backlog")
    parser.add_argument("--repeat", type=int, default=5, help="replays of each policy; the best counts")
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the large instance; 0 leaves it out")
    parser.add_argument("--slice", type=int, default=20_000, help="requests of it for the plain loop")
    options = parser.parse_args()
    try:
        table = Table("instance", "requests", "policy", "seconds", "target", "plain loop s", "ratio", "makespan s")
        _small(table, read_instance(options.instance), options.repeat)
        if options.requests:
            _large(table, options)
        Console(width=120).print(table)
    except SchedulingError as error:
        print(f"benchmark replay: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def figures() -> list[Figure]:
    """For the table of results by version: four policies on gsm8k-65b."""
    instance = read_instance("instances/gsm8k-65b.json")
    plain_s, _ = _timed(3, lambda: round_by_round(instance))
    plan = _replayed(instance, "longest-first").to_plan(instance)
    found = []
    for policy in ("fcfs", "svf", "plan", "lagrangian"):
        seconds, _ = _timed(3, lambda policy=policy: _replayed(instance, policy, plan))  # type: ignore[misc]
        found.append(Figure(f"{policy} on gsm8k-65b", seconds, "a plain loop of fcfs", seconds / plain_s))
    return found


def _small(table: Table, instance: Instance, repeat: int) -> None:
    """Every policy; `plan` and `lagrangian` follow the stages that longest-first ran."""
    plain_s, plain_makespan = _timed(repeat, lambda: round_by_round(instance))
    plan = _replayed(instance, "longest-first").to_plan(instance)
    for policy in POLICIES:
        seconds, outcome = _timed(repeat, lambda policy=policy: _replayed(instance, policy, plan))  # type: ignore[misc]
        same = plain_s if policy == "fcfs" else None
        _row(table, instance, policy, seconds, SMALL_TARGET_S, same, outcome.measures.makespan)
        if policy == "fcfs":
            _require_same(outcome.measures.makespan, plain_makespan)


def _large(table: Table, options: argparse.Namespace) -> None:
    """The whole, then a slice of it both ways."""
    print(f"generating {options.requests} requests ...", file=sys.stderr, flush=True)
    instance = generate("azure-conv", options.requests, 0, slots=256)
    part = instance.take(range(min(options.slice, instance.n)))
    seconds, outcome = _timed(1, lambda: _replayed(instance, "fcfs"))
    target = LARGE_TARGET_S if instance.n == 1_000_000 else None
    _row(table, instance, "fcfs", seconds, target, None, outcome.measures.makespan)
    part_s, part_outcome = _timed(options.repeat, lambda: _replayed(part, "fcfs"))
    plain_s, plain_makespan = _timed(1, lambda: round_by_round(part))
    _row(table, part, "fcfs (slice)", part_s, None, plain_s, part_outcome.measures.makespan)
    _require_same(part_outcome.measures.makespan, plain_makespan)


def _timed(repeat: int, run: Callable[[], Result]) -> tuple[float, Result]:
    """Best wall time of several runs, seconds, and the last result."""
    best = math.inf
    for _ in range(repeat):
        began = time.perf_counter()
        result = run()
        best = min(best, time.perf_counter() - began)
    return best, result


def _replayed(instance: Instance, policy: str, plan: Plan | None = None) -> Outcome:
    executor = Executor(instance, make_policy(policy, Problem.of(instance, "known", plan)))
    executor.run()
    return executor.outcome(policy, 0.0)


def _row(
    table: Table,
    instance: Instance,
    policy: str,
    seconds: float,
    target: float | None,
    plain_s: float | None,
    makespan: float,
) -> None:
    met = "" if target is None else f"≤ {target:g}: {'met' if seconds <= target else 'missed'}"
    ratio = "" if plain_s is None else f"{plain_s / seconds:.1f}x"
    plain = "" if plain_s is None else f"{plain_s:.3f}"
    table.add_row(instance.name, str(instance.n), policy, f"{seconds:.4f}", met, plain, ratio, f"{makespan:.4f}")


def _require_same(makespan: float, plain: float) -> None:
    if not math.isclose(makespan, plain, rel_tol=1e-9):
        print(f"benchmark replay: makespans differ: {makespan!r} and {plain!r}", file=sys.stderr)
        sys.exit(1)


def round_by_round(instance: Instance) -> float:
    """Makespan of fcfs in seconds: a plain loop over the decode rounds, for one worker and a backlog."""
    worker, requests = instance.workers[0], instance.requests
    prompts, lengths = requests.prefill_tokens.tolist(), requests.decode_tokens.tolist()
    decode, slots = worker.decode_time, worker.slots or instance.n
    now, following, made = 0.0, 0, dict[int, int]()
    while made or following < instance.n:
        tokens = 0
        while following < instance.n and len(made) < slots and _fits(worker, prompts, lengths, made, following, tokens):
            made[following] = 0
            tokens += prompts[following]
            following += 1
        if tokens:
            now += worker.prefill_time.seconds(tokens)
        held = 0
        for i in made:
            made[i] += 1
            held += prompts[i] + made[i]
        now += decode.round_seconds(len(made), held)
        for i in [i for i, count in made.items() if count == lengths[i]]:
            del made[i]
    return now


def _fits(
    worker: Worker, prompts: list[int], lengths: list[int], made: dict[int, int], candidate: int, tokens: int
) -> bool:
    """Token cap, and the KV cache in the last round of every active request (the forward check of the policies)."""
    cap, capacity = worker.max_prefill_tokens, worker.kv_capacity
    if cap is not None and tokens + prompts[candidate] > cap:
        return False
    if capacity is None:
        return True
    together = {**made, candidate: 0}
    if sum(prompts[i] + lengths[i] for i in together) <= capacity:
        return True
    left = {i: lengths[i] - count for i, count in together.items()}
    return all(
        sum(prompts[i] + count + ahead for i, count in together.items() if left[i] >= ahead) <= capacity
        for ahead in set(left.values())
    )


if __name__ == "__main__":
    main()
