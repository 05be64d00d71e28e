"""`solve` with `auto` against every online rule and list order on a grid of instances; resumable.

A result must not be worse than any rule that takes less than a tenth of the limit on the same instance in the same run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from fnmatch import fnmatch
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from _ledger import Table
from _results import in_unit_rounds
from _solves import solved_apart
from scale_cases import FLEET, on_workers

from llmsched_mip import Instance
from llmsched_mip.budget import Budget
from llmsched_mip.errors import SchedulingError
from llmsched_mip.methods.executed import executed
from llmsched_mip.methods.lists import orders
from llmsched_mip.methods.rules import SLOW_RULES
from llmsched_mip.names import OBJECTIVES
from llmsched_mip.policies import POLICIES, make_policy
from llmsched_mip.policies.protocol import Policy, Problem
from llmsched_mip.policies.threshold import IdleThreshold
from llmsched_mip.workload import FAMILIES, deployment, generate

NO_RULE = ("plan", "plan-order", "vllm")
"""They need a plan, or execute mixed semantics, which is another problem."""
MOST_IN_AN_LP = 1000
SIZES, FLEETS = (60, 400, 2000), (1, 4)
RATE = 4.0
SHARE = 0.1
ROUNDING = 1e-9


class Setup(NamedTuple):
    """One instance of the grid."""

    family: str
    objective: str
    unit: bool
    arrivals: bool
    requests: int
    workers: int

    @property
    def key(self) -> str:
        """Its name in the ledger."""
        time_, arrival = "unit" if self.unit else "timed", "arrivals" if self.arrivals else "backlog"
        return f"{self.family}-{self.objective}-{time_}-{arrival}-n{self.requests}-w{self.workers}"

    def make(self) -> Instance:
        """The instance; what fits no worker is dropped, and unit rounds have arrivals at whole rounds."""
        rate = {"rate": RATE} if self.arrivals else {}
        instance = generate(self.family, self.requests, **rate)
        if self.unit:
            capacity = instance.workers[0].kv_capacity
            instance = in_unit_rounds(instance, capacity) if capacity else in_unit_rounds(instance)
            r = instance.requests
            instance = instance.with_requests(replace(r, arrival_s=r.arrival_s.round()))
        if self.workers > 1:
            kinds = instance.workers if self.unit else [deployment(name, published=True) for name in FLEET]
            instance = on_workers(instance, [kinds[k % len(kinds)] for k in range(self.workers)])
        return instance.with_objective(self.objective)


def grid() -> Iterator[Setup]:
    """Every family with every setting, in an order that mixes them: any beginning is a sample of all."""
    setups = [
        Setup(family, objective, unit, arrivals, requests, workers)
        for family in FAMILIES
        for objective in OBJECTIVES
        for unit in (False, True)
        for arrivals in (False, True)
        for requests in SIZES
        for workers in FLEETS
    ]
    step = next(k for k in range(len(setups) * 2 // 3, len(setups)) if _coprime(k, len(setups)))
    return (setups[k * step % len(setups)] for k in range(len(setups)))


def _coprime(a: int, b: int) -> bool:
    while b:
        a, b = b, a % b
    return a == 1


def rules(instance: Instance, limit_s: float) -> Iterator[tuple[str, float, float]]:
    """Name, value and seconds of every rule and list order that makes a plan within its share of the limit."""
    problem = Problem.of(instance, "known")
    for name in POLICIES:
        if name in NO_RULE or (name in SLOW_RULES and instance.n > MOST_IN_AN_LP):
            continue
        yield from _within(instance, name, partial(make_policy, name, problem), SHARE * limit_s)
    for name, order in orders(instance):
        for skip in (False, True):
            policy = partial(IdleThreshold, problem, order, 1, skip)
            yield from _within(instance, f"{name}{', skip' if skip else ''} (list)", policy, SHARE * limit_s)


def _within(
    instance: Instance, name: str, policy: Callable[[], Policy], limit_s: float
) -> Iterator[tuple[str, float, float]]:
    budget = Budget(limit_s)
    try:
        run = executed(instance, name, policy(), budget)
    except SchedulingError:
        return
    taken_s = budget.elapsed
    if run is not None and taken_s < limit_s:
        yield name, run.value, taken_s


def main() -> None:
    """Run what is not in the ledger yet and say where the rule is broken."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark portfolio", description=__doc__)
    parser.add_argument("--time-limit", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--most", type=int, default=None, help="as many instances of the grid as this")
    parser.add_argument("--out", type=Path, default=Path("out/portfolio"), help="folder of the ledger")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("K", "N"), help="each N-th, from K on")
    parser.add_argument("--only", nargs="*", default=["*"], metavar="NAME", help="instances; * for any text")
    options = parser.parse_args()
    part, parts = options.part
    table, worse, count = Table(options.out / "portfolio.csv"), 0, 0
    chosen = (setup for setup in grid() if any(fnmatch(setup.key, pattern) for pattern in options.only))
    for setup in islice(chosen, part, None, parts):
        if options.most is not None and count >= options.most:
            break
        if setup.key not in table:
            _run(setup, options, table)
        row = table.rows[setup.key]
        count += row["value"] != ""
        if row["value"] == "":
            continue
        ratio = float(row["value"]) / float(row["rule_value"])
        worse += ratio > 1 + ROUNDING
        print(f"{setup.key:64} gap {float(row['gap']):8.3%}  {ratio:7.4f} of {row['rule']}", flush=True)
    print(f"{count} instances, worse than a rule on {worse}")


def _run(setup: Setup, options: argparse.Namespace, table: Table) -> None:
    try:
        instance = setup.make()
    except SchedulingError:
        table.add(setup.key, {"rule": "", "rule_value": "", "rule_s": "", **_nothing()})
        return
    solved = solved_apart(instance, options.time_limit, options.threads)
    name, value, seconds = min(rules(instance, options.time_limit), key=lambda rule: rule[1])
    table.add(setup.key, {"rule": name, "rule_value": value, "rule_s": seconds, **asdict(solved)})


def _nothing() -> dict[str, str]:
    names = ("value", "bound", "gap", "method", "binding", "seconds", "first_plan_s", "within_5_s", "memory_mib")
    return {**dict.fromkeys(names, ""), "failures": ""}


if __name__ == "__main__":
    main()
