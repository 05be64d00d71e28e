"""A picture of fitted iteration times: measured against fitted, and the errors by tokens, a row a regime."""

from __future__ import annotations

import io
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from llmsched_mip.io.storage import readable
from llmsched_mip.operations.calibration import REGIMES, Calibration, Regime
from llmsched_mip.report.palette import BLUE, GREY, VERMILION

FIT_CHARTS = (".svg", ".png", ".pdf", ".html")
COLORS = {"decode": BLUE, "mixed": VERMILION}
MOST_POINTS = 4000


def fit_chart(found: Calibration, ending: str) -> bytes:
    """The picture as a file of this ending (`FIT_CHARTS`); the same calibration gives the same bytes.

    Parameters
    ----------
    found : Calibration
    ending : str
    """
    figure = Figure(figsize=(9.6, 7.2), layout="constrained")
    for regime, (left, right) in zip(found.regimes, figure.subplots(len(found.regimes), 2), strict=True):
        _draw(regime, left, right)
    figure.suptitle(readable(found.worker.name))
    page = ending == ".html"
    image, content = ".svg" if page else ending, io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "llmsched", "svg.fonttype": "none"}):
        metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(image, {})
        figure.savefig(content, format=image[1:], dpi=150, metadata=metadata)
    return _page(found.worker.name, content.getvalue()) if page else content.getvalue()


def _page(title: str, svg: bytes) -> bytes:
    head = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>\n<body>\n'
    )
    return readable(head).encode() + svg[svg.index(b"<svg") :] + b"</body></html>\n"


def _draw(regime: Regime, left: Axes, right: Axes) -> None:
    fit, color = regime.fit, COLORS[regime.name]
    # A picture holds so many points; the rows of a grid are taken evenly.
    shown = np.unique(np.linspace(0, len(fit.timings) - 1, MOST_POINTS).astype(np.int64))
    measured, fitted = 1000 * fit.timings.seconds[shown], 1000 * fit.fitted[shown]
    ends = [min(measured.min(), fitted.min()), max(measured.max(), fitted.max())]
    left.plot(ends, ends, color=GREY, lw=1)
    left.scatter(measured, fitted, s=6, color=color, alpha=0.5, lw=0)
    left.set(xscale="log", yscale="log", xlabel="measured, ms", ylabel="fitted, ms")
    left.set_title(f"iterations {REGIMES[regime.name]}: R² {fit.r2:.4f}", loc="left")
    right.axhline(0, color=GREY, lw=1)
    right.scatter(fit.timings.tokens[shown], fit.relative[shown], s=6, color=color, alpha=0.5, lw=0)
    if fit.time.table is not None:
        for tokens in fit.time.table.tokens:
            right.axvline(tokens, color=GREY, lw=0.5, alpha=0.5)
    right.set(xscale="log", xlabel="tokens of the iteration", ylabel="(fitted − measured) / measured")
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    right.set_title(f"median error {100 * regime.quality.median:.1f} %", loc="left")
