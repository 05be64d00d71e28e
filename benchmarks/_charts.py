"""Charts of docs/results as SVG files that come out alike every time: log-log lines, boxes, and dots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f")
DASHES = ("-", "--", ":", "-.")
# Text stays text, and names inside the file do not depend on the run.
SVG = {"svg.fonttype": "none", "svg.hashsalt": "llmsched", "font.family": "sans-serif"}

Line = Sequence[tuple[float, float]]


def write_loglog(path: Path, title: str, x_label: str, y_label: str, lines: Mapping[str, Line]) -> None:
    """Write `lines` (label to points, all positive) to `path`; the x of the points are the ticks."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot(xscale="log", yscale="log", xlabel=x_label, ylabel=y_label)
    axes.set_title(title, loc="left")
    for k, (label, line) in enumerate(lines.items()):
        x, y = zip(*line, strict=True)
        style = DASHES[k // len(COLORS) % len(DASHES)]
        axes.plot(x, y, style, marker="o", markersize=4, color=COLORS[k % len(COLORS)], label=label, gid=f"line-{k}")
    axes.xaxis.set_major_locator(FixedLocator(sorted({x for line in lines.values() for x, _ in line})))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_locator(NullLocator())
    axes.grid(color="#dddddd")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    _write(figure, path)


def write_boxes(
    path: Path, title: str, x_label: str, groups: Mapping[str, Sequence[float]], marks: Mapping[str, float]
) -> None:
    """Write a box (range, quartiles, median) for each label, a point where all its values are one, to `path`.

    `marks` are vertical lines, named under the picture.
    """
    figure = Figure(figsize=(7.6, 1.2 + 0.28 * (len(groups) + len(marks))), layout="constrained")
    axes = figure.add_subplot(xlabel=x_label)
    for k, (label, x) in enumerate(marks.items()):
        axes.axvline(x, color=COLORS[1 + k], linestyle="--", label=f"{label} {x:.2f}", gid=f"mark-{k}")
    for k, values in enumerate(groups.values()):
        if min(values) == max(values):
            axes.plot(values[0], k, "o", color=COLORS[0], gid=f"point-{k}")
            continue
        drawn = axes.boxplot(
            [values], positions=[k], widths=0.55, whis=(0, 100), orientation="horizontal", patch_artist=True
        )
        drawn["boxes"][0].set(facecolor="#cfe3f1", edgecolor=COLORS[0], gid=f"box-{k}")
        drawn["medians"][0].set(color=COLORS[0])
    axes.set_yticks(range(len(groups)), list(groups))
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.grid(axis="x", color="#dddddd")
    axes.set_title(title, loc="left")
    if marks:
        figure.legend(loc="outside lower left", frameon=False, fontsize="small")
    _write(figure, path)


def write_dots(path: Path, title: str, x_label: str, rows: Mapping[str, Mapping[str, float]], bar: str) -> None:
    """Write a line of dots for each row (label to its values by series) to `path`; the series `bar` as a stroke."""
    series = list(dict.fromkeys(name for values in rows.values() for name in values))
    figure = Figure(figsize=(8.6, 1.4 + 0.5 * len(rows)), layout="constrained")
    axes = figure.add_subplot(xlabel=x_label)
    colors = dict(zip([name for name in series if name != bar], COLORS * len(series), strict=False))
    for k, name in enumerate(series):
        points = [(values[name], y) for y, values in enumerate(rows.values()) if name in values]
        x, y = zip(*points, strict=True)
        if name == bar:
            axes.plot(x, y, "|", markersize=18, markeredgewidth=2, color="#444444", label=name, gid=f"series-{k}")
        else:
            # Marks beside each other where values are alike: above the line those of even number.
            y = [place + (k % 3 - 1) * 0.16 for place in y]
            marker = "osD^v"[k // len(COLORS) % 5]
            axes.plot(x, y, marker, markersize=5, color=colors[name], alpha=0.85, label=name, gid=f"series-{k}")
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", color="#dddddd")
    axes.set_title(title, loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize="small")
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    with matplotlib.rc_context(SVG):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
