"""How time to the first plan, time to within 5 % and memory grow with the requests, with exponents."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
from _ledger import Table
from _solves import solved_apart

from llmsched_mip.names import OBJECTIVES
from llmsched_mip.workload import generate

SIZES = (1000, 3000, 10_000, 30_000, 100_000)
COLUMNS = ("first_plan_s", "within_5_s", "memory_mib")


def main() -> None:
    """Print a table for each objective, and the slopes of the logarithms."""
    parser = argparse.ArgumentParser(prog="scripts/benchmark growth", description=__doc__)
    parser.add_argument("--family", default="azure-conv")
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES))
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/growth"), help="folder of the ledger")
    options = parser.parse_args()
    table = Table(options.out / "growth.csv")
    for objective in OBJECTIVES:
        print(f"{options.family}, {objective}: requests, first plan s, within 5 % s, MiB, gap")
        for size in options.sizes:
            key = f"{options.family}-{objective}-n{size}-t{options.threads}-{options.time_limit:g}s"
            if key not in table:
                instance = generate(options.family, size).with_objective(objective)
                table.add(key, {"n": size, **asdict(solved_apart(instance, options.time_limit, options.threads))})
            row = table.rows[key]
            near = f"{float(row['within_5_s']):8.2f}" if row["within_5_s"] else "   never"
            print(
                f"{size:8}  {float(row['first_plan_s']):8.3f}  {near}  "
                f"{float(row['memory_mib']):6.0f}  {float(row['gap']):7.2%}",
                flush=True,
            )
        rows = [
            table.rows[f"{options.family}-{objective}-n{n}-t{options.threads}-{options.time_limit:g}s"]
            for n in options.sizes
        ]
        for column in COLUMNS:
            points = [(float(row["n"]), float(row[column])) for row in rows if row[column]]
            if len(points) > 2:
                n, y = np.log(np.array(points)).T
                print(f"  {column}: exponent {np.polyfit(n, y, 1)[0]:.2f}")


if __name__ == "__main__":
    main()
