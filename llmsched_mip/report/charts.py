"""The ordinary charts of a report as plotly figures: plain dictionaries, coloured by the page's theme."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from llmsched_mip.report.data import Report
from llmsched_mip.report.palette import SERIES, VERMILION
from llmsched_mip.report.statistics import gap_steps, performance_profile, performance_ratios
from llmsched_mip.timing import FloatArray

Figure = dict[str, Any]

MOST_BARS, MOST_CASES, MOST_POINTS, GRID = 60, 100, 400, 120
# Lines that lie on each other stay visible.
DASHES = ("solid", "dash", "dot", "dashdot")
LEAST_SHARE = 0.05
LEAST_SECONDS = 1e-3
BAR_HEIGHT, AXIS_HEIGHT = 34, 130
# Light to dark greys and blues: the weaker the bound, the paler its part.
BOUND_COLORS = ("#d5d8da", "#b3bac0", "#92c1e3", "#56b4e9", "#2f8fca", "#0072b2", "#005a8e", "#00446b")


def all_charts(report: Report) -> dict[str, Figure]:
    """Figures by key; one that the data does not allow is left out."""
    made = {
        "breakdown": breakdown(report),
        "convergence": convergence(report),
        "gaps-over-time": gaps_over_time(report),
        "profile-value": profile(report, "value", "objective value"),
        "profile-time": profile(report, "seconds", "run time"),
        "box-utilization": boxes(report, "utilization", "utilization (%)", 100.0),
        "box-gap": boxes(report, "gap_value", "gap (value − bound) / value (%)", 100.0),
        "box-makespan": boxes(report, "makespan", "makespan (s)", 1.0),
    }
    return {key: figure for key, figure in made.items() if figure is not None}


def _numbers(values: Any) -> list[float | None]:
    """Numbers with six significant digits; None for what is not finite."""
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in np.asarray(values, dtype=np.float64).tolist()]


def literal(text: object) -> str:
    """Text from a file as it is: plotly would read markup in it."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _figure(title: str, choices: dict[str, tuple[list[Figure], Figure]], height: int = 380) -> Figure:
    """A figure with one view or several that a reader chooses from."""
    views = [{"label": label, "data": data, "layout": layout} for label, (data, layout) in choices.items()]
    return {"title": title, "views": views, "height": height}


def _axes(x: str, y: str, **more: Any) -> Figure:
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}}, **more}


def _color(report: Report, series: str) -> str:
    return SERIES[report.series.index(series) % len(SERIES)]


def breakdown(report: Report) -> Figure | None:
    """How far each bound carries, weakest first, and what stays open, in % of the value."""
    rows = report.rows[report.rows["value"].gt(0) & report.rows["best_bound"].notna()]
    if rows.empty:
        return None
    by_series = [(str(series), group) for series, group in rows.groupby("series", sort=False)]
    best = rows.loc[rows.groupby("identity", sort=False)["value"].idxmin()]
    by_case = [(str(name), best.iloc[[k]]) for k, name in enumerate(_case_names(best))]
    whole, choices = _stack(by_series), {}
    choices["Rows, whole value"] = whole
    choices["Rows, close-up of the gap"] = _close_up(whole)
    if 1 < len(by_case) <= MOST_BARS:
        stacked = _stack(by_case)
        choices["Instances (best row), whole value"] = stacked
        choices["Instances (best row), close-up of the gap"] = _close_up(stacked)
    return _figure("Where the gap sits", choices, AXIS_HEIGHT + BAR_HEIGHT * max(3, len(by_series)))


def _case_names(rows: pd.DataFrame) -> list[str]:
    """Names of instances, told apart by a number where they repeat."""
    count = rows.groupby("instance").cumcount()
    return [f"{name} [{k + 1}]" if k else str(name) for name, k in zip(rows["instance"], count, strict=True)]


def _stack(groups: list[tuple[str, pd.DataFrame]]) -> tuple[list[Figure], Figure]:
    names = dict.fromkeys(str(name) for _, rows in groups for bounds in rows["bounds"] for name in bounds)
    shares = {name: np.array([_share(rows, name) for _, rows in groups]) for name in names}
    order = sorted(shares, key=lambda name: float(np.nanmean(shares[name])) if len(shares[name]) else 0.0)
    reached, data = np.zeros(len(groups)), []
    best = np.array([float(np.mean(100 * rows["best_bound"] / rows["value"])) for _, rows in groups])
    labels = [label for label, _ in groups]
    for name in order:
        upto = np.minimum(np.fmax(reached, np.nan_to_num(shares[name])), best)
        if (upto - reached > LEAST_SHARE).any():
            data.append(_segment(name.replace("_", " "), labels, upto - reached, ""))
        reached = upto
    if (best - reached > LEAST_SHARE).any():
        data.append(_segment("other bounds", labels, best - reached, ""))
    for k, part in enumerate(data):
        part["marker"] = {"color": BOUND_COLORS[round(k * (len(BOUND_COLORS) - 1) / max(1, len(data) - 1))]}
    gap = _segment("open gap", labels, 100 - best, VERMILION)
    layout = _axes("share of the value (%)", "", barmode="stack", margin={"r": 64})
    layout["xaxis"]["range"] = [0, 100]
    layout["annotations"] = [
        {
            "x": 1,
            "xref": "paper",
            "y": k,
            "xanchor": "left",
            "xshift": 4,
            "showarrow": False,
            "text": f"{100 - reached_share:.2f} %",
        }
        for k, reached_share in enumerate(best)
    ]
    layout["yaxis"] |= {"autorange": "reversed", "type": "category", "automargin": True}
    return [*data, gap], layout | {"height": AXIS_HEIGHT + BAR_HEIGHT * max(3, len(groups))}


def _share(rows: pd.DataFrame, name: str) -> float:
    """Mean of a bound over the value, %; at most what the best bound reaches."""
    found = [bounds.get(name) for bounds in rows["bounds"]]
    values = pd.to_numeric(pd.Series(found, index=rows.index, dtype=object), errors="coerce")
    return float((100 * values / rows["value"]).clip(upper=100).mean())


def _segment(name: str, labels: list[str], widths: FloatArray, color: str) -> Figure:
    return {
        "type": "bar",
        "orientation": "h",
        "name": literal(name),
        "y": [literal(label) for label in labels],
        "x": _numbers(np.maximum(widths, 0.0)),
        "marker": {"color": color},
        "hovertemplate": "%{y}<br>%{fullData.name}: %{x:.3f} %<extra></extra>",
    }


def _close_up(stacked: tuple[list[Figure], Figure]) -> tuple[list[Figure], Figure]:
    data, layout = stacked
    widest = max((width or 0.0) for width in data[-1]["x"])
    low = max(0.0, 100 - 1.25 * max(widest, LEAST_SHARE))
    return data, {**layout, "xaxis": {**layout["xaxis"], "range": [low, 100]}}


def convergence(report: Report) -> Figure | None:
    """Incumbent and bound over time, a case at a time."""
    rows = report.rows[report.rows["trace"].map(len) > 0]
    if rows.empty:
        return None
    choices = {}
    for case, runs in list(rows.groupby("case", sort=False))[:MOST_CASES]:
        data = [line for _, row in runs.iterrows() for line in _trace_lines(report, row)]
        first = runs.iloc[0]
        label = str(first["instance"]) + ("" if len(runs) > 0 and first["objective"] == "makespan" else ", completion")
        while label in choices:
            label += f" ({str(case)[-1:]})"
        layout = _axes("time (s)", f"{first['objective'].replace('_', ' ')} (s)")
        layout["xaxis"] |= {"type": "log", "dtick": 1}
        layout["yaxis"]["range"] = _trace_range(runs["trace"])
        choices[label] = (data, layout)
    return _figure("Incumbent and bound over time", choices)


def _trace_range(traces: pd.Series) -> list[float] | None:
    """Range that shows the incumbents and the last bounds: the first bounds may be far below."""
    points = np.array([[np.nan if v is None else v for v in point[1:3]] for trace in traces for point in trace])
    if not np.isfinite(points[:, 0]).any() or not np.isfinite(points[:, 1]).any():
        return None
    high, low = float(np.nanmax(points[:, 0])), float(np.nanmax(points[:, 1]))
    span = max(high - low, 0.002 * abs(high))
    return [low - 0.4 * span, high + 0.1 * span]


def _trace_lines(report: Report, row: pd.Series) -> list[Figure]:
    points = np.array([[np.nan if v is None else v for v in point[:3]] for point in row["trace"]], dtype=np.float64)
    points[:, 0] = np.maximum(points[:, 0], LEAST_SECONDS)
    lines, color = [], _color(report, row["series"])
    end = max(float(points[-1, 0]), row["seconds"] if np.isfinite(row["seconds"]) else 0.0)
    for column, name, dash in ((1, "incumbent", "solid"), (2, "bound", "dash")):
        line = np.vstack((points[:, [0, column]], [[end, points[-1, column]]]))
        line = line[np.isfinite(line[:, 1])]
        if len(line):
            lines.append(_step(f"{row['series']}: {name}", line[:, 0], line[:, 1], color, dash))
    return lines


def _step(name: str, x: FloatArray, y: FloatArray, color: str, dash: str = "solid") -> Figure:
    return {
        "type": "scatter", "mode": "lines", "name": literal(name), "x": _numbers(x), "y": _numbers(y),
        "line": {"shape": "hv", "color": color, "dash": dash, "width": 2},
    }  # fmt: skip


def gaps_over_time(report: Report) -> Figure | None:
    """Median of the gap over time with its quartiles, over the cases of every row; None for less than three."""
    rows = report.rows[report.rows["trace"].map(len) > 0]
    if len(rows) < 3:
        return None
    ends = [float(trace[-1][0] or 0.0) for trace in rows["trace"]]
    times = np.geomspace(LEAST_SECONDS, max([*ends, 10 * LEAST_SECONDS]), GRID)
    data: list[Figure] = []
    for series, runs in rows.groupby("series", sort=False):
        gaps = 100 * np.array([_gap_at(trace, times) for trace in runs["trace"]])
        low, middle, high = np.quantile(gaps, (0.25, 0.5, 0.75), axis=0)
        color = _color(report, str(series))
        hidden: Figure = {"showlegend": False, "hoverinfo": "skip"}
        band = {"line": {"shape": "hv", "width": 0, "color": color}, **hidden}
        data.append(_step(str(series), times, low, color) | band)
        data.append(_step(str(series), times, high, color) | band | {"fill": "tonexty", "fillcolor": color + "33"})
        data.append(_step(f"{series} (median of {len(runs)})", times, middle, color))
    layout = _axes("time (s)", "gap (%)")
    layout["xaxis"] |= {"type": "log", "dtick": 1}
    layout["yaxis"]["rangemode"] = "tozero"
    return _figure("Gap over time, median and quartiles", {"": (data, layout)})


def _gap_at(trace: list[list[float | None]], times: FloatArray) -> FloatArray:
    steps, gaps = gap_steps(trace)
    return np.concatenate(([1.0], gaps))[np.searchsorted(steps, times, side="right")]


def profile(report: Report, column: str, what: str) -> Figure | None:
    """Dolan and Moré's performance profile of all rows; None without two rows on the same cases."""
    rows = report.rows.assign(cost=report.rows[column].where(report.rows["value"].notna()))
    costs = rows.pivot_table(index="case", columns="series", values="cost", aggfunc="min", dropna=False, sort=False)
    costs = costs.reindex(columns=report.series).dropna(how="all")
    if costs.shape[0] < 2 or costs.shape[1] < 2:
        return None
    ratios = performance_ratios(costs.to_numpy(dtype=np.float64))
    finite = ratios[np.isfinite(ratios)]
    last = max(1.0, float(finite.max(initial=1.0))) * 1.02
    data = []
    for k, series in enumerate(costs.columns):
        factors, shares = performance_profile(ratios[:, k])
        x = np.concatenate(([1.0], factors, [last]))
        y = 100 * np.concatenate(([shares[0] if len(factors) and factors[0] == 1.0 else 0.0], shares, shares[-1:]))
        data.append(_step(str(series), x[: len(y)], y, _color(report, str(series)), DASHES[k % len(DASHES)]))
    layout = _axes(f"{what}: factor of the best", "share of cases (%)")
    layout["xaxis"]["type"] = "log" if last > 4 else "linear"
    layout["yaxis"]["range"] = [0, 102]
    return _figure(f"Performance profile: {what}", {"": (data, layout)})


def boxes(report: Report, column: str, axis: str, scale: float) -> Figure | None:
    """Box plots over the cases of every row, all points beside them; None for less than three cases."""
    rows = report.rows[report.rows[column].notna()]
    if rows.empty or rows.groupby("series")["case"].nunique().max() < 3:
        return None
    data = [
        {
            "type": "box",
            "orientation": "h",
            "name": literal(series),
            "x": _numbers(scale * runs[column]),
            "text": runs["instance"].map(literal).tolist() if len(runs) <= MOST_POINTS else [],
            "boxpoints": "all" if len(runs) <= MOST_POINTS else "outliers",
            "pointpos": 0,
            "jitter": 0.5,
            "marker": {"size": 3, "opacity": 0.45, "color": _color(report, str(series))},
            "line": {"width": 1.5},
            "hovertemplate": ("%{text}<br>" if len(runs) <= MOST_POINTS else "") + "%{x:.3f}<extra></extra>",
            "showlegend": False,
        }
        for series, runs in rows.groupby("series", sort=False)
    ]
    layout = _axes(axis, "")
    layout["yaxis"] |= {"type": "category", "autorange": "reversed"}
    title = axis.rsplit(" (", 1)[0]
    height = AXIS_HEIGHT + 2 * BAR_HEIGHT * len(data)
    return _figure(title[:1].upper() + title[1:], {"": (data, layout)}, height)
