"""The Gantt chart as one static SVG file: text only, light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import floor, log10
from typing import Any

from llmsched_mip.report.palette import svg_css

WIDTH, LEFT, RIGHT, TOP = 1200, 74, 20, 78
STRIP, STRIP_GAP, AXIS, WORKER_GAP = 78, 26, 42, 34
LANES_HEIGHT, LANE_MOST, LANES_LEAST = 600.0, 22.0, 60.0
LEAST_WIDTH, LEAST_PREFILL = 0.35, 1.2
STYLE = """
text { fill: var(--ink); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
text.title { font-size: 17px; font-weight: 600; }
text.quiet { fill: var(--quiet); font-size: 11px; }
.page { fill: var(--page); }
.panel { fill: var(--panel); }
.grid { stroke: var(--grid); }
.frame { fill: none; stroke: var(--rule); }
.prefill { fill: var(--prefill); }
.stall { fill: var(--stall); }
.kv { fill: var(--curve-fill); stroke: var(--curve); }
.held { fill: var(--held-fill); stroke: var(--held); }
.limit { stroke: var(--quiet); stroke-dasharray: 5 4; }
"""


def gantt_svg(document: dict[str, Any]) -> str:
    """SVG text of a `gantt_document`: every worker's lanes, and under them its KV use and slots over time."""
    height, panels = float(TOP), []
    for worker in document["workers"]:
        panel = _Panel(document, worker, height)
        panels.append(panel)
        height = panel.bottom + AXIS + WORKER_GAP
    shades = "".join(f".s{k} {{ fill: var(--shade-{color}); }} " for k, color in enumerate(document["colors"]))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img">',
        f"<title>{_safe(document['title'])}</title>",
        f"<style>{svg_css()}{STYLE}{shades}</style>",
        f'<rect class="page" width="{WIDTH}" height="{height:.0f}"/>',
        *_head(document),
    ]
    for panel in panels:
        parts += panel.parts()
    return "\n".join([*parts, "</svg>"]) + "\n"


def _safe(text: str) -> str:
    """Escaped, without what XML 1.0 does not allow."""
    allowed = (c for c in text if c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff")
    return escape("".join(allowed))


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{_safe(text)}</text>'


def _rect(style: str, x: float, y: float, width: float, height: float, title: str | None = None) -> str:
    head = f'<rect class="{style}" x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
    return head + ("/>" if title is None else f"><title>{_safe(title)}</title></rect>")


def _head(document: dict[str, Any]) -> Iterator[str]:
    yield _text(LEFT, 28, document["title"], style="title")
    utilization = document["utilization"]
    facts = [f"makespan {document['makespan']:.4f} s"]
    facts += [] if utilization is None else [f"utilization {100 * utilization:.1f} %"]
    facts += [f"{document['prefill_iterations']} prefill iterations", f"{document['decode_rounds']} decode rounds"]
    yield _text(LEFT, 48, " · ".join(facts), style="quiet")
    x, least = float(LEFT), 1
    for style, label in (("prefill", "prefill iteration"), ("stall", "decode stalled by it")):
        yield _rect(style, x, 58, 12, 10)
        yield _text(x + 17, 67, label, style="quiet")
        x += 34 + 6.2 * len(label)
    yield _text(x, 67, "decode, by output tokens:", style="quiet")
    x += 150
    for k, edge in enumerate(document["shades"]):
        label = f"{least}–{edge}" if edge > least else str(edge)
        yield _rect(f"s{k}", x, 58, 12, 10)
        yield _text(x + 17, 67, label, style="quiet")
        x, least = x + 30 + 6.5 * len(label), edge + 1


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers (1, 2, 5 times a power of ten apart) between `low` and `high`, at most `most`."""
    span = high - low
    if not span > 0:
        return [low]
    power = 10.0 ** floor(log10(span / most))
    step = next(power * m for m in (1, 2, 5, 10, 20) if span / (power * m) <= most)
    first = -(-low // step)
    count = int((high - first * step) / step + 1e-9) + 1
    return [round((first + k) * step, 12) for k in range(count)]


class _Panel:
    """One worker: lanes, KV use, slots held, on one time axis."""

    def __init__(self, document: dict[str, Any], worker: dict[str, Any], top: float):
        self.worker, self.top = worker, top + (18 if len(document["workers"]) > 1 else 0)
        self.makespan = document["makespan"] or 1.0
        self.named = len(document["workers"]) > 1
        lanes = max(1, worker["lanes"])
        self.lane = min(LANE_MOST, max(LANES_LEAST, LANES_HEIGHT) / lanes)
        self.lanes_height = self.lane * lanes
        self.kv_top = self.top + self.lanes_height + STRIP_GAP
        self.held_top = self.kv_top + STRIP + STRIP_GAP
        self.bottom = self.held_top + STRIP

    def x(self, seconds: float) -> float:
        return LEFT + seconds / self.makespan * (WIDTH - LEFT - RIGHT)

    def parts(self) -> Iterator[str]:
        worker, across = self.worker, WIDTH - LEFT - RIGHT
        if self.named:
            yield _text(LEFT, self.top - 6, f"worker {worker['name']}")
        for top, height in ((self.top, self.lanes_height), (self.kv_top, STRIP), (self.held_top, STRIP)):
            yield _rect("panel", LEFT, top, across, height)
        for second in ticks(0.0, self.makespan, 12):
            at = self.x(second)
            yield f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{self.top:.1f}" y2="{self.bottom:.1f}"/>'
            yield _text(at, self.bottom + 16, f"{second:g}", "middle", "quiet")
        yield _text(LEFT + across / 2, self.bottom + 34, "time (s)", "middle")
        yield from self._bars()
        yield from self._prefills()
        label = "slot" if worker["slots"] is not None else "lane"
        yield from self._axis(
            self.top, self.lanes_height, [(0.0, "0"), (1.0, str(worker["lanes"] - 1))], label, down=True
        )
        runs = worker["runs"]
        kept = "slots" if worker["slots"] is not None else "requests"
        kv, held = (runs["kv_first"], runs["kv_last"]), (runs["held"], runs["held"])
        yield from self._curve(self.kv_top, kv, worker["kv_capacity"], "KV cache (tokens)", "kv")
        yield from self._curve(self.held_top, held, worker["slots"], f"{kept} held", "held")

    def _bars(self) -> Iterator[str]:
        bars, gap = self.worker["bars"], 0.06 * self.lane if self.lane >= 4 else 0.0
        columns = (bars[k] for k in ("id", "prompt", "output", "lane", "shade", "prefill", "decode", "end"))
        for name, prompt, output, lane, shade, prefill, decode, end in zip(*columns, strict=True):
            y, height = self.top + lane * self.lane + gap, self.lane - 2 * gap
            title = f"{name}: {prompt} prompt tokens, {output} output tokens, {prefill:g} s to {end:g} s"
            yield _rect(f"s{shade}", self.x(decode), y, self._width(decode, end), height, title)
            # A request's own prefill stays visible where it is shorter than a pixel.
            width = max(LEAST_PREFILL, self.x(decode) - self.x(prefill))
            yield _rect("prefill", self.x(decode) - width, y, width, height)

    def _width(self, start: float, end: float) -> float:
        return max(LEAST_WIDTH, self.x(end) - self.x(start))

    def _prefills(self) -> Iterator[str]:
        runs = self.worker["runs"]
        for start, end, prefill in zip(runs["start"], runs["end"], runs["prefill"], strict=True):
            if prefill:
                yield _rect("stall", self.x(start), self.top, self._width(start, end), self.lanes_height)

    def _axis(
        self, top: float, height: float, marks: list[tuple[float, str]], label: str, down: bool = False
    ) -> Iterator[str]:
        for share, text in marks:
            y = top + height * (share if down else 1 - share)
            yield _text(LEFT - 8, y + (10 if share == (0 if down else 1) else 0), text, "end", "quiet")
        yield _rect("frame", LEFT, top, WIDTH - LEFT - RIGHT, height)
        if down:
            middle = top + height / 2
            yield f'<g transform="translate(18 {middle:.1f}) rotate(-90)">{_text(0, 0, label, "middle")}</g>'
        else:
            yield _text(LEFT, top - 6, label, style="quiet")

    def _curve(
        self, top: float, ends: tuple[list[int], list[int]], limit: int | None, label: str, style: str
    ) -> Iterator[str]:
        runs = self.worker["runs"]
        most = max(limit or 0, *ends[0], *ends[1], 1)

        def place(seconds: float, value: float) -> str:
            return f"{self.x(seconds):.2f},{top + STRIP * (1 - value / most):.2f}"

        points, before = [place(0.0, 0)], 0.0
        for start, end, first, last in zip(runs["start"], runs["end"], *ends, strict=True):
            if start > before:
                points += [place(before, 0), place(start, 0)]
            points += [place(start, first), place(end, last)]
            before = end
        yield f'<polygon class="{style}" points="{" ".join([*points, place(before, 0)])}"/>'
        if limit is not None:
            y = top + STRIP * (1 - limit / most)
            yield f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.2f}" y2="{y:.2f}"/>'
            label += f", limit {limit:,}"
        yield from self._axis(top, STRIP, [(0.0, "0"), (1.0, f"{most:,}")], label)
