"""Nothing allocates by a horizon that it has not estimated: whole runs under 4 GB of address space."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from llmsched_mip import Instance, Requests, Worker, clock, read_instance
from llmsched_mip.bounds import BOUNDS
from llmsched_mip.budget import Budget
from llmsched_mip.io.files import write_instance
from llmsched_mip.relaxations.time_indexed.relaxation import MOST_BLOCKS, blocks
from llmsched_mip.timing import AffinePrefill, DecodeTime

CASES = Path(__file__).parents[1] / "cases"
GIGABYTES = 4
DEADLINE_S = 600
LONG = 40_000_000
YEARS = 1.7e9

RUN = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]) << 30,) * 2)
from llmsched_mip import clock, read_instance
from llmsched_mip.bounds import compute
from llmsched_mip.budget import Budget
from llmsched_mip.methods import solve
instance, found = read_instance(sys.argv[2]), []
for objective in ("makespan", "total_completion"):
    with clock.counting():
        bounds = [bound.value for bound in compute(instance.with_objective(objective), Budget(0.03))]
    for method in sys.argv[3:]:
        with clock.counting():
            plan = solve(instance.with_objective(objective), method=method, time_limit_s=0.05, threads=1).plan
        found.append([objective, method, plan.claims.value, max(bounds)])
print(json.dumps(found))
"""

UNIT = Worker("unit", AffinePrefill(0.0, 0.0), DecodeTime(1e-6), kv_capacity=2**31 + LONG)
SLOTS = Worker("slots", AffinePrefill(0.04, 0.0002), DecodeTime(1e-6, 1e-7), slots=2)
KV = Worker("kv", AffinePrefill(0.04, 0.0002), DecodeTime(1e-6, 1e-7, 1e-9), kv_capacity=2**31 + 2 * LONG)


def requests(lengths: list[int], prompt: int, gap_s: float, first_s: float = 0.0) -> Requests:
    n = len(lengths)
    return Requests(
        [f"r{i}" for i in range(n)], [prompt] * n, lengths, arrival_s=[first_s + gap_s * i for i in range(n)]
    )


INSTANCES = {
    "long backlog, unit rounds": Instance("a", requests([LONG, 5, LONG // 2, 7, 3], 100, 0.0), (UNIT,)),
    "long backlog, slots": Instance("b", requests([LONG, 5, LONG // 2, 7, 3], 100, 0.0), (SLOTS,)),
    "long prompts, KV": Instance("c", requests([900_000, 5, 800_000, 7, 3], 2**31 - 1, 0.0), (KV,)),
    "years of microseconds": Instance("d", requests([50, 60, 70, 40, 30], 100, 0.7, YEARS), (KV,)),
    "unit rounds, years apart": Instance("e", requests([50, 60, 70, 40, 30], 100, YEARS, YEARS), (UNIT,)),
    "two workers": Instance("f", requests([LONG, 5, LONG // 2, 7, 3], 100, 5.0, YEARS), (SLOTS, KV)),
}
METHODS = ["auto", "full", "large-neighbourhood", "pattern", "unit-round", "branch-and-bound"]


def run(path: Path, *methods: str) -> None:
    """Bounds and methods, both objectives, in a process of its own."""
    command = [sys.executable, "-c", RUN, str(GIGABYTES), str(path), *methods]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = json.loads(ended.stdout)
    assert len(found) == 2 * len(methods)
    for objective, method, value, bound in found:
        assert 0 < bound <= value * (1 + 1e-9), (objective, method)


@pytest.mark.parametrize("name", INSTANCES)
def test_within_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "instance.json"
    write_instance(INSTANCES[name], path)
    run(path, *METHODS)


def test_far_arrivals_are_bounded_and_solved() -> None:
    run(CASES / "far_arrivals.json", "lists", "auto")


def shifted(instance: Instance, by_s: float) -> Instance:
    r = instance.requests
    return instance.with_requests(
        Requests(r.id, r.prefill_tokens, r.decode_tokens, arrival_s=r.arrival_s + by_s, weight=r.weight)
    )


@pytest.mark.parametrize("name", ["kv_dual", "start_lp"])
def test_time_before_the_first_arrival_is_empty(name: str) -> None:
    worker = Worker("w", AffinePrefill(0.5, 0.0), DecodeTime(1.0), kv_capacity=40)
    instance = Instance("near", requests([4, 9, 2, 5, 8], 7, 0.0), (worker,))
    near = BOUNDS[name](instance.with_objective("total_completion"), Budget()).value
    far = BOUNDS[name](shifted(instance, 2.0**20).with_objective("total_completion"), Budget()).value
    assert far == pytest.approx(near + 5 * 2.0**20, rel=1e-9)


@pytest.mark.parametrize("name", ["kv_dual", "start_lp"])
def test_groups_far_apart_are_bounded_as_if_alone(name: str) -> None:
    worker = Worker("w", AffinePrefill(0.5, 0.0), DecodeTime(1.0), kv_capacity=40)
    group = [4, 9, 2, 5, 8]
    one = Instance("one", requests(group, 7, 0.0), (worker,))
    n = 4
    columns = Requests(
        [f"r{i}" for i in range(5 * n)],
        [7] * 5 * n,
        group * n,
        arrival_s=[2.0**20 * (i // 5) for i in range(5 * n)],
    )
    four = Instance("four", columns, (worker,))
    assert [part.n for part in blocks(four).parts] == [5] * n
    alone = BOUNDS[name](one.with_objective("total_completion"), Budget()).value
    expected = n * alone + 5 * 2.0**20 * sum(range(n))
    assert BOUNDS[name](four.with_objective("total_completion"), Budget()).value == pytest.approx(expected, rel=1e-6)


def test_more_blocks_than_are_kept_count_alone() -> None:
    worker = Worker("w", AffinePrefill(0.5, 0.0), DecodeTime(1.0), kv_capacity=40)
    n = MOST_BLOCKS + 50
    instance = Instance("many", requests([4] * n, 7, 1000.0), (worker,))
    found = blocks(instance)
    assert len(found.parts) == MOST_BLOCKS and found.rest_s > 0
    summed = instance.with_objective("total_completion")
    alone = BOUNDS["alone"](summed, Budget()).value
    assert BOUNDS["kv_dual"](summed, Budget()).value == pytest.approx(alone, rel=1e-6)


def test_case_of_arrivals_in_unix_time_loses_nothing_to_them() -> None:
    instance = read_instance(CASES / "far_arrivals.json")
    first = float(instance.requests.arrival_s.min())
    with clock.counting():
        near = BOUNDS["kv_dual"](shifted(instance, -first).with_objective("total_completion"), Budget(0.02)).value
    with clock.counting():
        far = BOUNDS["kv_dual"](instance.with_objective("total_completion"), Budget(0.02)).value
    assert far - first * instance.n == pytest.approx(near, rel=1e-3)
