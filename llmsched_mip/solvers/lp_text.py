"""LP files that HiGHS and CBC read alike.

HiGHS's own writer names the sections of integer variables in a way that CBC takes for variables, and writes a
row in one line, longer than CBC reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TextIO

from scipy import sparse

from llmsched_mip.solvers.arrays import ArrayModel

TERMS_IN_LINE = 6


def write_lp(file: TextIO, arrays: ArrayModel, columns: list[str], rows: list[str]) -> None:
    """Write the model; a row with two different finite limits becomes two rows."""
    cost = arrays.cost.tolist()
    terms = [(value, columns[j]) for j, value in enumerate(cost) if value]
    file.write("Maximize\n" if arrays.maximise else "Minimize\n")
    file.write(_row("obj", terms or [(0.0, columns[0])]) + "\n")
    file.write("Subject To\n")
    for line in _rows(arrays, columns, rows):
        file.write(line)
    file.write("Bounds\n")
    for name, low, high in zip(columns, arrays.lower.tolist(), arrays.upper.tolist(), strict=True):
        file.write(_bounds(name, low, high))
    integer = [name for name, whole in zip(columns, arrays.integer.tolist(), strict=True) if whole]
    if integer:
        file.write("Generals\n" + "".join(f" {name}\n" for name in integer))
    file.write("End\n")


def _rows(arrays: ArrayModel, columns: list[str], rows: list[str]) -> Iterator[str]:
    matrix = sparse.csr_array(arrays.matrix)
    values, indices, ends = matrix.data.tolist(), matrix.indices.tolist(), matrix.indptr.tolist()
    limits = zip(arrays.row_lower.tolist(), arrays.row_upper.tolist(), strict=True)
    for r, (low, high) in enumerate(limits):
        terms = [(values[j], columns[indices[j]]) for j in range(ends[r], ends[r + 1])] or [(0.0, columns[0])]
        if low == high:
            yield f"{_row(rows[r], terms)} = {low!r}\n"
            continue
        both = math.isfinite(low) and math.isfinite(high)
        if math.isfinite(high):
            yield f"{_row(rows[r], terms)} <= {high!r}\n"
        if math.isfinite(low):
            yield f"{_row(rows[r] + '_low' * both, terms)} >= {low!r}\n"


def _row(name: str, terms: list[tuple[float, str]]) -> str:
    parts = [f"{'-' if value < 0 else '+'} {abs(value)!r} {column}" for value, column in terms]
    lines = [" ".join(parts[j : j + TERMS_IN_LINE]) for j in range(0, len(parts), TERMS_IN_LINE)]
    return f" {name}: " + "\n   ".join(lines)


def _bounds(name: str, low: float, high: float) -> str:
    if low == -math.inf and high == math.inf:
        return f" {name} free\n"
    if low == high:
        return f" {name} = {low!r}\n"
    text = ""
    if low == -math.inf:
        text = f" -inf <= {name}\n"
    elif low != 0:
        text = f" {name} >= {low!r}\n"
    return text + (f" {name} <= {high!r}\n" if high < math.inf else "")
