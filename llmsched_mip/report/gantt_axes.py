"""The Gantt chart on axes of Matplotlib, for a notebook or a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from llmsched_mip.errors import SchedulingError
from llmsched_mip.instance import Instance
from llmsched_mip.plan import Plan
from llmsched_mip.report.gantt import gantt_document
from llmsched_mip.report.palette import LIGHT, SHADES_LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STALL_OPACITY = 0.3
HATCH = "////"
MOST_HATCHED = 500
"""Prefill iterations of a worker that are hatched; more would take long to draw and be too narrow to see."""
BAR_HEIGHT = 0.88
FIRST_LANE = -0.5
"""Upper end of lane 0, so that the number of a slot stands in its middle."""
WORKER_GAP = 1
MOST_NAMED_WORKERS = 40


def plot_gantt(instance: Instance, plan: Plan, ax: Axes | None = None, title: str | None = None) -> Axes:
    """Draw a feasible plan: time across, the slots of all workers down.

    Parameters
    ----------
    instance : Instance
    plan : Plan
    ax : Axes, optional
        Where to draw; by default the axes of a new figure.
    title : str, optional
        Default: method of the plan and name of the instance.

    Returns
    -------
    Axes
        A bar a request: its prefill iteration, then its decode rounds, darker for longer outputs; a pale band where
        a prefill iteration stalls what decodes.  The legend says which is which.

    Raises
    ------
    SchedulingError
        Matplotlib is not installed.
    InvalidPlanError
        The plan breaks the model, or is one of another instance.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise SchedulingError("plot: Matplotlib is not installed, pip install 'llmsched-mip[plot]' brings it") from None
    document = gantt_document(instance, plan, title)
    lanes = [_lanes(worker) for worker in document["workers"]]
    tops = FIRST_LANE + np.concatenate(([0], np.cumsum([count + WORKER_GAP for count in lanes])))
    if ax is None:
        height = min(10.0, max(2.4, 1.4 + 0.18 * float(tops[-1])))
        ax = plt.subplots(figsize=(9.0, height), layout="constrained")[1]
    colors = [SHADES_LIGHT[k] for k in document["colors"]]
    for worker, top, count in zip(document["workers"], tops, lanes, strict=False):
        _draw(ax, worker, float(top), count, colors)
    ax.set_xlim(0, document["makespan"] or 1.0)
    ax.set_ylim(float(tops[-1]) - WORKER_GAP, FIRST_LANE)
    ax.set_xlabel("time (s)")
    ax.set_title(document["title"], loc="left")
    _name_lanes(ax, document["workers"], tops, lanes)
    _legend(ax, document["shades"], colors)
    return ax


def _lanes(worker: dict[str, Any]) -> int:
    """Lanes up to the last that is used: a worker may have more slots than requests."""
    return max(worker["bars"]["lane"], default=0) + 1


def _draw(ax: Axes, worker: dict[str, Any], top: float, lanes: int, colors: list[str]) -> None:
    bars = {name: np.asarray(values) for name, values in worker["bars"].items() if name not in ("id", "prompt")}
    y = top + bars["lane"] + (1 - BAR_HEIGHT) / 2
    face = np.array(colors, dtype=object)[bars["shade"]]
    _bars(ax, (bars["decode"], bars["end"]), y, BAR_HEIGHT, facecolors=face.tolist(), linewidths=0)
    # A line around it keeps a prefill in sight that is shorter than a pixel.
    red = LIGHT["prefill"]
    _bars(ax, (bars["prefill"], bars["decode"]), y, BAR_HEIGHT, facecolors=red, edgecolors=red, linewidths=0.5)
    runs = {name: np.asarray(worker["runs"][name]) for name in ("start", "end", "prefill")}
    here = runs["prefill"] == 1
    span = runs["start"][here], runs["end"][here]
    tops = np.full(int(here.sum()), top)
    # Pale behind the bars and hatched before them: what is stalled keeps its colour.
    _bars(ax, span, tops, lanes, facecolors=red, linewidths=0, alpha=STALL_OPACITY, zorder=0.5)
    if len(tops) <= MOST_HATCHED:
        _bars(
            ax, span, tops, lanes, facecolors="none", edgecolors=red, hatch=HATCH, linewidths=0, alpha=0.8, zorder=1.5
        )


def _bars(ax: Axes, span: tuple[Any, Any], y: Any, height: float, **style: Any) -> None:
    """Rectangles from the starts to the ends of `span`, all in one collection."""
    from matplotlib.collections import PolyCollection

    (left, right), bottom = span, y + height
    corners = np.stack(
        [np.stack(pair, axis=1) for pair in ((left, y), (right, y), (right, bottom), (left, bottom))], axis=1
    )
    ax.add_collection(PolyCollection(list(corners), **style), autolim=False)


def _name_lanes(ax: Axes, workers: list[dict[str, Any]], tops: Any, lanes: list[int]) -> None:
    if len(workers) == 1:
        from matplotlib.ticker import MaxNLocator

        ax.set_ylabel("slot" if workers[0]["slots"] is not None else "lane")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
        return
    step = -(-len(workers) // MOST_NAMED_WORKERS)
    middles = tops[:-1] + np.array(lanes) / 2
    ax.set_yticks(middles[::step], [worker["name"] for worker in workers[::step]])
    for top in tops[1:-1]:
        ax.axhline(top - WORKER_GAP / 2, color=LIGHT["rule"], linewidth=0.8)


def _legend(ax: Axes, shades: list[int], colors: list[str]) -> None:
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Patch

    red = LIGHT["prefill"]
    handles = [
        Patch(color=red, label="prefill iteration"),
        Patch(facecolor=to_rgba(red, STALL_OPACITY), edgecolor=red, hatch=HATCH, linewidth=0, label="decode stalled"),
    ]
    least = 1
    for edge, color in zip(shades, colors, strict=True):
        label = f"{least} to {edge}" if edge > least else f"{edge}"
        handles.append(Patch(color=color, label=f"decode, {label} tokens"))
        least = edge + 1
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize="small")
