"""Write a Pyomo model as an MPS or LP file with names that a person can read."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsched_mip.errors import InvalidInputError
from llmsched_mip.io.storage import whole_file
from llmsched_mip.solvers.arrays import standard_form

if TYPE_CHECKING:
    import pyomo.environ as pyo

FORMATS = (".mps", ".lp")
LONGEST = 100
LP_WORD = re.compile(
    r"(free|inf(inity)?|end|st|subject|such|(min|max)(imi[sz]e|imum)?|bounds?|gen(eral)?s?|int(eger)?s?|"
    r"bin|binar(y|ies)|semis?|sos|[eE][0-9].*)",
    re.IGNORECASE,
)


def write_model(model: pyo.ConcreteModel, path: Path | str) -> tuple[int, int, int]:
    """Write the model by Pyomo's writers; the ending of the file says in which format.

    A variable ``x[r5,w0,t12]`` is named ``x(r5,w0,t12)``: brackets mean something else in LP files.  A constant in
    the objective is the cost of a variable ``ONE_VAR_CONSTANT`` fixed to 1, since readers disagree on its sign.
    A maximisation stays one, which CBC does not read from an MPS file.

    Returns
    -------
    tuple of int
        Rows, columns and nonzeros of the model.

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
    with whole_file(path) as temporary:
        _write(model, temporary)
    matrix = form.model.matrix
    return matrix.shape[0], matrix.shape[1], int(matrix.nnz)


def _write(model: pyo.ConcreteModel, path: Path) -> Any:
    """Write the file; Pyomo's map of names to components."""
    options: dict[str, Any] = {"labeler": LegalNames(), "skip_trivial_constraints": True}
    _, number = model.write(str(path), io_options=options)
    return model.solutions.symbol_map[number]


def exported_names(model: pyo.ConcreteModel, ending: str) -> dict[str, Any]:
    """The variables of a model by the names that `write_model` gives them in a file of this ending."""
    with tempfile.TemporaryDirectory() as folder:
        by_symbol = _write(model, Path(folder) / f"model{ending}").bySymbol
    return {name: component for name, component in by_symbol.items() if component.ctype.__name__ == "Var"}


class LegalNames:
    """Names for MPS and LP files: no spaces, brackets or operators, at most 100 characters, unique."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def __call__(self, component: Any) -> str:
        """The name of a variable or a constraint of Pyomo."""
        return self.legal(component.name)

    def legal(self, name: str) -> str:
        """The name, or where it is not legal or not new, one with a number in front."""
        legal = re.sub(r"[^A-Za-z0-9_.(),]", "_", name.replace("[", "(").replace("]", ")"))
        plain = re.match(r"[A-Za-z_]", legal) and not LP_WORD.fullmatch(legal) and len(legal) <= LONGEST
        if legal in self._used or not plain:
            legal = f"n{len(self._used)}.{legal[: LONGEST - 12]}"
        self._used.add(legal)
        return legal
