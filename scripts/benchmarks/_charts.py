"""Charts as SVG files, with nothing but text: log-log lines, and boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from pathlib import Path

WIDTH, HEIGHT = 640, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 40, 55
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f")
DASHES = ("", "6 3", "2 3", "8 3 2 3")

Line = Sequence[tuple[float, float]]


def write_loglog(path: Path, title: str, x_label: str, y_label: str, lines: Mapping[str, Line]) -> None:
    """Write `lines` (label to points, all positive) to `path`; ranges and ticks follow from the points."""
    xs = [x for line in lines.values() for x, _ in line]
    ys = [y for line in lines.values() for _, y in line]
    x_low, x_high = log10(min(xs)), log10(max(xs))
    y_low, y_high = floor(log10(min(ys)) * 2) / 2, ceil(log10(max(ys)) * 2 + 1e-9) / 2
    x_high = x_high if x_high > x_low else x_low + 1

    def place(x: float, y: float) -> tuple[float, float]:
        across = (log10(x) - x_low) / (x_high - x_low)
        up = (log10(y) - y_low) / (y_high - y_low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 22, title, size=14),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, x_label, "middle"),
        f'<g transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2:.1f}) rotate(-90)">'
        f"{_text(0, 0, y_label, 'middle')}</g>",
    ]
    for x in sorted(set(xs)):
        at, bottom = place(x, 10**y_low)
        parts += [_rule(at, TOP, at, bottom), _text(at, bottom + 18, f"{x:g}", "middle", 11)]
    for y in _ticks(y_low, y_high):
        left, at = place(10**x_low, y)
        parts += [_rule(left, at, WIDTH - RIGHT, at), _text(left - 8, at + 4, f"{y:g}", "end", 11)]
    for k, (label, line) in enumerate(lines.items()):
        parts += _curve(k, label, [place(x, y) for x, y in line])
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _ticks(low: float, high: float) -> list[float]:
    exponents = range(floor(low), ceil(high) + 1)
    values = [m * 10.0**e for e in exponents for m in (1, 2, 5)]
    return [v for v in values if low - 1e-9 <= log10(v) <= high + 1e-9]


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _curve(k: int, label: str, points: list[tuple[float, float]]) -> list[str]:
    color, dash = COLORS[k % len(COLORS)], DASHES[k // len(COLORS) % len(DASHES)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = f'fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"'
    legend = TOP + 10 + 18 * k
    return [
        f'<polyline points="{path}" {style}/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}"/>' for x, y in points),
        f'<polyline points="{WIDTH - RIGHT + 12},{legend} {WIDTH - RIGHT + 36},{legend}" {style}/>',
        _text(WIDTH - RIGHT + 42, legend + 4, label),
    ]


BOX_WIDTH, BOX_LEFT, BOX_STEP = 720, 200, 26


def write_boxes(
    path: Path, title: str, x_label: str, groups: Mapping[str, Sequence[float]], marks: Mapping[str, float]
) -> None:
    """Write a box (range, quartiles, median) for each label, a point where all its values are one, to `path`.

    `marks` are vertical lines, named under the title.
    """
    values = [value for own in groups.values() for value in own] + list(marks.values())
    low, high = min(values), max(values)
    margin = 0.04 * (high - low) or 1.0
    low, high = low - margin, high + margin
    top = 44 + 18 * len(marks)
    bottom = top + BOX_STEP * len(groups)

    def at(x: float) -> float:
        return BOX_LEFT + (x - low) / (high - low) * (BOX_WIDTH - BOX_LEFT - 30)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {BOX_WIDTH} {bottom + 50}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{BOX_WIDTH}" height="{bottom + 50}" fill="white"/>',
        _text(16, 22, title, size=14),
        _text((BOX_LEFT + BOX_WIDTH) / 2, bottom + 40, x_label, "middle"),
    ]
    for x in _linear_ticks(low, high):
        parts += [_rule(at(x), top, at(x), bottom), _text(at(x), bottom + 18, f"{x:g}", "middle", 11)]
    for k, (label, x) in enumerate(marks.items()):
        line = 42 + 18 * k
        style = f'stroke="{COLORS[1 + k]}" stroke-width="1.5" stroke-dasharray="5 3"'
        parts += [
            f'<line x1="{at(x):.1f}" y1="{top}" x2="{at(x):.1f}" y2="{bottom}" {style}/>',
            f'<line x1="16" y1="{line - 4}" x2="40" y2="{line - 4}" {style}/>',
            _text(46, line, f"{label} {x:.2f}", size=11),
        ]
    for k, (label, own) in enumerate(groups.items()):
        middle = top + BOX_STEP * (k + 0.5)
        parts += [_text(BOX_LEFT - 10, middle + 4, label, "end"), *_box(middle, own, at)]
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _box(middle: float, values: Sequence[float], at: Callable[[float], float]) -> list[str]:
    least, first, median, third, most = (at(q) for q in quantiles(values))
    if least == most:
        return [f'<circle cx="{median:.1f}" cy="{middle:.1f}" r="5" fill="{COLORS[0]}"/>']
    style = f'stroke="{COLORS[0]}" stroke-width="1.5"'
    return [
        f'<line x1="{least:.1f}" y1="{middle:.1f}" x2="{most:.1f}" y2="{middle:.1f}" {style}/>',
        f'<rect x="{first:.1f}" y="{middle - 7:.1f}" width="{max(1.0, third - first):.1f}" height="14" '
        f'fill="#cfe3f1" {style}/>',
        f'<line x1="{median:.1f}" y1="{middle - 7:.1f}" x2="{median:.1f}" y2="{middle + 7:.1f}" {style}/>',
    ]


def quantiles(values: Sequence[float]) -> tuple[float, ...]:
    """Least, first quartile, median, third quartile and largest, between values by linear interpolation."""
    ordered = sorted(values)
    found = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        place = share * (len(ordered) - 1)
        below = floor(place)
        above = min(below + 1, len(ordered) - 1)
        found.append(ordered[below] + (place - below) * (ordered[above] - ordered[below]))
    return tuple(found)


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 6
    power = 10.0 ** floor(log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
    return [round(k * step, 10) for k in range(ceil(low / step), floor(high / step) + 1)]
