"""Real time that each method takes beside its time limit, on instances whose full model is large; a million requests.

The tests drive the clock themselves and so say nothing of seconds: this does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from llmsched_mip import Instance, read_instance, write_instance
from llmsched_mip.execution import replay
from llmsched_mip.methods import METHODS, solve
from llmsched_mip.names import OBJECTIVES
from llmsched_mip.workload import generate

LIMITS_S = (1.0, 5.0)
POLICIES = ("fcfs", "mc-sf", "sorted-f", "svf", "a-max", "a-min")


def instances() -> dict[str, Instance]:
    """Instances whose full model has millions of nonzeros or more, and one that is slow to build."""
    kv_bound = generate("gsm8k-opt66b-a100", 400, 1)
    worker = replace(kv_bound.workers[0], kv_capacity=4000, slots=None)
    return {
        "gsm8k-65b": generate("gsm8k-65b", 60, 1, slots=8),
        "gsm8k-opt66b-a100": replace(kv_bound, workers=(worker,)),
        "kv-uniform": generate("kv-uniform", 1000, 1),
    }


def seconds(action: Callable[[], object]) -> float:
    """Wall time of a call."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the large file (default 1000000)")
    requests = parser.parse_args().requests
    print(f"{'instance':18}  {'objective':16}  {'method':19}  limit s  used s  used / limit")
    for name, instance in instances().items():
        solve(instance.take(range(12)), time_limit_s=1.0)
        for objective in OBJECTIVES:
            for method in METHODS:
                for limit in LIMITS_S:
                    used = seconds(
                        lambda i=instance, o=objective, m=method, s=limit: solve(
                            i.with_objective(o), method=m, time_limit_s=s, threads=1
                        )
                    )
                    row = f"{name:18}  {objective:16}  {method:19}  {limit:7.1f}  {used:6.2f}  {used / limit:12.2f}"
                    print(row, flush=True)
    print(f"\n{'policy':10}  seconds for 10000 requests")
    mixture = generate("mixture", 10_000, 1, worker="unit-round")
    mixture = replace(mixture, workers=(replace(mixture.workers[0], kv_capacity=16_492),))
    for policy in POLICIES:
        print(f"{policy:10}  {seconds(lambda p=policy: replay(mixture, p)):7.2f}", flush=True)
    large = generate("azure-conv", requests, seed=1, rate=5.5, slots=256)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.json"
        print(f"\n{requests} requests: write {seconds(lambda: write_instance(large, path)):.2f} s", end=", ")
        print(f"read {seconds(lambda: read_instance(path)):.2f} s, digest {seconds(large.fresh_digest):.2f} s")


if __name__ == "__main__":
    main()
