"""The life of a request as a picture, from the schedule of a plan; colours and letters are those of all pictures.

Usage: .venv/bin/python docs/_sphinx/life_picture.py [-o FILE.svg]
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np

from llmsched_mip import Instance, Plan, evaluate, read_instance, solve
from llmsched_mip.evaluation import worker_usage
from llmsched_mip.report.gantt_svg import STYLE
from llmsched_mip.report.palette import svg_css

DOCS = Path(__file__).parents[1]
REQUEST = "r4"
WIDTH, HEIGHT, LEFT, RIGHT = 1200, 420, 150, 30
WORKER_TOP, REQUEST_TOP, KV_TOP, BAR = 84, 164, 250, 46
KV_HEIGHT, MOST_KV = 110, 20
EXTRA = """
.wait { fill: none; stroke: var(--quiet); stroke-dasharray: 5 4; }
.cell { stroke: var(--page); }
.mark { stroke: var(--ink); stroke-dasharray: 2 3; }
"""

Span = tuple[float, float]


def life_svg(instance: Instance, plan: Plan, request: str = REQUEST) -> str:
    """SVG text: what the worker does, what the request gets of it, and the KV cache that the request holds."""
    usage = worker_usage(instance, plan)[0]
    schedule, i = evaluate(instance, plan).schedule, instance.requests.id.index(request)
    prefill, decode, end = (
        float(times[i]) for times in (schedule.prefill_start_s, schedule.decode_start_s, schedule.completion_s)
    )
    scale = (WIDTH - LEFT - RIGHT) / float(usage.end_s[-1])
    prefills, rounds = _iterations(usage.start_s, usage.end_s, usage.rounds)
    prompt = int(instance.requests.prefill_tokens[i])
    picture = _Picture(scale)
    picture.worker(prefills, rounds)
    picture.request(
        prefill, decode, [s for s in prefills if decode <= s[0] < end], [s for s in rounds if decode <= s[0] < end]
    )
    picture.kv(prompt, prefill, [s for s in rounds if decode <= s[0] < end])
    picture.axis(float(usage.end_s[-1]))
    for time, label in ((prefill, "its prefill begins"), (decode, "first round"), (end, "complete")):
        picture.mark(time, label)
    return picture.text(f"The life of request {request}: {prompt} prompt tokens, {len(picture.tokens)} output tokens")


def _iterations(start: np.ndarray, end: np.ndarray, rounds: np.ndarray) -> tuple[list[Span], list[Span]]:
    """Prefill iterations, and decode rounds one by one: a run of equal rounds is cut in equal parts."""
    runs = list(zip(start.tolist(), end.tolist(), rounds.tolist(), strict=True))
    cuts = [np.linspace(s, e, k + 1).tolist() for s, e, k in runs if k > 0]
    return [(s, e) for s, e, k in runs if k == 0], [span for cut in cuts for span in pairwise(cut)]


class _Picture:
    def __init__(self, scale: float):
        self.scale = scale
        self.parts: list[str] = []
        self.tokens: list[Span] = []

    def x(self, seconds: float) -> float:
        return LEFT + seconds * self.scale

    def box(self, span: Span, top: float, style: str, height: float = BAR) -> None:
        left, right = self.x(span[0]), self.x(span[1])
        self.parts.append(
            f'<rect class="{style}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{height:.1f}"/>'
        )

    def label(self, x: float, y: float, text: str, anchor: str = "middle", style: str = "quiet") -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{style}">{text}</text>')

    def worker(self, prefills: list[Span], rounds: list[Span]) -> None:
        self.label(LEFT - 12, WORKER_TOP + BAR / 2, "the worker", "end", "")
        self.label(LEFT - 12, WORKER_TOP + BAR / 2 + 15, "one thing at a time", "end")
        for span in rounds:
            self.box(span, WORKER_TOP, "s0 cell")
        for span in prefills:
            self.box(span, WORKER_TOP, "prefill")

    def request(self, prefill: float, decode: float, stalls: list[Span], rounds: list[Span]) -> None:
        self.tokens = rounds
        self.label(LEFT - 12, REQUEST_TOP + BAR / 2, "the request", "end", "")
        self.label(LEFT - 12, REQUEST_TOP + BAR / 2 + 15, "on its slot", "end")
        self.box((0.0, prefill), REQUEST_TOP, "wait")
        self.label(self.x(prefill / 2), REQUEST_TOP + BAR / 2 + 4, "waits for a slot, and for a prefill iteration")
        self.box((prefill, decode), REQUEST_TOP, "prefill")
        for span in stalls:
            self.box(span, REQUEST_TOP, "stall")
            self.label(self.x(sum(span) / 2), REQUEST_TOP + BAR / 2, "stalled by the")
            self.label(self.x(sum(span) / 2), REQUEST_TOP + BAR / 2 + 14, "prefill of others")
        for k, span in enumerate(rounds):
            self.box(span, REQUEST_TOP, "s3 cell")
            self.label(self.x(sum(span) / 2), REQUEST_TOP + BAR / 2 + 4, str(k + 1), style="")

    def kv(self, prompt: int, prefill: float, rounds: list[Span]) -> None:
        """A step a token: the prompt from the prefill on, and in round k that round's token too."""
        bottom, tall = KV_TOP + KV_HEIGHT, KV_HEIGHT / MOST_KV
        self.label(LEFT - 12, bottom - KV_HEIGHT / 2, "its KV cache", "end", "")
        self.label(LEFT - 12, bottom - KV_HEIGHT / 2 + 15, "tokens", "end")
        steps = [(prefill, prompt), *((span[0], prompt + k + 1) for k, span in enumerate(rounds))]
        points = [f"{self.x(prefill):.1f},{bottom}"]
        for (time, tokens), after in zip(steps, [*steps[1:], (rounds[-1][1], 0)], strict=True):
            points += [f"{self.x(t):.1f},{bottom - tokens * tall:.1f}" for t in (time, after[0])]
        points.append(f"{self.x(rounds[-1][1]):.1f},{bottom}")
        self.parts.append(f'<polygon class="kv" points="{" ".join(points)}"/>')
        most = prompt + len(rounds)
        self.label(self.x(prefill) - 6, bottom - prompt * tall + 4, f"{prompt}, its prompt", "end")
        self.label(self.x(rounds[-1][1]) - 8, bottom - most * tall - 6, f"{most} in its last round", "end")

    def axis(self, end: float) -> None:
        bottom = KV_TOP + KV_HEIGHT
        for seconds in np.arange(0, end + 0.1, 2.0).tolist():
            x = self.x(seconds)
            self.parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 6}"/>')
            self.label(x, bottom + 20, f"{seconds:.0f}")
        self.label(self.x(end / 2), bottom + 40, "seconds")

    def mark(self, time: float, label: str) -> None:
        x = self.x(time)
        self.parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="72" y2="{KV_TOP + KV_HEIGHT}"/>')
        self.label(x, 64, label, "end" if x > WIDTH - 80 else "middle", "")

    def text(self, title: str) -> str:
        shades = "".join(f".s{k} {{ fill: var(--shade-{k}); }} " for k in range(6))
        head = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" role="img">',
            f"<title>{title}</title>",
            f"<style>{svg_css()}{STYLE}{EXTRA}{shades}</style>",
            f'<rect class="page" width="{WIDTH}" height="{HEIGHT}"/>',
            f'<text x="{LEFT}" y="30" class="title">{title}</text>',
        ]
        return "\n".join([*head, *self.parts, "</svg>"]) + "\n"


def picture_plan() -> tuple[Instance, Plan]:
    """The instance of docs/problem.svg and its optimal plan."""
    instance = read_instance(DOCS / "problem.json")
    plan = solve(instance, method="branch-and-bound", time_limit_s=60.0).plan
    assert plan is not None
    return instance, plan


def main() -> None:
    """Write docs/life.svg."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--out", type=Path, default=DOCS / "life.svg")
    parser.parse_args().out.write_text(life_svg(*picture_plan()), encoding="utf-8")


if __name__ == "__main__":
    main()
