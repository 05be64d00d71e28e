"""Solutions that a solver wrote: HiGHS's files (raw, pretty and sparse: styles 0, 1, 4) and CBC's."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import read_bytes

RAW, PRETTY = "Model status", "Columns"
CBC_HEAD = re.compile(r"(?P<status>.*?)(?: - objective value\s+(?P<objective>\S+))?$")
WITHOUT_SOLUTION = re.compile(r"infeasible|unbounded|error|not set|empty|^unknown", re.IGNORECASE)
EXPECTED = "expected a solution file of HiGHS (writeSolution, style 0, 1 or 4) or CBC (-solution)"


class SolverSolution(NamedTuple):
    """What a solution file says.

    Parameters
    ----------
    status : str
        The solver's own words.
    objective : float or None
    values : dict of str to float
        Of columns, by name; of rows too, where CBC was asked for all.  A column that is not there is 0.
    """

    status: str
    objective: float | None
    values: dict[str, float]


class _Line(NamedTuple):
    number: int
    text: str


def read_solution_file(path: str | os.PathLike[str]) -> SolverSolution:
    """Read a solution file, plain or gzipped; the solver is known by the first line.

    Raises
    ------
    UnreadableFileError
    InvalidInputError
        Another format, a line that cannot be read (its number), or a solver that has found no solution.
    """
    source = os.fspath(path)
    try:
        text = read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError("", f"{EXPECTED}, it is no UTF-8: {error}", None, source) from None
    lines = [_Line(number, line.rstrip()) for number, line in enumerate(text.splitlines(), 1)]
    head = lines[0].text if lines else ""
    try:
        if head == RAW:
            solution = _raw(lines)
        elif head == PRETTY:
            solution = _pretty(lines)
        elif " - objective value" in head:
            solution = _cbc(lines)
        else:
            raise InvalidInputError("", f"{EXPECTED}, got {head[:60]!r}")
    except InvalidInputError as error:
        raise error.located(source) from None
    if WITHOUT_SOLUTION.search(solution.status) or not solution.values:
        raise InvalidInputError("", f"holds no solution, the solver says {solution.status!r}", None, source)
    return solution


def _raw(lines: list[_Line]) -> SolverSolution:
    """HiGHS, style 0 (all columns) and 4 (those that are not 0, with their number)."""
    status, objective = lines[1].text if len(lines) > 1 else "", None
    values: dict[str, float] = {}
    count, inside = 0, False
    for line in lines[2:]:
        if line.text.startswith("# "):
            if line.text.startswith("# Rows") or (values and line.text.startswith("# Dual")):
                break
            inside = line.text.startswith("# Columns")
            count = abs(int(_number(line, line.text.split()[-1]))) if inside else 0
        elif line.text.startswith("Objective "):
            objective = _number(line, line.text.split()[-1])
        elif inside and line.text:
            _add(values, line, line.text.split()[:2])
    if len(values) != count:
        raise InvalidInputError("", f"ends too early: {len(values)} of {count} columns")
    return SolverSolution(status, objective, values)


def _pretty(lines: list[_Line]) -> SolverSolution:
    """HiGHS, style 1: a table, whose numbers end where their heads end."""
    said = {
        name: line.text.partition(": ")[2]
        for line in lines
        for name in ("Model status", "Objective value")
        if line.text.startswith(f"{name}: ")
    }
    if "Model status" not in said or len(lines) < 2 or "Primal" not in lines[1].text:
        raise InvalidInputError("", f"{EXPECTED}, the table or the status at its end is missing")
    head = lines[1].text
    begin, end = head.index("Upper") + len("Upper"), head.index("Primal") + len("Primal")
    values: dict[str, float] = {}
    if WITHOUT_SOLUTION.search(said["Model status"]):
        return SolverSolution(said["Model status"], None, values)
    for line in lines[2:]:
        if line.text == "Rows":
            break
        _add(values, line, [line.text.split()[-1] if line.text else "", line.text[begin:end].strip()])
    last = lines[-1]
    return SolverSolution(said["Model status"], _number(last, said.get("Objective value", "nan")), values)


def _cbc(lines: list[_Line]) -> SolverSolution:
    """CBC: number, name, value and cost a line, after two stars where a limit is broken."""
    match = CBC_HEAD.fullmatch(lines[0].text)
    assert match is not None
    values: dict[str, float] = {}
    if not WITHOUT_SOLUTION.search(match["status"]):
        for line in _filled(lines[1:]):
            _add(values, line, line.text.removeprefix("**").split()[1:3])
    objective = None if match["objective"] is None else _number(lines[0], match["objective"])
    return SolverSolution(match["status"], objective, values)


def _filled(lines: Iterable[_Line]) -> Iterator[_Line]:
    return (line for line in lines if line.text)


def _add(values: dict[str, float], line: _Line, parts: list[str]) -> None:
    if len(parts) != 2:
        raise InvalidInputError(f"line {line.number}", f"expected a name and a value, got {line.text[:60]!r}")
    name, value = parts
    if name in values:
        raise InvalidInputError(f"line {line.number}", f"{name} stands twice")
    values[name] = _number(line, value)
    if not math.isfinite(values[name]):
        raise InvalidInputError(f"line {line.number}", f"{name} is {value}, expected a finite number")


def _number(line: _Line, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInputError(f"line {line.number}", f"expected a number, got {text[:60]!r}") from None
