"""A picture of time against workers: what is proven, what was planned, and the deadline between them."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from llmsched_mip.operations.sizing import Sizing
from llmsched_mip.report.palette import BLUE, GREEN, GREY, VERMILION
from llmsched_mip.texts import duration_text

SIZE_CHARTS = (".svg", ".png", ".pdf")
TICKS = 12
UNITS = ((2 * 3600.0, 3600.0, "hours"), (2 * 60.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))


def size_chart(sizing: Sizing, title: str, ending: str) -> bytes:
    """The picture as a file of this ending (`SIZE_CHARTS`); the same sizing gives the same bytes.

    Parameters
    ----------
    sizing : Sizing
    title : str
    ending : str
    """
    # What is far from the answer would make the rest of the picture flat.
    centre = sizing.fewest or sizing.impossible + 1
    steps = [step for step in sizing.steps if centre / 2 <= step.workers <= 2 * centre]
    unit_s, unit = next((unit_s, name) for least, unit_s, name in UNITS if sizing.deadline_s >= least)
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(
        [step.workers for step in steps],
        [step.bound / unit_s for step in steps],
        color=GREY,
        marker="v",
        label="proven: no plan takes less",
    )
    for met, color, marker, label in (
        (True, GREEN, "o", "plan, meets the deadline"),
        (False, VERMILION, "X", "best plan, misses the deadline"),
    ):
        chosen = [s for s in steps if s.value is not None and (s.value <= sizing.deadline_s) == met]
        if chosen:
            axes.scatter(
                [step.workers for step in chosen],
                [(step.value or 0.0) / unit_s for step in chosen],
                color=color,
                marker=marker,
                s=60,
                zorder=3,
                label=label,
            )
    axes.axhline(sizing.deadline_s / unit_s, color=BLUE, linestyle="--", label=_deadline(sizing))
    least, most = steps[0].workers, steps[-1].workers
    axes.set_xlim(least - 0.5, most + 0.5)
    if sizing.impossible >= least:
        axes.axvspan(least - 0.5, sizing.impossible + 0.5, color=GREY, alpha=0.18, lw=0, label="provably too few")
    spacing = max(1, (most - least) // TICKS)
    axes.xaxis.set_major_locator(FixedLocator(list(range(least, most + 1, spacing))))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0)
    axes.set(xlabel="workers", ylabel=f"time to serve all requests ({unit})", title=title)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    return _bytes(figure, ending)


def _deadline(sizing: Sizing) -> str:
    return f"deadline {duration_text(sizing.deadline_s)}"


def _bytes(figure: Figure, ending: str) -> bytes:
    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "llmsched", "svg.fonttype": "none"}):
        metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(ending, {})
        figure.savefig(content, format=ending[1:], dpi=150, metadata=metadata)
    return content.getvalue()
