"""One `solve` in a process of its own: what it found, when, and how much memory it took."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from llmsched_mip import Instance, clock, read_instance, write_instance
from llmsched_mip.methods import solve

MIB = 1024


@dataclass
class Solved:
    """Result of one solve; seconds from the start of `solve`, None for what was never reached."""

    value: float
    bound: float
    gap: float
    method: str
    binding: str
    seconds: float
    first_plan_s: float
    within_5_s: float | None
    memory_mib: float
    failures: list[list[str]]


def solved_apart(instance: Instance, limit_s: float, threads: int, seed: int = 0) -> Solved:
    """Solve in a new process; the memory is the most of it, and of each helper as much as of the largest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "instance.json"
        write_instance(instance, path)
        command = [sys.executable, __file__, str(path), str(limit_s), str(threads), str(seed)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Solved(**json.loads(done.stdout))


def _main() -> None:
    instance = read_instance(sys.argv[1])
    limit_s, threads, seed = float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    began = clock.now()
    result = solve(instance, time_limit_s=limit_s, threads=threads, seed=seed)
    seconds = clock.now() - began
    assert result.bound is not None
    plans = [event for event in result.trace if event.incumbent is not None]
    near = [event.seconds for event in plans if event.incumbent and event.incumbent <= 1.05 * result.bound]
    here, helper = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    solved = Solved(
        result.value,
        result.bound,
        result.gap or 0.0,
        result.plan.method,
        max(result.bounds, key=lambda name: result.bounds[name]),
        seconds,
        plans[0].seconds,
        near[0] if near else None,
        (here + (threads - 1) * helper) / MIB,
        [list(failure) for failure in result.failures],
    )
    print(json.dumps(asdict(solved)))


if __name__ == "__main__":
    _main()
