"""Docstrings as they stand in the code, for reStructuredText: mathematics keeps its lines, names become links."""

from __future__ import annotations

import re
from typing import Any

NAME = re.compile(r"[A-Za-z_][\w]*(\.[A-Za-z_]\w*)*")
TITLES = re.compile(r"(Sets|Parameters|Variables|Objective|Constraints)\b[^.]{0,20}$")
SUBSCRIPT = re.compile(r"(?<![\w`.])([A-Za-zα-ωΑ-Ω])_(?:\{([^{}]*)\}|([A-Za-z]{1,3}))(?![\w({])")
UNDERLINE = re.compile(r"-{3,}\s*$")


def process(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Rewrite `lines` in place, up to the first section of NumPy's layout, which napoleon reads."""
    end = next((k - 1 for k, line in enumerate(lines) if UNDERLINE.match(line)), len(lines))
    body, sections = lines[:end], lines[end:]
    lines[:] = [*_prose_and_blocks(body), *(_prose(line) if line.startswith(" ") else line for line in sections)]


def _prose_and_blocks(lines: list[str]) -> list[str]:
    """Indented lines become literal blocks, all others prose."""
    out: list[str] = []
    in_block = False
    for line in lines:
        if line.startswith("    "):
            if not in_block:
                out += ["", "::", ""]
            in_block = True
            out.append(line)
        elif in_block and not line.strip():
            out.append(line)
        else:
            if in_block:
                out.append("")
            in_block = False
            title = TITLES.match(line)
            out += ["", f"**{line}**", ""] if title else [_prose(line)]
    return out


def _prose(line: str) -> str:
    parts = re.split(r"(``[^`]+``|`[^`]+`)", line)
    return "".join(_code(part) if part.startswith("`") else _escaped(part) for part in parts)


def _code(part: str) -> str:
    inside = part.strip("`")
    if part.startswith("``") or not NAME.fullmatch(inside):
        return f"``{inside}``"
    return f":py:obj:`.{inside}`"


def _escaped(text: str) -> str:
    text = re.sub(r"([|*])", r"\\\1", text)
    text = SUBSCRIPT.sub(lambda found: rf"{found[1]}\ :sub:`{found[2] or found[3]}`\ ", text)
    return re.sub(r"(?<=\w)_(?!\w)", r"\\_", text)


def setup(app: Any) -> dict[str, bool]:
    """Before napoleon."""
    app.connect("autodoc-process-docstring", process, priority=100)
    return {"parallel_read_safe": True}
