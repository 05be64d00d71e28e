"""The four rows of the published table on one instance, through `llmsched study`."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from pathlib import Path

import _charts
import _results
import _study
import pandas as pd

from llmsched_mip.errors import SchedulingError

PUBLISHED = {"fcfs": ("201.00", "80.2 %", "0"), "hybrid": ("190.58", "89.1 %", "52.4 %")}


def main() -> None:
    """Run the study as the command line says, and write docs/results/four_rows.md and .svg."""
    parser = argparse.ArgumentParser(prog="scripts/four_rows", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/four_rows"), help="folder of the study")
    parser.add_argument("--page", default="four_rows", help="name of the page in docs/results")
    options = parser.parse_args()
    began = time.perf_counter()
    try:
        frame = _study.run(_study.study_file("four_rows", options.out), options.out, 1)
        frame = _study.complete(frame, options.out).set_index("row")
    except SchedulingError as error:
        print(f"four_rows: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    command = shlex.join(["scripts/four_rows", *sys.argv[1:]])
    print(f"wrote {_page(frame, options.page, _results.run_with(command, began))}")


def _page(frame: pd.DataFrame, name: str, how: str) -> Path:
    base = frame.loc["fcfs"]
    rows = []
    for label in _study.ROWS:
        run = frame.loc[label]
        closed = (base["value"] - run["value"]) / (base["value"] - run["bound"])
        rows.append(
            [
                label,
                f"{run['makespan']:.2f}",
                f"{100 * run['utilization']:.1f} %",
                f"{100 * run['gap']:.2f} %",
                f"{100 * closed:.1f} %",
                f"{run['prefill_iterations']:.0f}",
                f"{run['decode_rounds']:.0f}",
                *PUBLISHED.get(label, ("-", "-", "-")),
            ]
        )
    head = ["row", "time s", "utilization", "gap to the bound", "gap closed", "prefill iterations", "decode rounds"]
    bound = frame["bound"].max()
    svg = _results.RESULTS / f"{name}.svg"
    intro = (
        f"Instance `{base['instance']}`: a backlog of 1319 requests on 200 slots, lengths known. Bound "
        f"{bound:.2f} s (`{base['bound_name']}`); gap: (time - bound) / time; gap closed: of that between `fcfs` and "
        "the bound. Offline only executes the plan of `solve`; online only is the policy `lagrangian` without a plan, "
        "hybrid the same with it. The published figures are of LLaMA-65B on GSM8K, the family is calibrated to their "
        "baseline."
    )
    table = _results.markdown_table([*head, "published time s", "published utilization", "published closed"], rows)
    page = _results.write_page(f"{name}.md", ["# Four rows", intro, how, f"![Time by row]({name}.svg)\n", table])
    groups = {label: [float(frame.loc[label, "makespan"])] for label in _study.ROWS}
    marks = {"lower bound": float(bound), "published baseline": 201.00, "published hybrid": 190.58}
    _charts.write_boxes(svg, "Total time of 1319 requests on 200 slots", "seconds", groups, marks)
    return page


if __name__ == "__main__":
    main()
