"""Write a Pyomo model as an MPS or LP file with names that a person can read."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import highspy
import numpy as np
from scipy import sparse

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import readable, whole_file
from llmsched_mip.solvers.arrays import ArrayModel, standard_form, with_two_costs
from llmsched_mip.solvers.highs import highs_model
from llmsched_mip.solvers.lp_text import write_lp

if TYPE_CHECKING:
    import pyomo.environ as pyo

FORMATS = (".mps", ".lp")
LONGEST = 100
CONSTANT = "constant"
MPS_END = b"ENDATA"
LP_WORD = re.compile(
    r"(free|inf(inity)?|end|st|subject|such|(min|max)(imi[sz]e|imum)?|bounds?|gen(eral)?s?|int(eger)?s?|"
    r"bin|binar(y|ies)|semis?|sos|[eE][0-9].*)",
    re.IGNORECASE,
)


def write_model(model: pyo.ConcreteModel, path: Path | str) -> tuple[int, int, int]:
    """Write the model; the ending of the file says in which format.

    A variable ``x[r5,w0,t12]`` is named ``x(r5,w0,t12)``: brackets mean something else in LP files.  A constant in
    the objective is the cost of a variable ``constant`` fixed to 1, since readers disagree on its sign.  A variable
    ``twin`` stands for half of an objective that is one variable (`with_two_costs`).

    Returns
    -------
    tuple of int
        Rows, columns and nonzeros written.

    Raises
    ------
    InvalidInputError
        Another ending, or a model that is not linear or trivially infeasible.
    UnreadableFileError
        The file cannot be written as a whole; an old one is as it was.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise InvalidInputError("--output", f"expected a file name that ends in {' or '.join(FORMATS)}, got {path}")
    form = standard_form(model)
    if form is None:
        raise InvalidInputError("model", "a constraint without variables cannot hold")
    arrays, extra = _without_offset(form.model), [CONSTANT] * (form.model.offset != 0)
    arrays, twins = with_two_costs(arrays)
    columns = legal_names([variable.name for variable in form.columns] + extra + ["twin"] * twins)
    rows = legal_names([row.name for row in form.rows] + ["twin"] * twins)
    with whole_file(path) as temporary:
        if path.suffix == ".mps":
            _write_mps(temporary, arrays, columns, rows)
        else:
            with temporary.open("w", encoding="ascii") as file:
                write_lp(file, arrays, columns, rows)
    return arrays.matrix.shape[0], arrays.matrix.shape[1], int(arrays.matrix.nnz)


def _write_mps(path: Path, arrays: ArrayModel, columns: list[str], rows: list[str]) -> None:
    lp = highs_model(arrays)
    lp.col_names_, lp.row_names_ = columns, rows
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    if highs.passModel(lp) == highspy.HighsStatus.kError:
        raise InvalidInputError("model", "HiGHS refuses it")
    if readable(str(path)) != str(path):
        raise OSError("HiGHS takes names in UTF-8 alone")
    # HiGHS reports success when the disk is full: what it wrote is looked at.
    written = highs.writeModel(str(path)) != highspy.HighsStatus.kError
    if not written or not _ends_with(path, MPS_END):
        raise OSError(f"HiGHS could not write all of it, {_room(path)}")


def _ends_with(path: Path, end: bytes) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2 * len(end)))
        return file.read().rstrip().endswith(end)


def _room(path: Path) -> str:
    room = os.statvfs(path.parent)
    return f"{room.f_bavail * room.f_frsize} bytes are left on the device"


def legal_names(names: list[str]) -> list[str]:
    """Names for MPS and LP files: no spaces, brackets or operators, at most 100 characters, unique."""
    legal = [re.sub(r"[^A-Za-z0-9_.(),]", "_", name.replace("[", "(").replace("]", ")")) for name in names]
    used: set[str] = set()
    for k, name in enumerate(legal):
        plain = re.match(r"[A-Za-z_]", name) and not LP_WORD.fullmatch(name) and len(name) <= LONGEST
        if name in used or not plain:
            legal[k] = f"n{k}.{name[: LONGEST - 12]}"
        used.add(legal[k])
    return legal


def _without_offset(arrays: ArrayModel) -> ArrayModel:
    if arrays.offset == 0:
        return arrays
    rows = arrays.matrix.shape[0]
    one: Any = np.ones(1)
    return replace(
        arrays,
        cost=np.append(arrays.cost, arrays.offset),
        matrix=sparse.csc_array(sparse.hstack([arrays.matrix, sparse.csc_array((rows, 1))])),
        lower=np.append(arrays.lower, one),
        upper=np.append(arrays.upper, one),
        integer=np.append(arrays.integer, False),
        offset=0.0,
    )
