"""Tables as Markdown, CSV and LaTeX; everything that came from a file is escaped for where it goes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pandas as pd

from llmsched_mip.report.columns import Table

FORMULA = ("=", "+", "-", "@", "\t", "\r")
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "−": r"$-$", "±": r"$\pm$", "–": "--", "|": r"\textbar{}", '"': r"\textquotedbl{}", "'": r"\textquotesingle{}",
}  # fmt: skip
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
DATA_COLUMNS = (
    "source", "instance", "instance_digest", "family", "file", "seed", "row", "series", "method", "policy", "lengths",
    "objective", "time_limit_s", "status", "value", "best_bound", "best_bound_name", "gap_value", "gap_bound",
    "closure", "bound", "bound_name", "seconds", "makespan", "total_completion", "mean_latency", "p99_latency",
    "utilization", "prefill_iterations", "decode_rounds", "evictions", "kv_peak", "error", "host", "started",
    "finished",
)  # fmt: skip
COUNTS = ("seed", "prefill_iterations", "decode_rounds", "evictions", "kv_peak")


def data_columns(rows: pd.DataFrame) -> dict[str, list[Any]]:
    """All results as plain columns: every bound one of its own, no NaN, counts as integers."""
    columns = {name: _plain(rows[name], name in COUNTS) for name in DATA_COLUMNS}
    for name in dict.fromkeys(str(bound_name) for bounds in rows["bounds"] for bound_name in bounds):
        values = [bounds.get(name) for bounds in rows["bounds"]]
        columns[f"bound_{name}"] = _plain(pd.Series(pd.to_numeric(pd.Series(values, dtype=object), errors="coerce")))
    return {name: values for name, values in columns.items() if any(v is not None for v in values)}


def packed(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Columns for the page: one that repeats itself becomes its different ``values`` and an ``index`` into them."""
    found: dict[str, Any] = {}
    for name, values in columns.items():
        different = {value: k for k, value in enumerate(dict.fromkeys(values))}
        if 2 * len(different) <= len(values):
            found[name] = {"values": list(different), "index": [different[value] for value in values]}
        else:
            found[name] = values
    return found


def _plain(values: pd.Series, count: bool = False) -> list[Any]:
    if values.dtype.kind == "f":
        return [None if v != v or abs(v) == float("inf") else int(v) if count else v for v in values.tolist()]
    return [None if v == "" else v for v in values.tolist()]


def guarded(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front."""
    return "'" + value if isinstance(value, str) and value.startswith(FORMULA) else value


def csv_text(columns: dict[str, list[Any]]) -> str:
    """CSV with a head line."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([guarded(name) for name in columns])
    for line in zip(*columns.values(), strict=True):
        writer.writerow([guarded(value) for value in line])
    return buffer.getvalue()


def markdown_text(tables: list[Table]) -> str:
    """Markdown: a heading, a table and a note each."""
    return "\n".join(_markdown(table) for table in tables)


def _markdown(table: Table) -> str:
    lines = [[_markdown_cell(text) for text in line] for line in _texts(table)]
    rule = [":--" if column.digits is None else "--:" for column in table.columns]
    body = [_row(lines[0]), _row(rule), *(_row(line) for line in lines[1:])]
    note = f"\n{_markdown_cell(table.note)}\n" if table.note else ""
    return f"## {table.title}\n\n" + "\n".join(body) + "\n" + note


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _markdown_cell(text: str) -> str:
    text = re.sub(r"([\\`*_\[\]|~#])", r"\\\1", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def latex_text(tables: list[Table]) -> str:
    """LaTeX tables for booktabs; long ones would need longtable, which the head comment says."""
    head = "% Needs \\usepackage{booktabs}. One tabular each; for tables longer than a page use longtable.\n"
    return head + "\n".join(_latex(table) for table in tables)


def _latex(table: Table) -> str:
    align = "".join("l" if column.digits is None else "r" for column in table.columns)
    lines = [" & ".join(latex_cell(text) for text in line) + r" \\" for line in _texts(table)]
    note = f"\n\n\\smallskip\\footnotesize {latex_cell(table.note)}" if table.note else ""
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{latex_cell(table.title)}}}\n\\begin{{tabular}}{{{align}}}\n"
        f"\\toprule\n{lines[0]}\n\\midrule\n" + "\n".join(lines[1:]) + f"\n\\bottomrule\n\\end{{tabular}}{note}\n"
        "\\end{table}\n"
    )


def latex_cell(text: str) -> str:
    """Text with every special character of LaTeX escaped."""
    return "".join(LATEX.get(character, character) for character in text)


def _texts(table: Table) -> list[list[str]]:
    """Head and cells as one-line texts."""
    lines = [[column.head for column in table.columns]]
    lines += [[column.text(v) for column, v in zip(table.columns, line, strict=True)] for line in table.rows]
    return [[" ".join(CONTROL.sub("", text).split()) for text in line] for line in lines]


WRITERS: dict[str, Callable[[list[Table]], str]] = {"md": markdown_text, "latex": latex_text}
