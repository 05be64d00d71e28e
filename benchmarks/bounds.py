"""All bounds against all proven optima of `instances/`: none above one, and what share of it each reaches."""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from _optima import proven_values
from rich.console import Console
from rich.table import Table

from llmsched_mip.bounds import BOUNDS, compute
from llmsched_mip.budget import Budget

ROUNDING = 1e-9


def main() -> None:
    """Print a row for each bound and objective; exit code 1 where a bound is above an optimum."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark bounds", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("instances/exact"), Path("instances/tiny")])
    parser.add_argument("--time-limit", type=float, default=5.0, help="seconds for each bound")
    options = parser.parse_args()
    shares: dict[tuple[str, str], list[float]] = defaultdict(list)
    best: dict[str, list[float]] = defaultdict(list)
    above = []
    for folder in options.folders:
        for proven in proven_values(folder):
            if not proven.closed:
                continue
            instance = proven.instance.with_objective(proven.objective)
            found = [b for name in BOUNDS for b in compute(instance, Budget(options.time_limit), names=[name])]
            for bound in found:
                share = bound.value / proven.bound
                shares[bound.name, proven.objective].append(share)
                if share > 1 + ROUNDING:
                    above.append(f"{instance.name}: {bound.name} {bound.value} above {proven.bound}")
            best[proven.objective].append(max(bound.value for bound in found) / proven.bound)
    table = Table("bound", "objective", "instances", "least", "mean", "most")
    for (name, objective), values in sorted(shares.items(), key=lambda item: (item[0][1], np.mean(item[1]))):
        table.add_row(
            name, objective, str(len(values)), *(f"{x:.2%}" for x in (min(values), np.mean(values), max(values)))
        )
    for objective, values in best.items():
        table.add_row(
            "best", objective, str(len(values)), *(f"{x:.2%}" for x in (min(values), np.mean(values), max(values)))
        )
    Console(width=100).print(table)
    print("\n".join(above) or "none above an optimum")
    raise SystemExit(1 if above else 0)


if __name__ == "__main__":
    main()
